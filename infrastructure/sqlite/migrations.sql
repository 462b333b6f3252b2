-- name: exists
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'

-- name: read_generation
SELECT coalesce((SELECT generation FROM read_files WHERE projection = :projection), 1)

-- name: any_table
SELECT 1 FROM sqlite_master LIMIT 1

-- name: create_schema_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (
    version TEXT PRIMARY KEY CHECK (length(version) <= 50),
    applied_at TEXT NOT NULL,
    description TEXT,
    checksum TEXT NOT NULL
) STRICT

-- name: create_migration_rollbacks
CREATE TABLE IF NOT EXISTS migration_rollbacks (
    version TEXT PRIMARY KEY CHECK (length(version) <= 50),
    rollback_sql TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT

-- name: recorded
SELECT version, applied_at, description, checksum FROM schema_migrations ORDER BY version

-- name: is_recorded
SELECT 1 FROM schema_migrations WHERE version = ?

-- name: rollbacks
SELECT version, rollback_sql FROM migration_rollbacks

-- name: record
INSERT INTO schema_migrations (version, applied_at, description, checksum)
VALUES (:version, strftime('%Y-%m-%dT%H:%M:%f000Z'), :description, :checksum)

-- name: record_rollback
INSERT INTO migration_rollbacks (version, rollback_sql, created_at)
VALUES (:version, :rollback_sql, strftime('%Y-%m-%dT%H:%M:%f000Z'))

-- name: rollback
SELECT rollback_sql FROM migration_rollbacks WHERE version = ?

-- name: forget
DELETE FROM schema_migrations WHERE version = ?

-- name: forget_rollback
DELETE FROM migration_rollbacks WHERE version = ?

-- name: delete_checkpoint
DELETE FROM checkpoints WHERE projection = ?

-- name: is_table
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?
