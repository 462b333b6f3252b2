-- Durable subscriptions: how far each has come (infrastructure/subscriptions.py). Nothing can make that again: the way down
-- leaves them, so they may be there.
CREATE TABLE IF NOT EXISTS subscriptions (
    name TEXT PRIMARY KEY,
    topics TEXT NOT NULL, -- JSON: of the events that it takes, as its consumer said last; null: all
    epoch TEXT NOT NULL,
    position INTEGER NOT NULL, -- up to and with which it has all
    event_hash BLOB NOT NULL, -- of the event there
    fence INTEGER NOT NULL, -- that of the lease under which it is moved
    created_at TEXT NOT NULL,
    moved_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Which of several consumers is active, as in `leases`; those stand in the file of the read tables, which comes and goes.
CREATE TABLE subscription_leases (
    name TEXT PRIMARY KEY, -- `subscription.` and the name
    fence INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;
