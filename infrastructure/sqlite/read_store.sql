-- name: checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection

-- name: set_checkpoint
INSERT INTO checkpoints (projection, version, epoch, position, event_hash, generation)
VALUES (:projection, :version, :epoch, :position, :event_hash, :generation)
ON CONFLICT (projection) DO UPDATE SET
    version = excluded.version, epoch = excluded.epoch, position = excluded.position, event_hash = excluded.event_hash,
    generation = excluded.generation

-- name: delete_checkpoint
DELETE FROM checkpoints WHERE projection = :projection
