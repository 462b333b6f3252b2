DROP TABLE validation_issues;
DROP TABLE validation_reports;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
DELETE FROM task_dependencies;
DELETE FROM tasks;
DELETE FROM projects;
DELETE FROM users;
