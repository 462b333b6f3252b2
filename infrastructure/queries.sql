-- name: dashboard
-- MATERIALIZED: else PostgreSQL may walk the projects of all users by time, until it has enough of this one's.
WITH active AS MATERIALIZED (
    SELECT id, name, status, real_progress, fake_progress, authenticity_rate, quality_score, updated_at
    FROM projects
    WHERE user_id = :user_id AND status = 'active'
), newest AS (
    SELECT * FROM active ORDER BY updated_at DESC, id LIMIT :limit
)
SELECT p.id, p.name, p.status, p.real_progress, p.fake_progress, p.authenticity_rate, p.quality_score,
       (SELECT count(*) FROM tasks t WHERE t.project_id = p.id) AS task_count,
       (SELECT count(*) FROM tasks t WHERE t.project_id = p.id AND t.status = 'completed') AS completed_tasks,
       (SELECT max(r.created_at) FROM validation_reports r WHERE r.project_id = p.id) AS last_validation
FROM newest p
ORDER BY p.updated_at DESC, p.id

-- name: projects
SELECT id, user_id, name, description, status, template_id, configuration, metadata,
       real_progress, fake_progress, authenticity_rate, quality_score, created_at, updated_at, completed_at
FROM projects
ORDER BY updated_at DESC, id
LIMIT :limit

-- name: project
SELECT id, user_id, name, description, status, template_id, configuration, metadata,
       real_progress, fake_progress, authenticity_rate, quality_score, created_at, updated_at, completed_at
FROM projects
WHERE id = :project_id

-- name: user_by_name
SELECT id FROM users WHERE username = :username

-- name: tasks
SELECT id, project_id, name, status, priority, real_progress, fake_progress, authenticity_score,
       estimated_duration, actual_duration, created_at, updated_at, completed_at
FROM tasks
WHERE project_id = :project_id
ORDER BY created_at, added_position

-- name: ready_tasks
SELECT t.id, t.project_id, t.name, t.priority, t.estimated_duration, t.created_at
FROM tasks t JOIN projects p ON p.id = t.project_id
WHERE t.project_id = :project_id AND t.status = 'pending' AND p.status = 'active'
  AND NOT EXISTS (
      SELECT 1 FROM task_dependencies d JOIN tasks o ON o.id = d.depends_on_task_id
      WHERE d.task_id = t.id AND d.dependency_type IN ('blocks', 'requires') AND o.status <> 'completed')
ORDER BY CASE t.priority WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 ELSE 4 END,
         t.created_at, t.added_position
LIMIT :limit

-- name: validation_issues
WITH recent_reports AS (
    SELECT r.id, r.overall_authenticity,
           row_number() OVER (PARTITION BY r.project_id ORDER BY r.created_at DESC, r.id) AS newest
    FROM validation_reports r
    WHERE r.created_at >= :since AND r.created_at <= :until
)
SELECT i.issue_type, i.severity, count(*) AS issue_count, avg(recent.overall_authenticity) AS avg_authenticity
-- CROSS JOIN keeps SQLite to this order of the tables, and || '' from the index of the status: without statistics it
-- would read every open issue there is, instead of those of each report.
FROM recent_reports recent CROSS JOIN validation_issues i
WHERE i.validation_report_id = recent.id AND recent.newest = 1 AND i.status || '' = 'open'
GROUP BY i.issue_type, i.severity
ORDER BY CASE i.severity WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 ELSE 4 END, i.issue_type

-- name: reports
-- MATERIALIZED: else PostgreSQL may walk the reports of all projects by time, until it has enough of this one's.
WITH reports AS MATERIALIZED (
    SELECT id, project_id, validation_type, overall_authenticity, real_progress, fake_progress,
           quality_metrics, issues_summary, created_at
    FROM validation_reports
    WHERE project_id = :project_id
)
SELECT r.id, r.project_id, r.validation_type, r.overall_authenticity, r.real_progress, r.fake_progress,
       r.quality_metrics, r.issues_summary, r.created_at,
       (SELECT count(*) FROM validation_issues i WHERE i.validation_report_id = r.id) AS issue_count
FROM reports r
ORDER BY r.created_at DESC, r.id
LIMIT :limit

-- name: open_issues
WITH reports AS MATERIALIZED (SELECT id, created_at FROM validation_reports WHERE project_id = :project_id)
SELECT i.id, i.validation_report_id, i.task_id, (SELECT t.name FROM tasks t WHERE t.id = i.task_id) AS task_name,
       i.issue_type, i.severity, i.description, i.file_path, i.line_number, i.status, i.created_at
-- CROSS JOIN and || '' as in validation_issues.
FROM reports r CROSS JOIN validation_issues i
WHERE i.validation_report_id = r.id AND i.status || '' IN ('open', 'in_progress')
ORDER BY r.created_at DESC, r.id,
         CASE i.severity WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 ELSE 4 END, i.created_at, i.id
LIMIT :limit

-- name: assignments
-- MATERIALIZED and CROSS JOIN: else a database may walk the assignments of all projects by time.
WITH of_project AS MATERIALIZED (SELECT id, name FROM tasks WHERE project_id = :project_id)
SELECT a.id, a.task_id, t.name AS task_name, a.agent_id, g.name AS agent_name, g.agent_type,
       a.status, a.assigned_at, a.completed_at
FROM of_project t CROSS JOIN agent_assignments a JOIN agents g ON g.id = a.agent_id
WHERE a.task_id = t.id
ORDER BY a.assigned_at DESC, a.id
LIMIT :limit

-- name: file_content
SELECT content FROM project_files WHERE project_id = :project_id AND file_path = :file_path

-- name: metrics
SELECT id, project_id, metric_name, value, metadata, recorded_at
FROM progress_metrics
WHERE project_id = :project_id AND metric_name = :metric_name
  AND recorded_at >= :since AND recorded_at <= :until
ORDER BY recorded_at, CAST(metadata ->> 'seq' AS BIGINT)
LIMIT :limit

-- name: cleanup_log
SELECT id, table_name, rows_deleted, cutoff, cleanup_date
FROM cleanup_log
WHERE cleanup_date >= :since AND cleanup_date <= :until
ORDER BY cleanup_date DESC, table_name, cutoff, id
LIMIT :limit

-- name: counts
SELECT (SELECT count(*) FROM tasks WHERE project_id = :project_id) AS tasks,
       (SELECT count(*) FROM validation_reports WHERE project_id = :project_id) AS reports,
       -- Counted report by report: as a join, PostgreSQL may read the issues of all projects.
       (SELECT CAST(coalesce(sum((SELECT count(*) FROM validation_issues i WHERE i.validation_report_id = r.id)), 0)
                    AS BIGINT)
        FROM validation_reports r WHERE r.project_id = :project_id) AS issues,
       (SELECT count(*) FROM progress_metrics WHERE project_id = :project_id) AS metrics

-- name: workflow_run
SELECT e.id, e.run_id, e.workflow_step_id, s.workflow_id, e.project_id, s.name, s.type, s.step_order,
       s.dependencies AS depends_on, e.status, e.result_data, e.execution_metadata, e.started_at, e.completed_at
FROM step_executions e JOIN workflow_steps s ON s.id = e.workflow_step_id
WHERE e.run_id = :run_id
ORDER BY s.step_order, s.created_at, s.id

-- name: ready_steps
SELECT e.run_id, e.workflow_step_id, e.project_id, s.name, s.type, s.ai_prompt, s.validation_config, s.step_order
FROM step_executions e JOIN workflow_steps s ON s.id = e.workflow_step_id
WHERE e.run_id = :run_id AND e.status || '' = 'pending' -- || '' keeps SQLite from reading every pending step there is
  AND NOT EXISTS (
      SELECT 1 FROM step_executions o
      WHERE o.run_id = e.run_id AND o.status <> 'completed'
        -- dependencies is an array of ids: the one form of "holds this id" that both stores read alike
        AND replace(CAST(s.dependencies AS TEXT), CAST(o.workflow_step_id AS TEXT), '') <> CAST(s.dependencies AS TEXT))
ORDER BY s.step_order, s.created_at, s.id
