-- The statements of leases.sql that are others for subscriptions: `subscription.NAME` is the lease of NAME. A number is never
-- used twice: where the row is gone, the checkpoint has it.

-- name: is_free
SELECT expires_at < clock_timestamp()
    OR pg_try_advisory_xact_lock(hashtextextended(format('claude-tiu lease %s %s %s', name, fence, current_schema()), 0))
FROM subscription_leases WHERE name = :name

-- name: lock_checkpoint
SELECT FROM subscriptions WHERE name = split_part(:name::text, '.', 2) FOR UPDATE

-- name: take
INSERT INTO subscription_leases AS l (name, fence, candidate, host, pid, since, expires_at)
VALUES (
    :name::text, coalesce((SELECT fence FROM subscriptions WHERE name = split_part(:name::text, '.', 2)), 0) + 1,
    :candidate, :host, :pid, clock_timestamp(), clock_timestamp() + make_interval(secs => :term))
ON CONFLICT (name) DO UPDATE SET
    fence = greatest(l.fence + 1, excluded.fence), candidate = excluded.candidate, host = excluded.host,
    pid = excluded.pid, since = excluded.since, expires_at = excluded.expires_at
WHERE l.expires_at < clock_timestamp()
    OR pg_try_advisory_xact_lock(hashtextextended(format('claude-tiu lease %s %s %s', l.name, l.fence, current_schema()), 0))
RETURNING fence

-- name: fence
UPDATE subscriptions SET fence = :fence WHERE name = split_part(:name::text, '.', 2)

-- name: renew
-- It waits for no disk.
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', TRUE))
UPDATE subscription_leases SET expires_at = clock_timestamp() + make_interval(secs => :term)
FROM quick WHERE name = :name AND fence = :fence AND candidate = :candidate

-- name: holder
SELECT fence, host, pid, since, expires_at >= clock_timestamp() AND EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid::bigint << 32 | objid::bigint
          = hashtextextended(format('claude-tiu lease %s %s %s', name, fence, current_schema()), 0))
FROM subscription_leases WHERE name = :name
