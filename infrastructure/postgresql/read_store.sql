-- name: checkpoint
SELECT version, epoch, position, event_hash, generation, fence FROM checkpoints WHERE projection = :projection

-- name: fence
SELECT fence FROM leases WHERE name = :projection

-- name: lock_checkpoints
LOCK TABLE checkpoints IN EXCLUSIVE MODE

-- name: first_checkpoint
-- There is no row yet that holds the fence: the lease's is asked, and does not rise before this is committed.
INSERT INTO checkpoints (projection, version, epoch, position, event_hash, generation, fence)
SELECT :projection::text, :version::integer, :epoch::uuid, :position::bigint, :event_hash::bytea, :generation::bigint,
    :fence::bigint
WHERE :fence::bigint = coalesce((SELECT fence FROM leases WHERE name = :projection::text FOR SHARE), 0)
ON CONFLICT (projection) DO NOTHING

-- name: move_checkpoint
UPDATE checkpoints SET version = :version, epoch = :epoch, position = :position, event_hash = :event_hash,
    generation = :generation, fence = :fence
WHERE projection = :projection AND version = :version_before AND epoch = :epoch_before
  AND position = :position_before AND event_hash = :event_hash_before AND generation = :generation_before
  AND fence = :fence_before

-- name: delete_checkpoint
DELETE FROM checkpoints WHERE projection = :projection

-- A commit waits for no disk; a statement is planned once; a plan that was made while a table was small must not read all of
-- it for a row; and what that makes the planner think a merge costs (its staged rows are read whole) must not have it compiled.
-- The lock keeps nobody out: by it, whoever takes the lease over finds a session whose process stands still in here.
-- name: write_by_keys
SELECT set_config('synchronous_commit', 'off', TRUE), set_config('plan_cache_mode', 'force_generic_plan', TRUE),
       set_config('enable_seqscan', 'off', TRUE), set_config('jit', 'off', TRUE),
       pg_advisory_xact_lock_shared(
           hashtextextended(format('claude-tiu writer %s %s', :projection::text, current_schema()), 0))

-- name: commit_without_waiting
SELECT set_config('synchronous_commit', 'off', TRUE),
       pg_advisory_xact_lock_shared(
           hashtextextended(format('claude-tiu writer %s %s', :projection::text, current_schema()), 0))

-- name: column_types
SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped
