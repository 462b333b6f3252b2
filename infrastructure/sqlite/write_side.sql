-- The changes of projections/write_side.py, each as the statements NAME_1, NAME_2 ... in order; `position` is its event's.

-- name: queue_task_1
INSERT INTO task_queue VALUES (:id, :project_id, 'pending', :priority, :at, :position, :agent_type, :capabilities, 0)

-- name: move_task_1
UPDATE task_queue SET unmet = unmet + CASE WHEN :status = 'completed' THEN -1 ELSE 1 END
WHERE task_id IN (SELECT d.task_id FROM task_queue_dependencies d WHERE d.depends_on_task_id = :id)
  AND (:status = 'completed') <> (SELECT q.status = 'completed' FROM task_queue q WHERE q.task_id = :id)

-- name: move_task_2
UPDATE task_queue SET status = :status WHERE task_id = :id

-- name: bind_1
INSERT INTO task_queue_dependencies VALUES (:id, :other)

-- name: bind_2
UPDATE task_queue SET unmet = unmet + 1
WHERE task_id = :id AND EXISTS (SELECT 1 FROM task_queue q WHERE q.task_id = :other AND q.status <> 'completed')

-- name: unbind_1
UPDATE task_queue SET unmet = unmet - 1
WHERE task_id = :id
  AND EXISTS (SELECT 1 FROM task_queue_dependencies d WHERE d.task_id = :id AND d.depends_on_task_id = :other)
  AND EXISTS (SELECT 1 FROM task_queue q WHERE q.task_id = :other AND q.status <> 'completed')

-- name: unbind_2
DELETE FROM task_queue_dependencies WHERE task_id = :id AND depends_on_task_id = :other

-- name: schedule_1
INSERT INTO agenda VALUES (:kind, :id, :project_id, :at)
ON CONFLICT (kind, id) DO UPDATE SET due = excluded.due

-- name: unschedule_1
DELETE FROM agenda WHERE kind = :kind AND id = :id

-- name: release_1
DELETE FROM reservations WHERE stream_id = :id AND (:space IS NULL OR space = :space)

-- name: create_key_1
INSERT INTO personal_keys VALUES (:id, :key, :wrapped)
ON CONFLICT (person_id) DO UPDATE SET key = excluded.key, wrapped = excluded.wrapped

-- name: destroy_key_1
DELETE FROM personal_keys WHERE person_id = :id
