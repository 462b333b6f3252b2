-- The event store: the only source of truth. Rows of `events` are never changed.
CREATE TABLE store (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch UUID NOT NULL,
    reservation_key BYTEA NOT NULL
);

INSERT INTO store VALUES (1, gen_random_uuid(), uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

CREATE TABLE events (
    position BIGINT PRIMARY KEY,
    stream_id UUID NOT NULL,
    version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BYTEA NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    command_id UUID,
    command_digest BYTEA,
    correlation_id TEXT,
    causation_id TEXT,
    actor TEXT,
    project_id UUID,
    key_id UUID,
    previous_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    UNIQUE (stream_id, version)
);

CREATE INDEX events_command_id ON events (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX events_correlation_id ON events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_project_id ON events (project_id, position) WHERE project_id IS NOT NULL;

-- A second wall: the code never changes a stored event, and nobody does by accident.
CREATE FUNCTION events_are_immutable() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are immutable';
END;
$$;

CREATE TRIGGER events_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_immutable();

-- Values that only one event may hold, under a keyed hash.
CREATE TABLE reservations (
    space TEXT NOT NULL,
    key BYTEA NOT NULL,
    stream_id UUID NOT NULL,
    PRIMARY KEY (space, key)
);

CREATE INDEX reservations_stream_id ON reservations (stream_id);

-- The key of each person's data: destroying it is what forgetting means. Backed up apart from the events.
CREATE TABLE personal_keys (
    person_id UUID PRIMARY KEY,
    key BYTEA NOT NULL,
    wrapped BOOLEAN NOT NULL -- encrypted under the master key of the settings
);

-- The write-side tables: what decisions ask of more than one stream (projections/write_side.py). The events make them.
-- Each task, and how many of those that it waits for are not completed yet.
CREATE TABLE task_queue (
    task_id UUID PRIMARY KEY,
    project_id UUID NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL, -- 1 (critical) to 4 (low)
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    agent_type TEXT,
    capabilities JSONB NOT NULL,
    unmet INTEGER NOT NULL
);

CREATE INDEX task_queue_ready ON task_queue (project_id, priority, created_at, position)
    WHERE status = 'pending' AND unmet = 0;

CREATE TABLE task_queue_dependencies (
    task_id UUID NOT NULL,
    depends_on_task_id UUID NOT NULL,
    PRIMARY KEY (task_id, depends_on_task_id)
);

CREATE INDEX task_queue_dependencies_depends_on ON task_queue_dependencies (depends_on_task_id);

-- What is open or due.
CREATE TABLE agenda (
    kind TEXT NOT NULL,
    id UUID NOT NULL,
    project_id UUID NOT NULL,
    due TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX agenda_due ON agenda (kind, due);
CREATE INDEX agenda_project_id ON agenda (project_id);

-- Apply changes of the write-side tables, each that of the event at position `before` + its "event".
CREATE FUNCTION change_write_side(changes JSONB, before BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    c RECORD;
BEGIN
    FOR c IN
        SELECT * FROM jsonb_to_recordset(changes) AS (
            op TEXT, event BIGINT, id UUID, other UUID, project_id UUID, kind TEXT, status TEXT, priority INTEGER,
            at TIMESTAMP WITH TIME ZONE, agent_type TEXT, capabilities JSONB, space TEXT, key TEXT, wrapped BOOLEAN
        )
    LOOP
        CASE c.op
            WHEN 'queue_task' THEN
                INSERT INTO task_queue
                VALUES (c.id, c.project_id, 'pending', c.priority, c.at, before + c.event, c.agent_type, c.capabilities, 0);
            WHEN 'move_task' THEN
                UPDATE task_queue SET unmet = unmet + CASE WHEN c.status = 'completed' THEN -1 ELSE 1 END
                WHERE task_id IN (SELECT d.task_id FROM task_queue_dependencies d WHERE d.depends_on_task_id = c.id)
                  AND (c.status = 'completed') <> (SELECT q.status = 'completed' FROM task_queue q WHERE q.task_id = c.id);
                UPDATE task_queue SET status = c.status WHERE task_id = c.id;
            WHEN 'bind' THEN
                INSERT INTO task_queue_dependencies VALUES (c.id, c.other);
                UPDATE task_queue SET unmet = unmet + 1
                WHERE task_id = c.id
                  AND EXISTS (SELECT FROM task_queue q WHERE q.task_id = c.other AND q.status <> 'completed');
            WHEN 'unbind' THEN
                UPDATE task_queue SET unmet = unmet - 1
                WHERE task_id = c.id
                  AND EXISTS (SELECT FROM task_queue_dependencies d
                              WHERE d.task_id = c.id AND d.depends_on_task_id = c.other)
                  AND EXISTS (SELECT FROM task_queue q WHERE q.task_id = c.other AND q.status <> 'completed');
                DELETE FROM task_queue_dependencies d WHERE d.task_id = c.id AND d.depends_on_task_id = c.other;
            WHEN 'schedule' THEN
                INSERT INTO agenda VALUES (c.kind, c.id, c.project_id, c.at)
                ON CONFLICT ON CONSTRAINT agenda_pkey DO UPDATE SET due = excluded.due;
            WHEN 'unschedule' THEN
                DELETE FROM agenda a WHERE a.kind = c.kind AND a.id = c.id;
            WHEN 'release' THEN
                DELETE FROM reservations r WHERE r.stream_id = c.id AND (c.space IS NULL OR r.space = c.space);
            WHEN 'create_key' THEN
                INSERT INTO personal_keys VALUES (c.id, decode(c.key, 'base64'), c.wrapped)
                ON CONFLICT ON CONSTRAINT personal_keys_pkey
                DO UPDATE SET key = excluded.key, wrapped = excluded.wrapped;
            WHEN 'destroy_key' THEN
                DELETE FROM personal_keys k WHERE k.person_id = c.id;
        END CASE;
    END LOOP;
END;
$$;

CREATE FUNCTION hash_field(value BYTEA) RETURNS BYTEA LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value IS NULL THEN '\xffffffff'::bytea ELSE int4send(length(value)) || value END;

-- The hash of an event's row: infrastructure/event_hash.py describes the encoding, and does the same.
CREATE FUNCTION event_hash(event events) RETURNS BYTEA LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(
    hash_field((event).previous_hash)
    || hash_field(int8send((event).position))
    || hash_field(uuid_send((event).stream_id))
    || hash_field(int8send((event).version))
    || hash_field(convert_to((event).topic, 'UTF8'))
    || hash_field((event).state)
    || hash_field(int8send((extract(epoch FROM (event).recorded_at) * 1000000)::bigint))
    || hash_field(uuid_send((event).command_id))
    || hash_field((event).command_digest)
    || hash_field(convert_to((event).correlation_id, 'UTF8'))
    || hash_field(convert_to((event).causation_id, 'UTF8'))
    || hash_field(convert_to((event).actor, 'UTF8'))
    || hash_field(uuid_send((event).project_id))
    || hash_field(uuid_send((event).key_id))
);

-- The channel that tells of appends: one for each store of a database.
CREATE FUNCTION events_channel() RETURNS TEXT LANGUAGE sql STABLE
RETURN 'tiu_events_' || 'events'::regclass::oid;

-- Append units of events, one server call: the ordering lock, the checks, the rows and the notification.
--
-- Events, guards and reservations come as parallel arrays; unit u owns those up to *_ends[u], behind those of u - 1.
-- Each unit's outcome: 'stored' (with its first position), or, with nothing stored of it, 'known' (a command_id is in
-- the log), 'taken' (detail: which of its reservations, from 1; what the unit itself releases is free) or 'conflict'
-- (detail: which of its guards, from 1). Of the reservations those are kept that no later event of the unit lets go; what
-- an event reserves must have been free, or let go by then. changes[u] are the unit's changes of the write-side tables, or NULL.
-- The lock is held until the commit, so positions become visible in their order; recorded_at never falls.
CREATE FUNCTION append_events(
    event_ends INTEGER[], streams UUID[], versions INTEGER[], topics TEXT[], states BYTEA[],
    command_ids UUID[], command_digests BYTEA[], correlation_ids TEXT[], causation_ids TEXT[], actors TEXT[],
    project_ids UUID[], key_ids UUID[],
    guard_ends INTEGER[], guard_streams UUID[], guard_versions INTEGER[],
    reservation_ends INTEGER[], reservation_spaces TEXT[], reservation_keys BYTEA[], reservation_streams UUID[],
    reservation_events INTEGER[], reservation_kept BOOLEAN[],
    changes JSONB[]
) RETURNS TABLE (outcome TEXT, first_position BIGINT, detail INTEGER) LANGUAGE plpgsql AS $$
DECLARE
    new_event events;
    first INTEGER := 1;
    first_guard INTEGER := 1;
    first_reservation INTEGER := 1;
    stored BIGINT := 0;
BEGIN
    PERFORM pg_advisory_xact_lock('events'::regclass::oid::bigint);

    SELECT e.position, e.hash, e.recorded_at INTO new_event.position, new_event.hash, new_event.recorded_at
    FROM events e ORDER BY e.position DESC LIMIT 1;
    IF NOT FOUND THEN
        new_event.position := 0;
        new_event.hash := decode(repeat('00', 32), 'hex');
    END IF;
    new_event.recorded_at := greatest(clock_timestamp(), new_event.recorded_at);

    FOR u IN 1 .. cardinality(event_ends) LOOP
        first_position := NULL;
        detail := NULL;

        SELECT min(r.ordinality) INTO detail
        FROM unnest(reservation_spaces[first_reservation:reservation_ends[u]],
                    reservation_keys[first_reservation:reservation_ends[u]],
                    reservation_events[first_reservation:reservation_ends[u]])
             WITH ORDINALITY AS r (space, key, event, ordinality)
        WHERE EXISTS (
            SELECT FROM reservations t
            WHERE t.space = r.space AND t.key = r.key
              AND NOT EXISTS (
                  SELECT FROM jsonb_to_recordset(changes[u]) AS c (op TEXT, event INTEGER, id UUID, space TEXT)
                  WHERE c.op = 'release' AND c.event <= r.event AND c.id = t.stream_id
                    AND (c.space IS NULL OR c.space = t.space)));

        IF EXISTS (
            SELECT FROM events e WHERE e.command_id = ANY (command_ids[first:event_ends[u]])
        ) THEN
            outcome := 'known';
            detail := NULL;
        ELSIF detail IS NOT NULL THEN
            outcome := 'taken';
        ELSE
            SELECT min(g.ordinality) INTO detail
            FROM unnest(guard_streams[first_guard:guard_ends[u]], guard_versions[first_guard:guard_ends[u]])
                 WITH ORDINALITY AS g (stream_id, version, ordinality)
            WHERE g.version <> coalesce(
                (SELECT e.version FROM events e WHERE e.stream_id = g.stream_id ORDER BY e.version DESC LIMIT 1), 0);
            outcome := CASE WHEN detail IS NULL THEN 'stored' ELSE 'conflict' END;
        END IF;

        IF outcome = 'stored' THEN
            first_position := new_event.position + 1;
            FOR i IN first .. event_ends[u] LOOP
                new_event.position := new_event.position + 1;
                new_event.stream_id := streams[i];
                new_event.version := versions[i];
                new_event.topic := topics[i];
                new_event.state := states[i];
                new_event.command_id := command_ids[i];
                new_event.command_digest := command_digests[i];
                new_event.correlation_id := correlation_ids[i];
                new_event.causation_id := causation_ids[i];
                new_event.actor := actors[i];
                new_event.project_id := project_ids[i];
                new_event.key_id := key_ids[i];
                new_event.previous_hash := new_event.hash;
                new_event.hash := event_hash(new_event);
                INSERT INTO events SELECT new_event.*;
            END LOOP;
            IF changes[u] IS NOT NULL THEN
                PERFORM change_write_side(changes[u], first_position);
            END IF;
            INSERT INTO reservations
            SELECT r.space, r.key, r.stream_id
            FROM unnest(reservation_spaces[first_reservation:reservation_ends[u]],
                        reservation_keys[first_reservation:reservation_ends[u]],
                        reservation_streams[first_reservation:reservation_ends[u]],
                        reservation_kept[first_reservation:reservation_ends[u]]) AS r (space, key, stream_id, kept)
            WHERE r.kept;
            stored := new_event.position;
        END IF;

        first := event_ends[u] + 1;
        first_guard := guard_ends[u] + 1;
        first_reservation := reservation_ends[u] + 1;
        RETURN NEXT;
    END LOOP;

    IF stored > 0 THEN
        PERFORM pg_notify(events_channel(), stored::text);
    END IF;
END;
$$;
