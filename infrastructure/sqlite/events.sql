-- name: store
SELECT epoch, reservation_key, read_generation FROM store

-- name: head
SELECT position, hash, recorded_at FROM events ORDER BY position DESC LIMIT 1

-- name: insert
INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: knows_command
SELECT 1 FROM events WHERE command_id IN (SELECT value FROM json_each(?)) LIMIT 1

-- name: version
SELECT max(version) FROM events WHERE stream_id = ?

-- name: reserved
SELECT 1 FROM reservations WHERE space = ? AND key = ?

-- name: reserve
INSERT INTO reservations VALUES (?, ?, ?)

-- name: load
SELECT version, topic, state FROM events WHERE stream_id = :stream_id ORDER BY version

-- name: read
SELECT position, stream_id, version, topic, state, project_id, previous_hash, hash
FROM events WHERE position > :after ORDER BY position LIMIT :limit

-- name: read_rows
SELECT position, stream_id, version, topic, state, recorded_at, command_id, command_digest,
       correlation_id, causation_id, actor, project_id, key_id, previous_hash, hash
FROM events WHERE position > :after ORDER BY position LIMIT :limit

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
