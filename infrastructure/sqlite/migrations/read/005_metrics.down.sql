DROP TABLE progress_metrics;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
DELETE FROM validation_issues;
DELETE FROM validation_reports;
DELETE FROM task_dependencies;
DELETE FROM tasks;
DELETE FROM projects;
DELETE FROM users;
