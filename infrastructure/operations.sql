-- The set operations of the read tables, by the names that projections give them: NAME, or NAME_1, NAME_2 … in order.
-- Children are inserted after their parents and deleted before them, so that no foreign key action ever fires.

-- name: end_session
DELETE FROM user_sessions WHERE id = :session_id

-- name: forget_user
DELETE FROM user_sessions WHERE user_id = :user_id
