-- Users and their projects, in SQLite's terms. What PostgreSQL's types refuse, STRICT and the CHECKs refuse here. UUIDs
-- are text in the canonical form; times are UTC text with all six digits of the microseconds, so that they sort; JSON
-- is text (json_valid(NULL) is 0 on older SQLite, NULL on newer, hence the IS NULL). No default reads a clock or makes
-- an id: rows come complete.

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    username TEXT UNIQUE NOT NULL CHECK (length(username) <= 255),
    email TEXT UNIQUE NOT NULL CHECK (length(email) <= 255),
    password_hash TEXT NOT NULL CHECK (length(password_hash) <= 255),
    role TEXT DEFAULT 'developer' CHECK (role IN ('admin', 'developer', 'viewer')),
    preferences TEXT DEFAULT '{}' CHECK (preferences IS NULL OR json_valid(preferences)),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    last_login TEXT CHECK (last_login GLOB '????-??-??T??:??:??.??????Z'),
    is_active INTEGER DEFAULT 1 CHECK (is_active IN (0, 1))
) STRICT;

CREATE INDEX idx_users_email ON users(email);
CREATE INDEX idx_users_username ON users(username);
CREATE INDEX idx_users_role ON users(role);
CREATE INDEX idx_users_last_login ON users(last_login);

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) <= 255),
    description TEXT,
    status TEXT DEFAULT 'active' CHECK (status IN ('active', 'completed', 'archived', 'failed')),
    template_id TEXT CHECK (length(template_id) <= 255), -- the template's id as text: no foreign key, as on PostgreSQL
    configuration TEXT DEFAULT '{}' CHECK (configuration IS NULL OR json_valid(configuration)),
    metadata TEXT DEFAULT '{}' CHECK (metadata IS NULL OR json_valid(metadata)),
    real_progress REAL DEFAULT 0.0 CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress REAL DEFAULT 0.0 CHECK (fake_progress >= 0 AND fake_progress <= 100),
    authenticity_rate REAL DEFAULT 100.0 CHECK (authenticity_rate >= 0 AND authenticity_rate <= 100),
    quality_score REAL DEFAULT 0.0 CHECK (quality_score >= 0 AND quality_score <= 100),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_projects_user_id ON projects(user_id);
CREATE INDEX idx_projects_status ON projects(status);
CREATE INDEX idx_projects_created_at ON projects(created_at);
CREATE INDEX idx_projects_real_progress ON projects(real_progress);
CREATE INDEX idx_projects_authenticity_rate ON projects(authenticity_rate);
CREATE INDEX idx_projects_active ON projects(user_id, updated_at DESC) WHERE status = 'active';
-- SQLite has no INCLUDE: the covered columns trail.
CREATE INDEX idx_projects_list_covering ON projects(user_id, status, name, real_progress, updated_at);
-- Beyond the specification: the listing of all projects, the one that changed last first.
CREATE INDEX idx_projects_updated_at ON projects(updated_at DESC, id);

-- The text search is an FTS5 index of external content: it keeps no second copy of the text. FTS5 counts in integers,
-- and rowids of a table with a text key may change in a VACUUM, so projects_search_ids holds each project's number.
-- Search with: SELECT i.project_id FROM idx_projects_search s JOIN projects_search_ids i ON i.docid = s.rowid
-- WHERE idx_projects_search MATCH ? (an FTS5 expression).
-- Never write projects with INSERT OR REPLACE: it deletes without firing the triggers. ON CONFLICT DO UPDATE is fine.
CREATE TABLE projects_search_ids (
    docid INTEGER NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL UNIQUE
) STRICT;

CREATE VIEW projects_search_text AS
SELECT i.docid, p.name, p.description
FROM projects_search_ids i
JOIN projects p ON p.id = i.project_id;

CREATE VIRTUAL TABLE idx_projects_search USING fts5(
    name,
    description,
    content = 'projects_search_text',
    content_rowid = 'docid',
    tokenize = 'porter unicode61'
);

CREATE TRIGGER trigger_projects_search_insert AFTER INSERT ON projects
BEGIN
    INSERT INTO projects_search_ids (project_id) VALUES (NEW.id);
    INSERT INTO idx_projects_search (rowid, name, description)
    SELECT docid, NEW.name, NEW.description FROM projects_search_ids WHERE project_id = NEW.id;
END;

CREATE TRIGGER trigger_projects_search_update AFTER UPDATE OF name, description ON projects
WHEN NEW.name IS NOT OLD.name OR NEW.description IS NOT OLD.description
BEGIN
    INSERT INTO idx_projects_search (idx_projects_search, rowid, name, description)
    SELECT 'delete', docid, OLD.name, OLD.description FROM projects_search_ids WHERE project_id = NEW.id;
    INSERT INTO idx_projects_search (rowid, name, description)
    SELECT docid, NEW.name, NEW.description FROM projects_search_ids WHERE project_id = NEW.id;
END;

CREATE TRIGGER trigger_projects_search_delete AFTER DELETE ON projects
BEGIN
    INSERT INTO idx_projects_search (idx_projects_search, rowid, name, description)
    SELECT 'delete', docid, OLD.name, OLD.description FROM projects_search_ids WHERE project_id = OLD.id;
    DELETE FROM projects_search_ids WHERE project_id = OLD.id;
END;
