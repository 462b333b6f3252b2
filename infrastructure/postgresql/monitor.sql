-- name: sizes
SELECT n.nspname AS schemaname, c.relname AS tablename, pg_size_pretty(s.bytes) AS size, s.bytes AS size_bytes,
       pg_indexes_size(c.oid) AS index_bytes, CAST(nullif(c.reltuples, -1) AS BIGINT) AS row_estimate
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_total_relation_size(c.oid) AS bytes) s
WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema()
  AND s.bytes IS NOT NULL -- not dropped meanwhile
ORDER BY s.bytes DESC, c.relname
LIMIT :limit

-- name: reach_statements
-- The extension may stand in any schema: for this transaction, that one is looked into as well.
SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(n.nspname)), true)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'

-- name: slow
SELECT query, calls, total_exec_time, mean_exec_time, stddev_exec_time
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC
LIMIT :limit

-- name: indexes
SELECT schemaname, relname, indexrelname, idx_scan, idx_tup_read, idx_tup_fetch,
       pg_relation_size(indexrelid) AS size_bytes
FROM pg_stat_user_indexes
WHERE schemaname = current_schema()
ORDER BY idx_scan DESC, relname, indexrelname
LIMIT :limit

-- name: facts
SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
       current_schema() AS schema,
       (SELECT extversion FROM pg_extension WHERE extname = 'pg_stat_statements') AS pg_stat_statements
