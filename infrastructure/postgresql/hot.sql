-- name: append
CALL append_events(
    $1::boolean, $2::boolean, $3::integer[], $4::uuid[], $5::integer[], $6::text[], $7::bytea[], $8::uuid[], $9::bytea[],
    $10::text[], $11::text[], $12::text[], $13::uuid[], $14::uuid[], $15::integer[], $16::uuid[], $17::integer[],
    $18::jsonb[], $19::jsonb[], NULL, NULL
)

-- name: append_one
SELECT append_event(
    FALSE, $1::uuid, $2::integer, $3::text, $4::bytea, $5::uuid, $6::bytea, $7::text, $8::text, $9::text, $10::uuid,
    $11::uuid, $12::integer, $13::uuid, $14::integer, $15::jsonb
)

-- name: append_one_crowded
CALL append_event_crowded(
    $1::uuid, $2::integer, $3::text, $4::bytea, $5::uuid, $6::bytea, $7::text, $8::text, $9::text, $10::uuid,
    $11::uuid, $12::integer, $13::uuid, $14::integer, $15::jsonb, NULL
)

-- name: insert_one
-- What append_event does of a unit without changes, where nobody else appends: as one bare statement, at two thirds of its
-- cost. It has but one snapshot, of before it has the lock. That is as good: the next position is free, so that the
-- primary key lets it in, only if nothing was appended since; what the snapshot tells of guards then holds. Where something
-- was, it fails by the primary key. No row where the log is empty, somebody else has the lock, or the unit is refused.
INSERT INTO events
SELECT head.position + 1, $1::uuid, $2::integer, $3::text, $4::bytea, head.recorded, $5::uuid, $6::bytea, $7::text,
       $8::text, $9::text, $10::uuid, $11::uuid, head.hash,
       event_hash(ROW(
           head.position + 1, $1::uuid, $2::integer, $3::text, $4::bytea, head.recorded, $5::uuid, $6::bytea, $7::text,
           $8::text, $9::text, $10::uuid, $11::uuid, head.hash, NULL))
FROM (
    SELECT e.position, e.hash, greatest(clock_timestamp(), e.recorded_at) AS recorded
    FROM events e ORDER BY e.position DESC LIMIT 1
) AS head
WHERE pg_try_advisory_xact_lock('events'::regclass::oid::bigint)
  AND NOT EXISTS (SELECT FROM events e WHERE e.command_id = $5)
  AND $12::integer = coalesce(
      (SELECT e.version FROM events e WHERE e.stream_id = $1 ORDER BY e.version DESC LIMIT 1), 0)
RETURNING position, pg_notify(events_channel(), position::text),
          CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', TRUE) END

-- name: insert_one_guarded
-- The same, with a guard besides that of its own stream. A guard that may be NULL would cost either of them its while.
INSERT INTO events
SELECT head.position + 1, $1::uuid, $2::integer, $3::text, $4::bytea, head.recorded, $5::uuid, $6::bytea, $7::text,
       $8::text, $9::text, $10::uuid, $11::uuid, head.hash,
       event_hash(ROW(
           head.position + 1, $1::uuid, $2::integer, $3::text, $4::bytea, head.recorded, $5::uuid, $6::bytea, $7::text,
           $8::text, $9::text, $10::uuid, $11::uuid, head.hash, NULL))
FROM (
    SELECT e.position, e.hash, greatest(clock_timestamp(), e.recorded_at) AS recorded
    FROM events e ORDER BY e.position DESC LIMIT 1
) AS head
WHERE pg_try_advisory_xact_lock('events'::regclass::oid::bigint)
  AND NOT EXISTS (SELECT FROM events e WHERE e.command_id = $5)
  AND $12::integer = coalesce(
      (SELECT e.version FROM events e WHERE e.stream_id = $1 ORDER BY e.version DESC LIMIT 1), 0)
  AND $14::integer = coalesce(
      (SELECT e.version FROM events e WHERE e.stream_id = $13::uuid ORDER BY e.version DESC LIMIT 1), 0)
RETURNING position, pg_notify(events_channel(), position::text),
          CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', TRUE) END

-- name: load
SELECT version, topic, state FROM events WHERE stream_id = $1::uuid AND version >= $2::integer ORDER BY version

-- name: load_some
-- The planner cannot count arrays that stand in subqueries: one plan does for all.
SELECT event.version, event.topic, event.state, asked.number
FROM unnest((SELECT $1::uuid[]), (SELECT $2::integer[])) WITH ORDINALITY AS asked (stream_id, version, number)
CROSS JOIN LATERAL (
    SELECT version, topic, state FROM events
    WHERE stream_id = asked.stream_id AND version >= asked.version ORDER BY version
) AS event
