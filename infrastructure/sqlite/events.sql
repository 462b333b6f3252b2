-- name: store
SELECT epoch, reservation_key FROM store

-- name: read_generation
SELECT coalesce((SELECT generation FROM read_files WHERE projection = :projection), 1)

-- name: head
SELECT position, hash, recorded_at FROM events ORDER BY position DESC LIMIT 1

-- name: insert
INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: knows_command
SELECT 1 FROM events WHERE command_id = ? LIMIT 1

-- name: version
SELECT max(version) FROM events WHERE stream_id = ?

-- name: reserved
SELECT stream_id FROM reservations WHERE space = ? AND key = ?

-- name: reserve
INSERT INTO reservations VALUES (?, ?, ?)

-- name: load_many
SELECT stream_id, version, topic, state
FROM json_each(:versions) AS asked CROSS JOIN events ON stream_id = asked.key AND version >= iif(
    asked.value = 0, (SELECT max(version) FROM events AS newest WHERE newest.stream_id = asked.key), asked.value)
ORDER BY stream_id, version

-- name: read
SELECT position, stream_id, version, topic, state, project_id, key_id, previous_hash, hash
FROM events WHERE position > :after ORDER BY position LIMIT :limit

-- name: read_units
SELECT position, stream_id, version, topic, state, project_id, key_id, previous_hash, hash
FROM events
WHERE position > :after AND (
    project_id IN (SELECT value FROM json_each(:units))
    OR project_id IS NULL AND stream_id IN (
        SELECT stream_id FROM events
        WHERE version = 1 AND (
            stream_id IN (SELECT value FROM json_each(:units)) OR project_id IN (SELECT value FROM json_each(:units))
            OR key_id IN (SELECT value FROM json_each(:units)))))
ORDER BY position LIMIT :limit

-- name: units_of
SELECT stream_id, coalesce(project_id, key_id, stream_id)
FROM events WHERE stream_id IN (SELECT value FROM json_each(:streams)) AND version = 1

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
FROM events WHERE project_id = :project_id AND position > :after ORDER BY position LIMIT :limit

-- name: read_rows_of_stream
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM events WHERE stream_id = :stream_id AND version > :after ORDER BY version LIMIT :limit

-- name: read_rows_of_command
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM events WHERE command_id = :id AND position > :after ORDER BY position LIMIT :limit

-- name: read_rows_of_correlation
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM events WHERE correlation_id = :id AND position > :after ORDER BY position LIMIT :limit

-- name: read_rows_of_causation
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM events WHERE causation_id = :id AND position > :after ORDER BY position LIMIT :limit

-- name: read_rows_of_topics
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM events
WHERE position > :after AND position <= :up_to
  AND (:topics = '[]' OR topic IN (SELECT value FROM json_each(:topics)))
ORDER BY position LIMIT :limit

-- name: read_at
SELECT position, stream_id, version, topic, state, project_id, key_id, previous_hash, hash
FROM events WHERE position IN (SELECT value FROM json_each(:positions)) ORDER BY position

-- name: positions_of
SELECT position FROM events WHERE project_id = :project_id
UNION SELECT position FROM events WHERE stream_id IN (SELECT value FROM json_each(:stream_ids))
ORDER BY position

-- name: streams_about
SELECT DISTINCT stream_id FROM events WHERE key_id IN (SELECT value FROM json_each(:person_ids))

-- name: encoded_rows
-- Texts as the bytes that they are: they may be none.
SELECT position, CAST(stream_id AS BLOB), version, CAST(topic AS BLOB), state, CAST(recorded_at AS BLOB),
       CAST(command_id AS BLOB), command_digest, CAST(correlation_id AS BLOB), CAST(causation_id AS BLOB),
       CAST(actor AS BLOB), CAST(project_id AS BLOB), CAST(key_id AS BLOB), previous_hash, hash
FROM events ORDER BY position

-- name: seals
SELECT number, seal FROM seals ORDER BY number

-- name: add_seal
INSERT INTO seals VALUES (:number, :text)

-- name: hash_at
SELECT hash FROM events WHERE position = :position

-- name: trace
SELECT command_id, command_digest, stream_id, version, topic, state, position
FROM events WHERE command_id IN (SELECT value FROM json_each(:command_ids)) ORDER BY position

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
WHERE position >= :start AND position <= :stop
  AND (:topics = '[]' OR topic IN (SELECT value FROM json_each(:topics)))
ORDER BY position LIMIT :limit

-- name: next_ready
SELECT q.task_id FROM task_queue q
WHERE q.project_id = :project_id AND q.status = 'pending' AND q.unmet = 0
  AND (:priority IS NULL OR q.priority = :priority)
  AND (q.agent_type IS NULL OR q.agent_type = :agent_type)
  AND (q.capabilities = '[]' OR NOT EXISTS (
      SELECT 1 FROM json_each(q.capabilities) WHERE value NOT IN (SELECT value FROM json_each(:capabilities))))
ORDER BY q.priority, q.created_at, q.position
LIMIT 1

-- name: due
SELECT id FROM agenda WHERE kind = :kind AND due < :before ORDER BY due, id LIMIT :limit

-- name: open_in
SELECT DISTINCT kind FROM agenda
WHERE project_id = :project_id AND kind IN (SELECT value FROM json_each(:kinds)) ORDER BY kind

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

-- name: keys
SELECT person_id, key, wrapped FROM personal_keys WHERE person_id IN (SELECT value FROM json_each(:person_ids))

-- name: any_key
SELECT person_id FROM personal_keys WHERE wrapped = 1 LIMIT 1
