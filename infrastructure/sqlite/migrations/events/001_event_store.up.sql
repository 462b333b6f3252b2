-- The event store: the only source of truth. Rows of `events` are never changed.
CREATE TABLE store (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch TEXT NOT NULL,
    reservation_key BLOB NOT NULL,
    read_generation INTEGER NOT NULL -- which sibling file holds the read tables
) STRICT;

INSERT INTO store VALUES (1, lower(hex(randomblob(16))), randomblob(32), 1);

CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    stream_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    recorded_at TEXT NOT NULL,
    command_id TEXT,
    command_digest BLOB,
    correlation_id TEXT,
    causation_id TEXT,
    actor TEXT,
    project_id TEXT,
    key_id TEXT,
    previous_hash BLOB NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (stream_id, version)
) STRICT;

CREATE INDEX events_command_id ON events (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX events_correlation_id ON events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_project_id ON events (project_id, position) WHERE project_id IS NOT NULL;

-- A second wall: the code never changes a stored event, and nobody does by accident.
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are immutable'); END;

CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are immutable'); END;

CREATE TRIGGER events_are_not_replaced BEFORE INSERT ON events -- REPLACE deletes without firing the trigger above
WHEN EXISTS (
    SELECT 1 FROM events WHERE position = NEW.position OR (stream_id = NEW.stream_id AND version = NEW.version))
BEGIN SELECT RAISE(ABORT, 'events are immutable'); END;

-- Values that only one event may hold, under a keyed hash.
CREATE TABLE reservations (
    space TEXT NOT NULL,
    key BLOB NOT NULL,
    stream_id TEXT NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
