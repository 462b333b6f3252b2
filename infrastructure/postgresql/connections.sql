-- name: configure
-- Read committed, whatever the role's default: append_events must see what was committed while it waited for its lock.
SET TIME ZONE 'UTC';
SET default_transaction_isolation TO 'read committed'

-- name: incarnation
-- A server that has crashed begins its statistics anew; one that was stopped goes on with them.
SELECT stats_reset FROM pg_stat_archiver
