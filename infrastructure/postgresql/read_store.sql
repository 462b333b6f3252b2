-- name: checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection

-- name: lock_checkpoints
LOCK TABLE checkpoints IN EXCLUSIVE MODE

-- name: first_checkpoint
INSERT INTO checkpoints (projection, version, epoch, position, event_hash, generation)
VALUES (:projection, :version, :epoch, :position, :event_hash, :generation)
ON CONFLICT (projection) DO NOTHING

-- name: move_checkpoint
UPDATE checkpoints SET version = :version, epoch = :epoch, position = :position, event_hash = :event_hash,
    generation = :generation
WHERE projection = :projection AND version = :version_before AND epoch = :epoch_before
  AND position = :position_before AND event_hash = :event_hash_before AND generation = :generation_before

-- name: delete_checkpoint
DELETE FROM checkpoints WHERE projection = :projection

-- A commit waits for no disk; a statement is planned once; a plan that was made while a table was small must not read all of
-- it for a row; and what that makes the planner think a merge costs (its staged rows are read whole) must not have it compiled.
-- name: write_by_keys
SELECT set_config('synchronous_commit', 'off', TRUE), set_config('plan_cache_mode', 'force_generic_plan', TRUE),
       set_config('enable_seqscan', 'off', TRUE), set_config('jit', 'off', TRUE)

-- name: commit_without_waiting
SET LOCAL synchronous_commit = off

-- name: column_types
SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped
