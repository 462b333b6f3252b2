-- What the read side of one project leaves out: what belongs to it in part only.

-- name: trim_1
-- Its agents' work in other projects.
DELETE FROM agent_assignments WHERE task_id NOT IN (SELECT id FROM tasks)

-- name: trim_2
DELETE FROM agent_assignments_archive WHERE task_id NOT IN (SELECT id FROM tasks_archive)

-- name: trim_3
-- They are its user's.
DELETE FROM user_sessions

-- name: trim_4
-- It counts the rows of every project.
DELETE FROM cleanup_log
