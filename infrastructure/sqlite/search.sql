-- CROSS JOIN keeps the order of the tables: the text index finds, the others are looked up by key.

-- name: projects
SELECT p.id, p.user_id, p.name, p.description, p.status, p.template_id, p.configuration, p.metadata,
       p.real_progress, p.fake_progress, p.authenticity_rate, p.quality_score, p.created_at, p.updated_at,
       p.completed_at
FROM idx_projects_search s
CROSS JOIN projects_search_ids i ON i.docid = s.rowid
CROSS JOIN projects p ON p.id = i.project_id
WHERE s.idx_projects_search MATCH :text AND (:user_id IS NULL OR p.user_id = :user_id)
ORDER BY p.updated_at DESC, p.id
LIMIT :limit

-- name: files
SELECT f.id, f.project_id, f.file_path, f.content_hash, f.size_bytes, f.status, f.validation_score, f.metadata,
       f.created_at, f.updated_at
FROM idx_project_files_content_search s
CROSS JOIN project_files_search_ids i ON i.docid = s.rowid
CROSS JOIN project_files f ON f.id = i.file_id
WHERE s.idx_project_files_content_search MATCH :text AND (:project_id IS NULL OR f.project_id = :project_id)
ORDER BY f.updated_at DESC, f.id
LIMIT :limit
