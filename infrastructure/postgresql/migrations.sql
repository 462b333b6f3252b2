-- name: exists
SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL

-- name: any_table
SELECT 1 FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
LIMIT 1

-- name: lock
SELECT pg_advisory_lock(hashtext('claude-tiu migrations'), hashtext(current_schema()))

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

-- name: is_recorded
SELECT 1 FROM schema_migrations WHERE version = %s

-- name: rollbacks
SELECT version, rollback_sql FROM migration_rollbacks

-- name: record
INSERT INTO schema_migrations (version, description, checksum) VALUES (%s, %s, %s)

-- name: record_rollback
INSERT INTO migration_rollbacks (version, rollback_sql) VALUES (%s, %s)

-- name: rollback
SELECT rollback_sql FROM migration_rollbacks WHERE version = %s

-- name: forget
DELETE FROM schema_migrations WHERE version = %s

-- name: forget_rollback
DELETE FROM migration_rollbacks WHERE version = %s

-- name: lock_checkpoints
LOCK TABLE checkpoints IN EXCLUSIVE MODE

-- name: delete_checkpoint
DELETE FROM checkpoints WHERE projection = %s

-- name: is_table
SELECT 1 WHERE to_regclass(%s) IS NOT NULL
