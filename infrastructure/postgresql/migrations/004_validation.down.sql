DROP TABLE validation_issues;
DROP TABLE validation_reports;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
TRUNCATE users, projects, tasks, task_dependencies;
