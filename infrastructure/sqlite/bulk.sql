-- Read tables that are loaded in bulk: what they have besides rows is made when the rows are in.

-- name: objects
-- What a file holds of the kinds that have a name; SQLite's own apart.
SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'

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
