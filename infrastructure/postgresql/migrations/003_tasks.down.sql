DROP TABLE task_dependencies;
DROP FUNCTION check_circular_dependency();
DROP TABLE tasks;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
TRUNCATE users, projects;
