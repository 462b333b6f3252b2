-- name: flush
SELECT flush_events()

-- name: store
SELECT epoch, reservation_key, events_channel() FROM store

-- name: load_many
-- The planner cannot count arrays that stand in subqueries: else it would plan anew at each call, for twice the time.
SELECT asked.stream_id, event.version, event.topic, event.state
FROM unnest((SELECT :streams::uuid[]), (SELECT :versions::integer[])) AS asked (stream_id, version)
CROSS JOIN LATERAL (
    SELECT version, topic, state FROM events
    WHERE stream_id = asked.stream_id AND version >= CASE asked.version
        WHEN 0 THEN (SELECT max(version) FROM events AS newest WHERE newest.stream_id = asked.stream_id)
        ELSE asked.version END
    ORDER BY version
) AS event

-- name: read
-- Where they exceed so many bytes together, a single row without a position: `read_some` finds where to stop then, for
-- thrice the time. Parameters stand in subqueries, so that every plan of it is alike, and is made once a session.
WITH size AS MATERIALIZED (
    SELECT coalesce(sum(octet_length(state)), 0) <= :bytes AS fits
    FROM (
        SELECT state FROM events WHERE position > (SELECT :after::bigint) ORDER BY position LIMIT (SELECT :limit::bigint)
    ) AS next
)
(
    SELECT position, stream_id, version, topic, state, project_id, key_id, previous_hash, hash FROM events
    WHERE position > (SELECT :after::bigint) AND (SELECT fits FROM size)
    ORDER BY position LIMIT (SELECT :limit::bigint)
)
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM size WHERE NOT fits

-- name: read_some
SELECT position, stream_id, version, topic, state, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (SELECT * FROM events WHERE position > :after ORDER BY position LIMIT :limit) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: read_units
SELECT position, stream_id, version, topic, state, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (
        SELECT * FROM events
        WHERE position > :after AND (
            project_id = ANY (:units)
            OR project_id IS NULL AND stream_id IN (
                SELECT stream_id FROM events
                WHERE version = 1
                  AND (stream_id = ANY (:units) OR project_id = ANY (:units) OR key_id = ANY (:units))))
        ORDER BY position LIMIT :limit
    ) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: units_of
SELECT stream_id, coalesce(project_id, key_id, stream_id) FROM events WHERE stream_id = ANY (:streams) AND version = 1

-- name: read_rows
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM events WHERE position > :after ORDER BY position LIMIT :limit

-- name: read_hashes
SELECT hash FROM events WHERE position > :after ORDER BY position LIMIT :limit

-- name: correlations
SELECT correlation_id FROM events
WHERE position BETWEEN :first AND :last AND correlation_id IS NOT NULL
GROUP BY correlation_id ORDER BY min(position) LIMIT :limit

-- name: read_rows_of_project
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (
        SELECT * FROM events WHERE project_id = :project_id AND position > :after ORDER BY position LIMIT :limit
    ) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: read_rows_of_stream
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY version) - octet_length(state) AS bytes_before
    FROM (
        SELECT * FROM events WHERE stream_id = :stream_id AND version > :after ORDER BY version LIMIT :limit
    ) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY version

-- name: read_rows_of_command
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (SELECT * FROM events WHERE command_id = :id AND position > :after ORDER BY position LIMIT :limit) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: read_rows_of_correlation
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (SELECT * FROM events WHERE correlation_id = :id AND position > :after ORDER BY position LIMIT :limit) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: read_rows_of_causation
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (SELECT * FROM events WHERE causation_id = :id AND position > :after ORDER BY position LIMIT :limit) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: read_rows_of_topics
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM (
        SELECT * FROM events
        WHERE position > :after AND position <= :up_to AND (:topics::text[] = '{}' OR topic = ANY (:topics))
        ORDER BY position LIMIT :limit
    ) AS next
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: read_at
SELECT position, stream_id, version, topic, state, project_id, key_id, previous_hash, hash
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY position) - octet_length(state) AS bytes_before
    FROM events WHERE position = ANY (:positions::bigint[])
) AS counted
WHERE bytes_before < :bytes
ORDER BY position

-- name: positions_of
SELECT position FROM events WHERE project_id = :project_id
UNION SELECT position FROM events WHERE stream_id = ANY (:stream_ids::uuid[])
ORDER BY position

-- name: streams_about
SELECT DISTINCT stream_id FROM events WHERE key_id = ANY (:person_ids::uuid[])

-- name: encoded_rows
-- In the binary form of COPY a column is its length and its bytes, as in a hash; the hash and what else LINK holds follow.
-- What no append stores is none of these: a NULL, a time without end, a hash of another length.
COPY (
    SELECT previous_hash, position, stream_id, version::bigint, topic, state,
           CASE WHEN isfinite(recorded_at) THEN (extract(epoch FROM recorded_at) * 1000000)::bigint END,
           command_id, command_digest, correlation_id, causation_id, actor, project_id, key_id,
           CASE octet_length(hash) WHEN 32 THEN hash ELSE decode(repeat('00', 32), 'hex') END,
           CASE octet_length(previous_hash) WHEN 32 THEN previous_hash ELSE decode(repeat('00', 32), 'hex') END,
           position, coalesce(version, 0)::bigint, coalesce(stream_id, '00000000-0000-0000-0000-000000000000'),
           coalesce(recorded_at, 'infinity')
    FROM events ORDER BY position
) TO STDOUT (FORMAT binary)

-- name: seals
SELECT number, seal FROM seals ORDER BY number

-- name: add_seal
INSERT INTO seals VALUES (:number, :text)

-- name: hash_at
SELECT hash FROM events WHERE position = :position

-- name: trace
SELECT command_id, command_digest, stream_id, version, topic, state, position
FROM events WHERE command_id = ANY (:command_ids) ORDER BY position

-- name: count
SELECT count(*), count(DISTINCT command_id) FROM events
WHERE project_id = :id OR (project_id IS NULL AND stream_id = :id)

-- name: max_position
SELECT max(position) FROM events

-- name: select_events
SELECT stream_id, version, topic, state FROM events
WHERE stream_id = :stream_id AND version > :gt AND version <= :lte ORDER BY version LIMIT :limit

-- name: select_events_desc
SELECT stream_id, version, topic, state FROM events
WHERE stream_id = :stream_id AND version > :gt AND version <= :lte ORDER BY version DESC LIMIT :limit

-- name: select_notifications
SELECT stream_id, version, topic, state, position FROM events
WHERE position >= :start AND position <= :stop AND (:topics::text[] = '{}' OR topic = ANY (:topics))
ORDER BY position LIMIT :limit

-- name: lock
SELECT pg_advisory_xact_lock('events'::regclass::oid::bigint)

-- name: next_ready
SELECT q.task_id FROM task_queue q
WHERE q.project_id = :project_id AND q.status = 'pending' AND q.unmet = 0
  AND (:priority::integer IS NULL OR q.priority = :priority)
  AND (q.agent_type IS NULL OR q.agent_type = :agent_type)
  AND q.capabilities <@ :capabilities
ORDER BY q.priority, q.created_at, q.position
LIMIT 1

-- name: due
SELECT id FROM agenda WHERE kind = :kind AND due < :before ORDER BY due, id LIMIT :limit

-- name: open_in
SELECT DISTINCT kind FROM agenda WHERE project_id = :project_id AND kind = ANY (:kinds) ORDER BY kind

-- name: all_task_queue
SELECT task_id, project_id, status, priority, created_at, position, agent_type, capabilities, unmet
FROM task_queue ORDER BY task_id

-- name: all_task_queue_dependencies
SELECT task_id, depends_on_task_id FROM task_queue_dependencies ORDER BY task_id, depends_on_task_id

-- name: all_agenda
SELECT kind, id, project_id, due FROM agenda ORDER BY kind, id

-- name: empty_task_queue
DELETE FROM task_queue

-- name: empty_task_queue_dependencies
DELETE FROM task_queue_dependencies

-- name: empty_agenda
DELETE FROM agenda

-- name: change_write_side
SELECT change_write_side(:changes, 0)

-- name: keys
SELECT person_id, key, wrapped FROM personal_keys WHERE person_id = ANY (:person_ids)

-- name: any_key
SELECT person_id FROM personal_keys WHERE wrapped LIMIT 1
