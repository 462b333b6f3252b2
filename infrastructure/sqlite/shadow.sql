-- The read tables of the next generation, in a file beside that of the live ones.

-- name: has_statistics
SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'

-- name: recorded
SELECT m.version, m.applied_at, r.rollback_sql, r.created_at
FROM schema_migrations m JOIN migration_rollbacks r ON r.version = m.version

-- name: record_1
UPDATE schema_migrations SET applied_at = :applied_at WHERE version = :version

-- name: record_2
UPDATE migration_rollbacks SET rollback_sql = :rollback_sql, created_at = :created_at WHERE version = :version

-- name: checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection

-- name: positions
SELECT (SELECT position FROM main.checkpoints WHERE projection = :projection),
       (SELECT position FROM rebuilt.checkpoints WHERE projection = :projection)

-- name: leases
SELECT name, fence, host, pid, since FROM leases

-- name: set_lease
INSERT INTO leases (name, fence, host, pid, since) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    fence = excluded.fence, host = excluded.host, pid = excluded.pid, since = excluded.since

-- name: set_generation
UPDATE checkpoints SET generation = :generation,
    fence = coalesce((SELECT fence FROM leases WHERE name = :projection), 0)
WHERE projection = :projection

-- name: name_generation
INSERT INTO read_files (projection, generation)
SELECT :projection, :next
WHERE :generation = coalesce((SELECT generation FROM read_files WHERE projection = :projection), 1)
ON CONFLICT (projection) DO UPDATE SET generation = excluded.generation
