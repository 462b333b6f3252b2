-- With the checkpoints, those of other projections than read_model go too: reset them.
DROP TABLE checkpoints;
DROP TABLE leases;
DROP TABLE staged_issues;
DROP TABLE run_state;
DROP TABLE task_state;
DROP TABLE project_state;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
DELETE FROM progress_metrics;
DELETE FROM validation_issues;
DELETE FROM validation_reports;
DELETE FROM task_dependencies;
DELETE FROM tasks;
DELETE FROM projects;
DELETE FROM users;
