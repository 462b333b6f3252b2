LOCK TABLE checkpoints; -- first, as the projector locks
DELETE FROM checkpoints WHERE projection = 'read_model';
DROP TABLE cleanup_log;
DROP TABLE agent_assignments_archive;
DROP TABLE step_executions_archive;
DROP TABLE progress_metrics_archive;
DROP TABLE validation_issues_archive;
DROP TABLE validation_reports_archive;
DROP TABLE project_files_archive;
DROP TABLE task_dependencies_archive;
DROP TABLE tasks_archive;
DROP TABLE projects_archive;
-- The read tables that stay are emptied: they are filled again from the first event, and never hold a half.
TRUNCATE
    users, projects, tasks, task_dependencies, validation_reports, validation_issues, progress_metrics, project_state,
    task_state, run_state, staged_issues, user_sessions, project_files, workflows, workflow_steps, step_executions,
    agents, agent_assignments, agent_metrics, agent_state, templates;
