DELETE FROM checkpoints WHERE projection = 'read_model';
DROP TABLE idx_project_files_content_search;
DROP VIEW project_files_search_text;
DROP TABLE project_files;
DROP TABLE project_files_search_ids;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
DELETE FROM user_sessions;
DELETE FROM staged_issues;
DELETE FROM run_state;
DELETE FROM task_state;
DELETE FROM project_state;
DELETE FROM progress_metrics;
DELETE FROM validation_issues;
DELETE FROM validation_reports;
DELETE FROM task_dependencies;
DELETE FROM tasks;
DELETE FROM projects;
DELETE FROM users;
