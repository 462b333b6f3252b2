-- The expressions are those of the indexes idx_projects_search and idx_project_files_content_search, word for word.
-- The text index always finds, and the rest is done with what it found (MATERIALIZED), whatever the text is ((SELECT …)
-- keeps it from the planner): a plan that reads by user, project or time instead makes the tsvector of each row anew,
-- and a file's takes milliseconds.

-- name: projects
WITH found AS MATERIALIZED (
    SELECT id, user_id, name, description, status, template_id, configuration, metadata,
           real_progress, fake_progress, authenticity_rate, quality_score, created_at, updated_at, completed_at
    FROM projects
    WHERE to_tsvector('english', name || ' ' || COALESCE(description, ''))
          @@ (SELECT plainto_tsquery('english', :text))
)
SELECT id, user_id, name, description, status, template_id, configuration, metadata,
       real_progress, fake_progress, authenticity_rate, quality_score, created_at, updated_at, completed_at
FROM found
WHERE CAST(:user_id AS UUID) IS NULL OR user_id = CAST(:user_id AS UUID)
ORDER BY updated_at DESC, id
LIMIT :limit

-- name: files
WITH found AS MATERIALIZED (
    SELECT id, project_id, file_path, content_hash, size_bytes, status, validation_score, metadata,
           created_at, updated_at
    FROM project_files
    WHERE to_tsvector('english', left(content, 65536)) @@ (SELECT plainto_tsquery('english', :text))
)
SELECT id, project_id, file_path, content_hash, size_bytes, status, validation_score, metadata, created_at, updated_at
FROM found
WHERE CAST(:project_id AS UUID) IS NULL OR project_id = CAST(:project_id AS UUID)
ORDER BY updated_at DESC, id
LIMIT :limit
