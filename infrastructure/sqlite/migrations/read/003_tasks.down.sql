DROP TABLE task_dependencies;
DROP TABLE tasks;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
DELETE FROM projects;
DELETE FROM users;
