-- name: exists
SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL

-- name: lock
SELECT pg_advisory_xact_lock(hashtext('claude-tiu migrations'), hashtext(current_schema()))

-- name: create_schema_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (
    version VARCHAR(50) PRIMARY KEY,
    applied_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    description TEXT,
    checksum TEXT NOT NULL
)

-- name: create_migration_rollbacks
CREATE TABLE IF NOT EXISTS migration_rollbacks (
    version VARCHAR(50) PRIMARY KEY,
    rollback_sql TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
)

-- name: recorded
SELECT version, to_char(applied_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), description, checksum
FROM schema_migrations ORDER BY version

-- name: rollbacks
SELECT version, rollback_sql FROM migration_rollbacks

-- name: record
INSERT INTO schema_migrations (version, description, checksum) VALUES (%s, %s, %s)

-- name: record_rollback
INSERT INTO migration_rollbacks (version, rollback_sql) VALUES (%s, %s)

-- name: last_recorded
SELECT max(version) FROM schema_migrations WHERE version > %s

-- name: rollback
SELECT rollback_sql FROM migration_rollbacks WHERE version = %s

-- name: forget
DELETE FROM schema_migrations WHERE version = %s

-- name: forget_rollback
DELETE FROM migration_rollbacks WHERE version = %s
