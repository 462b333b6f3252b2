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
CREATE INDEX events_correlation_id ON events (correlation_id, position) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_causation_id ON events (causation_id, position) WHERE causation_id IS NOT NULL;
CREATE INDEX events_project_id ON events (project_id, position) WHERE project_id IS NOT NULL;
CREATE INDEX events_key_id ON events (key_id, stream_id) WHERE key_id IS NOT NULL;

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

-- The hash of an event's row: infrastructure/event_hash.py describes the encoding, and does the same. array_send writes
-- each element as that asks, its length (-1 for NULL) and its bytes, behind 20 bytes of its own.
CREATE FUNCTION event_hash(event events) RETURNS BYTEA LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(substr(array_send(ARRAY[
    (event).previous_hash,
    int8send((event).position),
    uuid_send((event).stream_id),
    int8send((event).version),
    convert_to((event).topic, 'UTF8'),
    (event).state,
    int8send((extract(epoch FROM (event).recorded_at) * 1000000)::bigint),
    uuid_send((event).command_id),
    (event).command_digest,
    convert_to((event).correlation_id, 'UTF8'),
    convert_to((event).causation_id, 'UTF8'),
    convert_to((event).actor, 'UTF8'),
    uuid_send((event).project_id),
    uuid_send((event).key_id)
]), 21));

-- The channel that tells of appends: one for each store of a database.
CREATE FUNCTION events_channel() RETURNS TEXT LANGUAGE sql STABLE
RETURN 'tiu_events_' || 'events'::regclass::oid;

-- Make the commit of the transaction at hand wait until all that was committed before it is on disk: its message stands
-- behind that in the log. Where synchronous_commit asks for more than this server's disk, it is given.
CREATE FUNCTION flush_events() RETURNS TEXT LANGUAGE sql
RETURN concat(
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', TRUE) END,
    pg_logical_emit_message(TRUE, 'claude-tiu', '')
);

-- Append units of events: the ordering lock, the checks, the rows and the notification, in one server call.
--
-- Events and guards come as parallel arrays; unit u owns those up to *_ends[u], behind those of u - 1. reserved[u] are the
-- unit's reservations, and changes[u] its changes of the write-side tables, as JSON or NULL.
-- Where all units were stored and changes is NULL, outcomes is: details has the first position alone. Else each unit's
-- outcome: 'stored' (detail: its first position), or, with nothing stored of it, 'known' (a command_id is in
-- the log), 'taken' (detail: which of its reservations; what the unit itself releases is free) or 'conflict' (detail:
-- which of its guards), both counted from 0. Of the reservations those are kept that no later event of the unit lets go;
-- what an event reserves must have been free, or let go by then.
-- The lock is held until the commit, so positions become visible in their order; recorded_at never falls.
--
-- Units that are `independent` (none writes a stream that another guards or writes, no command_id is in two, no value is
-- reserved) are checked and stored together; one by one where they are not, and where any of them is refused.
--
-- With `alone` there are two transactions: the lock is let go with the first, whose commit waits for nothing; the second
-- waits for the disk, together with those of others. So what was stored is on disk when the call returns. Otherwise the
-- caller has begun a transaction, and calls flush_events() behind it.
-- The settings are the transaction's: plans are made once a session, and none for a table that was still empty.
CREATE PROCEDURE append_events(
    alone BOOLEAN, independent BOOLEAN,
    event_ends INTEGER[], streams UUID[], versions INTEGER[], topics TEXT[], states BYTEA[],
    command_ids UUID[], command_digests BYTEA[], correlation_ids TEXT[], causation_ids TEXT[], actors TEXT[],
    project_ids UUID[], key_ids UUID[],
    guard_ends INTEGER[], guard_streams UUID[], guard_versions INTEGER[], reserved JSONB[], changes JSONB[],
    OUT outcomes TEXT[], OUT details BIGINT[]
) LANGUAGE plpgsql AS $$
DECLARE
    head BIGINT; -- the last position ...
    head_hash BYTEA; -- ... and its hash
    recorded TIMESTAMP WITH TIME ZONE;
    unit INTEGER := 1; -- the units from here ...
    up_to INTEGER := 1; -- ... to here are checked and stored together: their events and guards begin at these
    event INTEGER := 1;
    guard INTEGER := 1;
    hashes BYTEA[]; -- each event's, behind that of the one before
    known BOOLEAN;
    moved INTEGER;
    taken INTEGER;
    stored BOOLEAN := FALSE;
    done TEXT; -- takes what is of no use: an assignment costs less than PERFORM
BEGIN
    done := set_config('synchronous_commit', 'off', TRUE);
    done := set_config('plan_cache_mode', 'force_generic_plan', TRUE);
    done := set_config('enable_seqscan', 'off', TRUE);
    done := pg_advisory_xact_lock('events'::regclass::oid::bigint);

    SELECT e.position, e.hash, e.recorded_at INTO head, head_hash, recorded
    FROM events e ORDER BY e.position DESC LIMIT 1;
    IF head IS NULL THEN
        head := 0;
        head_hash := decode(repeat('00', 32), 'hex');
    END IF;
    recorded := greatest(clock_timestamp(), recorded);
    IF independent THEN
        up_to := cardinality(event_ends);
    END IF;

    WHILE unit <= cardinality(event_ends) LOOP
        SELECT EXISTS (SELECT FROM events e WHERE e.command_id = ANY (command_ids[event:event_ends[up_to]])),
               (SELECT min(g) FROM generate_series(guard, guard_ends[up_to]) AS g
                WHERE guard_versions[g] <> coalesce(
                    (SELECT e.version FROM events e WHERE e.stream_id = guard_streams[g]
                     ORDER BY e.version DESC LIMIT 1), 0))
        INTO known, moved;
        taken := NULL;
        IF reserved[unit] IS NOT NULL THEN
            SELECT min(r.number) INTO taken
            FROM jsonb_to_recordset(reserved[unit]) AS r (number INTEGER, event INTEGER, space TEXT, key TEXT)
            JOIN reservations t ON t.space = r.space AND t.key = decode(r.key, 'base64')
            WHERE NOT EXISTS (
                SELECT FROM jsonb_to_recordset(changes[unit]) AS c (op TEXT, event INTEGER, id UUID, space TEXT)
                WHERE c.op = 'release' AND c.event <= r.event AND c.id = t.stream_id
                  AND (c.space IS NULL OR c.space = t.space));
        END IF;

        IF (known OR taken IS NOT NULL OR moved IS NOT NULL) AND up_to > unit THEN
            up_to := unit; -- one by one then, so that only those at fault are refused
            CONTINUE;
        END IF;

        IF known THEN
            outcomes[unit] := 'known';
            details[unit] := NULL;
        ELSIF taken IS NOT NULL THEN
            outcomes[unit] := 'taken';
            details[unit] := taken;
        ELSIF moved IS NOT NULL THEN
            outcomes[unit] := 'conflict';
            details[unit] := moved - guard;
        ELSE
            hashes[event - 1] := head_hash;
            FOR i IN event .. event_ends[up_to] LOOP
                hashes[i] := event_hash(ROW(
                    head + 1 + i - event, streams[i], versions[i], topics[i], states[i], recorded, command_ids[i],
                    command_digests[i], correlation_ids[i], causation_ids[i], actors[i], project_ids[i], key_ids[i],
                    hashes[i - 1], NULL));
            END LOOP;
            head_hash := hashes[event_ends[up_to]];
            INSERT INTO events
            SELECT head + 1 + i - event, streams[i], versions[i], topics[i], states[i], recorded, command_ids[i],
                   command_digests[i], correlation_ids[i], causation_ids[i], actors[i], project_ids[i], key_ids[i],
                   hashes[i - 1], hashes[i]
            FROM generate_series(event, event_ends[up_to]) AS i;

            stored := TRUE;
            IF unit = 1 AND up_to = cardinality(event_ends) AND up_to > 1 AND changes IS NULL THEN
                details[1] := head + 1; -- that tells all
                head := head + event_ends[up_to];
                EXIT;
            END IF;
            FOR u IN unit .. up_to LOOP
                outcomes[u] := 'stored';
                details[u] := head + 1;
                IF changes[u] IS NOT NULL THEN
                    PERFORM change_write_side(changes[u], head + 1);
                END IF;
                head := head + 1 + event_ends[u] - event;
                event := event_ends[u] + 1;
            END LOOP;
            IF reserved[unit] IS NOT NULL THEN
                INSERT INTO reservations
                SELECT r.space, decode(r.key, 'base64'), r.stream_id
                FROM jsonb_to_recordset(reserved[unit]) AS r (space TEXT, key TEXT, stream_id UUID, kept BOOLEAN)
                WHERE r.kept;
            END IF;
        END IF;

        event := event_ends[up_to] + 1;
        guard := guard_ends[up_to] + 1;
        unit := up_to + 1;
        up_to := unit;
    END LOOP;

    IF stored THEN
        done := pg_notify(events_channel(), head::text);
    END IF;
    IF alone THEN
        COMMIT;
        IF stored THEN
            done := flush_events();
            COMMIT;
        END IF;
    END IF;
END;
$$;

-- Append a unit of one event that reserves nothing and has one guard at most besides that of its own stream, as most are, at
-- less than half of what append_events costs. Gives its position, below 0 where somebody else was found to be appending;
-- NULL where the log is empty, or the unit is refused: append_events tells why.
--
-- It commits as its session does, `on` at the least: where nobody else is appending, waiting for the disk with the lock held
-- is cheaper than a second transaction. Where others are (`crowded`), it commits asynchronously: call append_event_crowded.
CREATE FUNCTION append_event(
    crowded BOOLEAN,
    new_stream UUID, new_version INTEGER, new_topic TEXT, new_state BYTEA, new_command UUID, new_digest BYTEA,
    new_correlation TEXT, new_causation TEXT, new_actor TEXT, new_project UUID, new_key UUID,
    own_guard INTEGER, guard_stream UUID, guard_version INTEGER, changes JSONB
) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    lock CONSTANT BIGINT := 'events'::regclass::oid;
    alone BOOLEAN := pg_try_advisory_xact_lock(lock);
    stored BIGINT;
    done TEXT; -- takes what is of no use: an assignment costs less than PERFORM
BEGIN
    IF NOT alone THEN
        done := pg_advisory_xact_lock(lock);
    END IF;
    done := set_config('plan_cache_mode', 'force_generic_plan', TRUE);
    done := set_config('enable_seqscan', 'off', TRUE);

    INSERT INTO events
    SELECT head.position + 1, new_stream, new_version, new_topic, new_state, head.recorded, new_command, new_digest,
           new_correlation, new_causation, new_actor, new_project, new_key, head.hash,
           event_hash(ROW(
               head.position + 1, new_stream, new_version, new_topic, new_state, head.recorded, new_command, new_digest,
               new_correlation, new_causation, new_actor, new_project, new_key, head.hash, NULL))
    FROM (
        SELECT e.position, e.hash, greatest(clock_timestamp(), e.recorded_at) AS recorded
        FROM events e ORDER BY e.position DESC LIMIT 1
    ) AS head
    WHERE NOT EXISTS (SELECT FROM events e WHERE e.command_id = new_command)
      AND (own_guard IS NULL OR own_guard = coalesce(
          (SELECT e.version FROM events e WHERE e.stream_id = new_stream ORDER BY e.version DESC LIMIT 1), 0))
      AND (guard_stream IS NULL OR guard_version = coalesce(
          (SELECT e.version FROM events e WHERE e.stream_id = guard_stream ORDER BY e.version DESC LIMIT 1), 0))
    RETURNING position INTO stored;

    IF stored IS NOT NULL THEN
        IF changes IS NOT NULL THEN
            PERFORM change_write_side(changes, stored);
        END IF;
        done := pg_notify(events_channel(), stored::text);
        IF crowded THEN
            done := set_config('synchronous_commit', 'off', TRUE);
        ELSIF current_setting('synchronous_commit') = 'off' THEN
            done := set_config('synchronous_commit', 'on', TRUE);
        END IF;
    END IF;
    RETURN CASE WHEN alone THEN stored ELSE -stored END;
END;
$$;

-- The same in two transactions, as append_events has them: others append while this one waits for the disk.
CREATE PROCEDURE append_event_crowded(
    new_stream UUID, new_version INTEGER, new_topic TEXT, new_state BYTEA, new_command UUID, new_digest BYTEA,
    new_correlation TEXT, new_causation TEXT, new_actor TEXT, new_project UUID, new_key UUID,
    own_guard INTEGER, guard_stream UUID, guard_version INTEGER, changes JSONB,
    OUT stored BIGINT
) LANGUAGE plpgsql AS $$
DECLARE
    done TEXT;
BEGIN
    stored := append_event(
        TRUE, new_stream, new_version, new_topic, new_state, new_command, new_digest, new_correlation, new_causation,
        new_actor, new_project, new_key, own_guard, guard_stream, guard_version, changes);
    IF stored IS NOT NULL THEN
        COMMIT;
        done := flush_events();
    END IF;
END;
$$;
