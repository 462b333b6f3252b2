-- name: take
INSERT INTO leases (name, fence, host, pid, since) VALUES (:name, 1, :host, :pid, :since)
ON CONFLICT (name) DO UPDATE SET
    fence = fence + 1, host = excluded.host, pid = excluded.pid, since = excluded.since
RETURNING fence

-- name: fence
UPDATE checkpoints SET fence = :fence WHERE projection = :name

-- name: holder
SELECT fence, host, pid, since FROM leases WHERE name = :name
