-- name: checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection

-- name: lock_checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection FOR UPDATE

-- name: lock_checkpoints
LOCK TABLE checkpoints IN EXCLUSIVE MODE

-- name: first_checkpoint
INSERT INTO checkpoints (projection, version, epoch, position, event_hash)
VALUES (:projection, :version, :epoch, :position, :event_hash)
ON CONFLICT (projection) DO NOTHING RETURNING 1

-- name: move_checkpoint
UPDATE checkpoints SET version = :version, epoch = :epoch, position = :position, event_hash = :event_hash
WHERE projection = :projection

-- name: delete_checkpoint
DELETE FROM checkpoints WHERE projection = :projection
