-- Templates of projects, in SQLite's terms. projects.template_id holds a template's id as text, so nothing references
-- this table.

CREATE TABLE templates (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    name TEXT NOT NULL CHECK (length(name) <= 255),
    description TEXT,
    category TEXT CHECK (length(category) <= 100),
    structure TEXT NOT NULL CHECK (json_valid(structure)),
    default_config TEXT DEFAULT '{}' CHECK (default_config IS NULL OR json_valid(default_config)),
    workflow_template TEXT CHECK (workflow_template IS NULL OR json_valid(workflow_template)),
    is_public INTEGER DEFAULT 0 CHECK (is_public IN (0, 1)),
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_templates_name ON templates(name);
CREATE INDEX idx_templates_category ON templates(category);
CREATE INDEX idx_templates_is_public ON templates(is_public);
CREATE INDEX idx_templates_created_by ON templates(created_by);
