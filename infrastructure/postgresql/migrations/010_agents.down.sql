LOCK TABLE checkpoints; -- first, as the projector locks
DELETE FROM checkpoints WHERE projection = 'read_model';
DROP TABLE agent_state;
DROP TABLE agent_metrics;
DROP TABLE agent_assignments;
DROP TABLE agents;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
TRUNCATE
    users, projects, tasks, task_dependencies, validation_reports, validation_issues, progress_metrics, project_state,
    task_state, run_state, staged_issues, user_sessions, project_files, workflows, workflow_steps, step_executions;
