-- The event store: the only source of truth. Rows of `events` are never changed.
CREATE TABLE store (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch TEXT NOT NULL,
    reservation_key BLOB NOT NULL
) STRICT;

INSERT INTO store VALUES (1, lower(hex(randomblob(16))), randomblob(32));

-- Which sibling file holds the tables of a projection: the first, where there is no row.
CREATE TABLE read_files (
    projection TEXT PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT;

INSERT INTO read_files VALUES ('read_model', 1);

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
CREATE INDEX events_causation_id ON events (causation_id) WHERE causation_id IS NOT NULL;
CREATE INDEX events_project_id ON events (project_id, position) WHERE project_id IS NOT NULL;
CREATE INDEX events_key_id ON events (key_id, stream_id) WHERE key_id IS NOT NULL;

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

CREATE INDEX reservations_stream_id ON reservations (stream_id);

-- The key of each person's data: destroying it is what forgetting means. Backed up apart from the events.
CREATE TABLE personal_keys (
    person_id TEXT PRIMARY KEY,
    key BLOB NOT NULL,
    wrapped INTEGER NOT NULL -- encrypted under the master key of the settings
) STRICT, WITHOUT ROWID;

-- The write-side tables: what decisions ask of more than one stream (projections/write_side.py). The events make them.
-- Each task, and how many of those that it waits for are not completed yet.
CREATE TABLE task_queue (
    task_id TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL, -- 1 (critical) to 4 (low)
    created_at TEXT NOT NULL,
    position INTEGER NOT NULL,
    agent_type TEXT,
    capabilities TEXT NOT NULL,
    unmet INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX task_queue_ready ON task_queue (project_id, priority, created_at, position)
    WHERE status = 'pending' AND unmet = 0;

CREATE TABLE task_queue_dependencies (
    task_id TEXT NOT NULL,
    depends_on_task_id TEXT NOT NULL,
    PRIMARY KEY (task_id, depends_on_task_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX task_queue_dependencies_depends_on ON task_queue_dependencies (depends_on_task_id);

-- What is open or due.
CREATE TABLE agenda (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    due TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX agenda_due ON agenda (kind, due);
CREATE INDEX agenda_project_id ON agenda (project_id);
