DROP TABLE progress_metrics;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
TRUNCATE users, projects, tasks, task_dependencies, validation_reports, validation_issues;
