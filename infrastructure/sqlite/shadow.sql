-- The read tables of the next generation, in a file beside that of the live ones.

-- name: objects
-- What a file holds of the kinds that have a name; SQLite's own apart.
SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'

-- name: has_statistics
SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'

-- name: recorded
SELECT m.version, m.applied_at, r.rollback_sql, r.created_at
FROM schema_migrations m JOIN migration_rollbacks r ON r.version = m.version

-- name: record_1
UPDATE schema_migrations SET applied_at = :applied_at WHERE version = :version

-- name: record_2
UPDATE migration_rollbacks SET rollback_sql = :rollback_sql, created_at = :created_at WHERE version = :version

-- name: fill_search_1
DELETE FROM projects_search_ids

-- name: fill_search_2
INSERT INTO projects_search_ids (project_id) SELECT id FROM projects ORDER BY rowid

-- name: fill_search_3
INSERT INTO idx_projects_search (idx_projects_search) VALUES ('rebuild')

-- name: fill_search_4
DELETE FROM project_files_search_ids

-- name: fill_search_5
INSERT INTO project_files_search_ids (file_id) SELECT id FROM project_files ORDER BY rowid

-- name: fill_search_6
INSERT INTO idx_project_files_content_search (idx_project_files_content_search) VALUES ('rebuild')

-- name: checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection

-- name: positions
SELECT (SELECT position FROM main.checkpoints WHERE projection = :projection),
       (SELECT position FROM rebuilt.checkpoints WHERE projection = :projection)

-- name: set_generation
UPDATE checkpoints SET generation = :generation WHERE projection = :projection

-- name: name_generation
UPDATE store SET read_generation = :next WHERE read_generation = :generation
