-- The statements of leases.sql for subscriptions: `subscription.NAME` is the lease of NAME, which begins behind 13 letters. A
-- number is never used twice: where the row is gone, the checkpoint has it.

-- name: take
INSERT INTO subscription_leases (name, fence, host, pid, since)
VALUES (
    :name, coalesce((SELECT fence FROM subscriptions WHERE name = substr(:name, 14)), 0) + 1, :host, :pid, :since)
ON CONFLICT (name) DO UPDATE SET
    fence = max(fence + 1, excluded.fence), host = excluded.host, pid = excluded.pid, since = excluded.since
RETURNING fence

-- name: fence
UPDATE subscriptions SET fence = :fence WHERE name = substr(:name, 14)

-- name: holder
SELECT fence, host, pid, since FROM subscription_leases WHERE name = :name
