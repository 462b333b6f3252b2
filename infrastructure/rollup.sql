-- What is read to roll up metrics: the projects that have detail rows recorded before a time, those rows, and the
-- daily rows that they may merge with.

-- name: projects_of_progress_metrics
SELECT DISTINCT project_id FROM progress_metrics
WHERE recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'
ORDER BY project_id

-- name: details_of_progress_metrics
SELECT id, project_id, metric_name, value, metadata, recorded_at FROM progress_metrics
WHERE project_id = :project_id AND recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'

-- name: dailies_of_progress_metrics
SELECT id, project_id, metric_name, value, metadata, recorded_at FROM progress_metrics
WHERE project_id = :project_id AND recorded_at < :before AND metadata ->> 'aggregation_level' = 'daily'

-- name: projects_of_progress_metrics_archive
SELECT DISTINCT project_id FROM progress_metrics_archive
WHERE recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'
ORDER BY project_id

-- name: details_of_progress_metrics_archive
SELECT id, project_id, metric_name, value, metadata, recorded_at FROM progress_metrics_archive
WHERE project_id = :project_id AND recorded_at < :before AND coalesce(metadata ->> 'aggregation_level', '') <> 'daily'

-- name: dailies_of_progress_metrics_archive
SELECT id, project_id, metric_name, value, metadata, recorded_at FROM progress_metrics_archive
WHERE project_id = :project_id AND recorded_at < :before AND metadata ->> 'aggregation_level' = 'daily'
