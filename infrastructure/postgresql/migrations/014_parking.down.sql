LOCK TABLE checkpoints; -- first, as the projector locks
DELETE FROM checkpoints WHERE projection = 'read_model';
DROP TABLE left_out_events;
DROP TABLE parked_units;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
TRUNCATE
    users, projects, tasks, task_dependencies, validation_reports, validation_issues, progress_metrics, project_state,
    task_state, run_state, staged_issues, user_sessions, project_files, workflows, workflow_steps, step_executions,
    agents, agent_assignments, agent_metrics, agent_state, templates, projects_archive, tasks_archive,
    task_dependencies_archive, project_files_archive, validation_reports_archive, validation_issues_archive,
    progress_metrics_archive, step_executions_archive, agent_assignments_archive, cleanup_log;
