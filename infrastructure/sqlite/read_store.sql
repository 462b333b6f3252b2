-- name: checkpoint
SELECT version, epoch, position, event_hash, generation, fence FROM checkpoints WHERE projection = :projection

-- name: set_checkpoint
INSERT INTO checkpoints (projection, version, epoch, position, event_hash, generation, fence)
VALUES (:projection, :version, :epoch, :position, :event_hash, :generation, :fence)
ON CONFLICT (projection) DO UPDATE SET
    version = excluded.version, epoch = excluded.epoch, position = excluded.position, event_hash = excluded.event_hash,
    generation = excluded.generation, fence = excluded.fence

-- name: fence
SELECT fence FROM leases WHERE name = :projection

-- name: delete_checkpoint
DELETE FROM checkpoints WHERE projection = :projection
