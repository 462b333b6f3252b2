-- The files of projects, in SQLite's terms.

CREATE TABLE project_files (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    file_path TEXT NOT NULL CHECK (length(file_path) <= 1000),
    content TEXT,
    content_hash TEXT CHECK (length(content_hash) <= 64),
    size_bytes INTEGER DEFAULT 0 CHECK (size_bytes BETWEEN -2147483648 AND 2147483647),
    status TEXT DEFAULT 'created' CHECK (
        status IN ('created', 'modified', 'validated', 'failed_validation', 'deleted')
    ),
    validation_score REAL DEFAULT 0.0 CHECK (validation_score >= 0 AND validation_score <= 100),
    metadata TEXT DEFAULT '{}' CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    UNIQUE(project_id, file_path)
) STRICT;

CREATE INDEX idx_project_files_project_id ON project_files(project_id);
CREATE INDEX idx_project_files_file_path ON project_files(file_path);
CREATE INDEX idx_project_files_status ON project_files(status);
CREATE INDEX idx_project_files_validation_score ON project_files(validation_score);
CREATE INDEX idx_project_files_updated_at ON project_files(updated_at);
CREATE INDEX idx_files_project_status_updated ON project_files(project_id, status, updated_at DESC);

-- The text search, as that of projects: see there. Only the first 65,536 characters are indexed, because PostgreSQL
-- cannot hold more, and the same words shall find the same files.
-- Search with: SELECT i.file_id FROM idx_project_files_content_search s JOIN project_files_search_ids i
-- ON i.docid = s.rowid WHERE idx_project_files_content_search MATCH ? (an FTS5 expression).
CREATE TABLE project_files_search_ids (
    docid INTEGER NOT NULL PRIMARY KEY,
    file_id TEXT NOT NULL UNIQUE
) STRICT;

CREATE VIEW project_files_search_text AS
SELECT i.docid, substr(f.content, 1, 65536) AS content
FROM project_files_search_ids i
JOIN project_files f ON f.id = i.file_id;

CREATE VIRTUAL TABLE idx_project_files_content_search USING fts5(
    content,
    content = 'project_files_search_text',
    content_rowid = 'docid',
    tokenize = 'porter unicode61'
);

CREATE TRIGGER trigger_project_files_search_insert AFTER INSERT ON project_files
BEGIN
    INSERT INTO project_files_search_ids (file_id) VALUES (NEW.id);
    INSERT INTO idx_project_files_content_search (rowid, content)
    SELECT docid, substr(NEW.content, 1, 65536) FROM project_files_search_ids WHERE file_id = NEW.id;
END;

CREATE TRIGGER trigger_project_files_search_update AFTER UPDATE OF content ON project_files
WHEN NEW.content IS NOT OLD.content
BEGIN
    INSERT INTO idx_project_files_content_search (idx_project_files_content_search, rowid, content)
    SELECT 'delete', docid, substr(OLD.content, 1, 65536) FROM project_files_search_ids WHERE file_id = NEW.id;
    INSERT INTO idx_project_files_content_search (rowid, content)
    SELECT docid, substr(NEW.content, 1, 65536) FROM project_files_search_ids WHERE file_id = NEW.id;
END;

CREATE TRIGGER trigger_project_files_search_delete AFTER DELETE ON project_files
BEGIN
    INSERT INTO idx_project_files_content_search (idx_project_files_content_search, rowid, content)
    SELECT 'delete', docid, substr(OLD.content, 1, 65536) FROM project_files_search_ids WHERE file_id = OLD.id;
    DELETE FROM project_files_search_ids WHERE file_id = OLD.id;
END;
