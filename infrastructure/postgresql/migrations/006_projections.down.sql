-- With the checkpoints, those of other projections than read_model go too: reset them.
DROP TABLE checkpoints; -- first, as the projector locks
DROP TABLE leases;
DROP TABLE staged_issues;
DROP TABLE run_state;
DROP TABLE task_state;
DROP TABLE project_state;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
TRUNCATE users, projects, tasks, task_dependencies, validation_reports, validation_issues, progress_metrics;
