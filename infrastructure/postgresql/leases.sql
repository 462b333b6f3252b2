-- A tenure's lock is an advisory one of its holder's session, of (name, fence, schema): it goes with the session.

-- name: is_free
SELECT expires_at < clock_timestamp()
    OR pg_try_advisory_xact_lock(hashtextextended(format('claude-tiu lease %s %s %s', name, fence, current_schema()), 0))
FROM leases WHERE name = :name

-- name: patience
SELECT set_config('lock_timeout', :milliseconds, TRUE)

-- name: lock_checkpoint
SELECT FROM checkpoints WHERE projection = :name FOR UPDATE

-- name: take
INSERT INTO leases AS l (name, fence, candidate, host, pid, since, expires_at)
VALUES (:name, 1, :candidate, :host, :pid, clock_timestamp(), clock_timestamp() + make_interval(secs => :term))
ON CONFLICT (name) DO UPDATE SET
    fence = l.fence + 1, candidate = excluded.candidate, host = excluded.host, pid = excluded.pid, since = excluded.since,
    expires_at = excluded.expires_at
WHERE l.expires_at < clock_timestamp()
    OR pg_try_advisory_xact_lock(hashtextextended(format('claude-tiu lease %s %s %s', l.name, l.fence, current_schema()), 0))
RETURNING fence

-- name: lock
SELECT pg_try_advisory_lock(
    hashtextextended(format('claude-tiu lease %s %s %s', :name::text, :fence::bigint, current_schema()), 0))

-- name: unlock
SELECT pg_advisory_unlock(
    hashtextextended(format('claude-tiu lease %s %s %s', :name::text, :fence::bigint, current_schema()), 0))

-- name: fence
UPDATE checkpoints SET fence = :fence WHERE projection = :name

-- name: end_writers
-- Whoever writes the projection's rows while nobody's tenure lasts: see write_by_keys.
SELECT pid, pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint << 32 | objid::bigint
      = hashtextextended(format('claude-tiu writer %s %s', :name::text, current_schema()), 0)

-- name: renew
-- It waits for no disk.
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', TRUE))
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => :term)
FROM quick WHERE name = :name AND fence = :fence AND candidate = :candidate

-- name: holder
SELECT fence, host, pid, since, expires_at >= clock_timestamp() AND EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid::bigint << 32 | objid::bigint
          = hashtextextended(format('claude-tiu lease %s %s %s', name, fence, current_schema()), 0))
FROM leases WHERE name = :name
