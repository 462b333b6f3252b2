-- The set operations of the read tables, by the names that projections give them: NAME, or NAME_1, NAME_2 … in order.
-- Children are inserted after their parents and deleted before them, so that no foreign key action ever fires.
--
-- Of what retention drops, cleanup_log has one row for each table and rule, counted before it is deleted.

-- name: archive_project_1
INSERT INTO projects_archive (
    id, user_id, name, description, status, template_id, configuration, metadata, real_progress, fake_progress,
    authenticity_rate, quality_score, created_at, updated_at, completed_at, archived_at
)
SELECT
    id, user_id, name, description, 'archived', template_id, configuration, metadata, real_progress, fake_progress,
    authenticity_rate, quality_score, created_at, :at, completed_at, :at
FROM projects WHERE id = :project_id

-- name: archive_project_2
INSERT INTO tasks_archive (
    id, project_id, name, description, status, priority, real_progress, fake_progress, authenticity_score,
    ai_prompt, expected_outputs, validation_criteria, estimated_duration, actual_duration, created_at, updated_at,
    completed_at, added_position
)
SELECT
    id, project_id, name, description, status, priority, real_progress, fake_progress, authenticity_score,
    ai_prompt, expected_outputs, validation_criteria, estimated_duration, actual_duration, created_at, updated_at,
    completed_at, added_position
FROM tasks WHERE project_id = :project_id

-- name: archive_project_3
INSERT INTO task_dependencies_archive (
    id, task_id, depends_on_task_id, dependency_type, created_at
)
SELECT
    id, task_id, depends_on_task_id, dependency_type, created_at
FROM task_dependencies WHERE task_id IN (SELECT id FROM tasks WHERE project_id = :project_id)

-- name: archive_project_4
INSERT INTO project_files_archive (
    id, project_id, file_path, content, content_hash, size_bytes, status, validation_score, metadata, created_at,
    updated_at
)
SELECT
    id, project_id, file_path, content, content_hash, size_bytes, status, validation_score, metadata, created_at,
    updated_at
FROM project_files WHERE project_id = :project_id

-- name: archive_project_5
INSERT INTO validation_reports_archive (
    id, project_id, validation_type, overall_authenticity, real_progress, fake_progress, quality_metrics,
    issues_summary, created_at
)
SELECT
    id, project_id, validation_type, overall_authenticity, real_progress, fake_progress, quality_metrics,
    issues_summary, created_at
FROM validation_reports WHERE project_id = :project_id

-- name: archive_project_6
INSERT INTO validation_issues_archive (
    id, validation_report_id, task_id, issue_type, severity, description, file_path, line_number,
    auto_fix_available, suggested_fix, status, created_at, resolved_at
)
SELECT
    id, validation_report_id, task_id, issue_type, severity, description, file_path, line_number,
    auto_fix_available, suggested_fix, status, created_at, resolved_at
FROM validation_issues WHERE validation_report_id IN (SELECT id FROM validation_reports WHERE project_id = :project_id)

-- name: archive_project_7
INSERT INTO progress_metrics_archive (
    id, project_id, metric_name, value, metadata, recorded_at
)
SELECT
    id, project_id, metric_name, value, metadata, recorded_at
FROM progress_metrics WHERE project_id = :project_id

-- name: archive_project_8
INSERT INTO step_executions_archive (
    id, run_id, workflow_step_id, project_id, status, result_data, execution_metadata, started_at, completed_at
)
SELECT
    id, run_id, workflow_step_id, project_id, status, result_data, execution_metadata, started_at, completed_at
FROM step_executions WHERE project_id = :project_id

-- name: archive_project_9
INSERT INTO agent_assignments_archive (
    id, agent_id, task_id, status, assignment_metadata, assigned_at, completed_at
)
SELECT
    id, agent_id, task_id, status, assignment_metadata, assigned_at, completed_at
FROM agent_assignments WHERE task_id IN (SELECT id FROM tasks WHERE project_id = :project_id)

-- name: archive_project_10
DELETE FROM agent_assignments WHERE task_id IN (SELECT id FROM tasks WHERE project_id = :project_id)

-- name: archive_project_11
DELETE FROM step_executions WHERE project_id = :project_id

-- name: archive_project_12
DELETE FROM progress_metrics WHERE project_id = :project_id

-- name: archive_project_13
DELETE FROM validation_issues
WHERE validation_report_id IN (SELECT id FROM validation_reports WHERE project_id = :project_id)

-- name: archive_project_14
DELETE FROM validation_reports WHERE project_id = :project_id

-- name: archive_project_15
DELETE FROM project_files WHERE project_id = :project_id

-- name: archive_project_16
DELETE FROM task_dependencies WHERE task_id IN (SELECT id FROM tasks WHERE project_id = :project_id)

-- name: archive_project_17
DELETE FROM tasks WHERE project_id = :project_id

-- name: archive_project_18
DELETE FROM projects WHERE id = :project_id

-- name: restore_project_1
INSERT INTO projects (
    id, user_id, name, description, status, template_id, configuration, metadata, real_progress, fake_progress,
    authenticity_rate, quality_score, created_at, updated_at, completed_at
)
SELECT
    id, user_id, name, description, 'active', template_id, configuration, metadata, real_progress, fake_progress,
    authenticity_rate, quality_score, created_at, :at, NULL
FROM projects_archive WHERE id = :project_id

-- name: restore_project_2
INSERT INTO tasks (
    id, project_id, name, description, status, priority, real_progress, fake_progress, authenticity_score,
    ai_prompt, expected_outputs, validation_criteria, estimated_duration, actual_duration, created_at, updated_at,
    completed_at, added_position
)
SELECT
    id, project_id, name, description, status, priority, real_progress, fake_progress, authenticity_score,
    ai_prompt, expected_outputs, validation_criteria, estimated_duration, actual_duration, created_at, updated_at,
    completed_at, added_position
FROM tasks_archive WHERE project_id = :project_id

-- name: restore_project_3
INSERT INTO task_dependencies (
    id, task_id, depends_on_task_id, dependency_type, created_at
)
SELECT
    id, task_id, depends_on_task_id, dependency_type, created_at
FROM task_dependencies_archive WHERE task_id IN (SELECT id FROM tasks_archive WHERE project_id = :project_id)

-- name: restore_project_4
INSERT INTO project_files (
    id, project_id, file_path, content, content_hash, size_bytes, status, validation_score, metadata, created_at,
    updated_at
)
SELECT
    id, project_id, file_path, content, content_hash, size_bytes, status, validation_score, metadata, created_at,
    updated_at
FROM project_files_archive WHERE project_id = :project_id

-- name: restore_project_5
INSERT INTO validation_reports (
    id, project_id, validation_type, overall_authenticity, real_progress, fake_progress, quality_metrics,
    issues_summary, created_at
)
SELECT
    id, project_id, validation_type, overall_authenticity, real_progress, fake_progress, quality_metrics,
    issues_summary, created_at
FROM validation_reports_archive WHERE project_id = :project_id

-- name: restore_project_6
INSERT INTO validation_issues (
    id, validation_report_id, task_id, issue_type, severity, description, file_path, line_number,
    auto_fix_available, suggested_fix, status, created_at, resolved_at
)
SELECT
    id, validation_report_id, task_id, issue_type, severity, description, file_path, line_number,
    auto_fix_available, suggested_fix, status, created_at, resolved_at
FROM validation_issues_archive
WHERE validation_report_id IN (SELECT id FROM validation_reports_archive WHERE project_id = :project_id)

-- name: restore_project_7
INSERT INTO progress_metrics (
    id, project_id, metric_name, value, metadata, recorded_at
)
SELECT
    id, project_id, metric_name, value, metadata, recorded_at
FROM progress_metrics_archive WHERE project_id = :project_id

-- name: restore_project_8
INSERT INTO step_executions (
    id, run_id, workflow_step_id, project_id, status, result_data, execution_metadata, started_at, completed_at
)
SELECT
    id, run_id, workflow_step_id, project_id, status, result_data, execution_metadata, started_at, completed_at
FROM step_executions_archive WHERE project_id = :project_id

-- name: restore_project_9
INSERT INTO agent_assignments (
    id, agent_id, task_id, status, assignment_metadata, assigned_at, completed_at
)
SELECT
    id, agent_id, task_id, status, assignment_metadata, assigned_at, completed_at
FROM agent_assignments_archive WHERE task_id IN (SELECT id FROM tasks_archive WHERE project_id = :project_id)

-- name: restore_project_10
DELETE FROM agent_assignments_archive WHERE task_id IN (SELECT id FROM tasks_archive WHERE project_id = :project_id)

-- name: restore_project_11
DELETE FROM step_executions_archive WHERE project_id = :project_id

-- name: restore_project_12
DELETE FROM progress_metrics_archive WHERE project_id = :project_id

-- name: restore_project_13
DELETE FROM validation_issues_archive
WHERE validation_report_id IN (SELECT id FROM validation_reports_archive WHERE project_id = :project_id)

-- name: restore_project_14
DELETE FROM validation_reports_archive WHERE project_id = :project_id

-- name: restore_project_15
DELETE FROM project_files_archive WHERE project_id = :project_id

-- name: restore_project_16
DELETE FROM task_dependencies_archive WHERE task_id IN (SELECT id FROM tasks_archive WHERE project_id = :project_id)

-- name: restore_project_17
DELETE FROM tasks_archive WHERE project_id = :project_id

-- name: restore_project_18
DELETE FROM projects_archive WHERE id = :project_id

-- name: drop_details_1
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :progress_metrics_log, 'progress_metrics', count(*), :before, :at
FROM progress_metrics WHERE recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'

-- name: drop_details_2
DELETE FROM progress_metrics WHERE recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'

-- name: drop_details_3
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :progress_metrics_archive_log, 'progress_metrics_archive', count(*), :before, :at
FROM progress_metrics_archive WHERE recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'

-- name: drop_details_4
DELETE FROM progress_metrics_archive
WHERE recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'

-- name: drop_dailies_1
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :progress_metrics_log, 'progress_metrics', count(*), :before, :at
FROM progress_metrics WHERE recorded_at < :before AND metadata ->> 'aggregation_level' = 'daily'

-- name: drop_dailies_2
DELETE FROM progress_metrics WHERE recorded_at < :before AND metadata ->> 'aggregation_level' = 'daily'

-- name: drop_dailies_3
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :progress_metrics_archive_log, 'progress_metrics_archive', count(*), :before, :at
FROM progress_metrics_archive WHERE recorded_at < :before AND metadata ->> 'aggregation_level' = 'daily'

-- name: drop_dailies_4
DELETE FROM progress_metrics_archive WHERE recorded_at < :before AND metadata ->> 'aggregation_level' = 'daily'

-- name: drop_reports_1
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :validation_issues_log, 'validation_issues', count(*), :before, :at
FROM validation_issues WHERE validation_report_id IN (
    SELECT id FROM validation_reports WHERE created_at < :before AND NOT EXISTS (
        SELECT 1 FROM validation_issues i
        WHERE i.validation_report_id = validation_reports.id AND i.status IN ('open', 'in_progress')
    )
)

-- name: drop_reports_2
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :validation_reports_log, 'validation_reports', count(*), :before, :at
FROM validation_reports WHERE created_at < :before AND NOT EXISTS (
    SELECT 1 FROM validation_issues i
    WHERE i.validation_report_id = validation_reports.id AND i.status IN ('open', 'in_progress')
)

-- name: drop_reports_3
DELETE FROM validation_issues WHERE validation_report_id IN (
    SELECT id FROM validation_reports WHERE created_at < :before AND NOT EXISTS (
        SELECT 1 FROM validation_issues i
        WHERE i.validation_report_id = validation_reports.id AND i.status IN ('open', 'in_progress')
    )
)

-- name: drop_reports_4
DELETE FROM validation_reports WHERE created_at < :before AND NOT EXISTS (
    SELECT 1 FROM validation_issues i
    WHERE i.validation_report_id = validation_reports.id AND i.status IN ('open', 'in_progress')
)

-- name: drop_reports_5
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :validation_issues_archive_log, 'validation_issues_archive', count(*), :before, :at
FROM validation_issues_archive WHERE validation_report_id IN (
    SELECT id FROM validation_reports_archive WHERE created_at < :before AND NOT EXISTS (
        SELECT 1 FROM validation_issues_archive i
        WHERE i.validation_report_id = validation_reports_archive.id AND i.status IN ('open', 'in_progress')
    )
)

-- name: drop_reports_6
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :validation_reports_archive_log, 'validation_reports_archive', count(*), :before, :at
FROM validation_reports_archive WHERE created_at < :before AND NOT EXISTS (
    SELECT 1 FROM validation_issues_archive i
    WHERE i.validation_report_id = validation_reports_archive.id AND i.status IN ('open', 'in_progress')
)

-- name: drop_reports_7
DELETE FROM validation_issues_archive WHERE validation_report_id IN (
    SELECT id FROM validation_reports_archive WHERE created_at < :before AND NOT EXISTS (
        SELECT 1 FROM validation_issues_archive i
        WHERE i.validation_report_id = validation_reports_archive.id AND i.status IN ('open', 'in_progress')
    )
)

-- name: drop_reports_8
DELETE FROM validation_reports_archive WHERE created_at < :before AND NOT EXISTS (
    SELECT 1 FROM validation_issues_archive i
    WHERE i.validation_report_id = validation_reports_archive.id AND i.status IN ('open', 'in_progress')
)

-- name: drop_sessions_1
INSERT INTO cleanup_log (id, table_name, rows_deleted, cutoff, cleanup_date)
SELECT :user_sessions_log, 'user_sessions', count(*), :before, :at
FROM user_sessions WHERE expires_at < :before

-- name: drop_sessions_2
DELETE FROM user_sessions WHERE expires_at < :before

-- name: end_session
DELETE FROM user_sessions WHERE id = :session_id

-- name: forget_user
DELETE FROM user_sessions WHERE user_id = :user_id
