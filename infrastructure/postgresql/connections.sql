-- name: configure
-- Read committed, whatever the role's default: append_events must see what was committed while it waited for its lock.
-- Values are read as they were written, whatever the role's or the database's defaults: times in ISO form, doubles whole.
SET TIME ZONE 'UTC';
SET datestyle TO 'ISO';
SET extra_float_digits TO 1;
SET default_transaction_isolation TO 'read committed'

-- name: keep_plans
-- Plans are made once, by indexes, though the tables be empty when they are made.
SET plan_cache_mode TO 'force_generic_plan';
SET enable_seqscan TO off

-- name: incarnation
-- A server that has crashed begins its statistics anew; one that was stopped goes on with them.
SELECT stats_reset FROM pg_stat_archiver
