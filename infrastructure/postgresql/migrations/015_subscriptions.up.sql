-- Durable subscriptions: how far each has come (infrastructure/subscriptions.py). Nothing can make that again: the way down
-- leaves them, so they may be there.
CREATE TABLE IF NOT EXISTS subscriptions (
    name VARCHAR(64) PRIMARY KEY,
    topics JSONB NOT NULL, -- of the events that it takes, as its consumer said last; NULL in JSON: all
    epoch UUID NOT NULL,
    position BIGINT NOT NULL, -- up to and with which it has all
    event_hash BYTEA NOT NULL, -- of the event there
    fence BIGINT NOT NULL, -- that of the lease under which it is moved
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    moved_at TIMESTAMP WITH TIME ZONE NOT NULL
);

-- Which of several consumers is active, as in `leases`: apart from those, since it is no projector who takes them.
CREATE TABLE subscription_leases (
    name VARCHAR(100) PRIMARY KEY, -- `subscription.` and the name
    fence BIGINT NOT NULL,
    candidate UUID NOT NULL,
    host VARCHAR(255) NOT NULL,
    pid BIGINT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL
);
