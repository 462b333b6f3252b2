-- Tables as they stand at one moment, to be compared.

-- name: unlimited
-- What is read is read to its end, and compiling a statement takes longer than it saves.
SELECT set_config(name, '0', false) FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_session_timeout', 'transaction_timeout',
               'idle_in_transaction_session_timeout')
UNION ALL SELECT set_config('cursor_tuple_fraction', '1', false)
UNION ALL SELECT set_config('jit', 'off', false)
UNION ALL SELECT set_config('work_mem', '64MB', false)

-- name: lock
-- (schema, statement) that keeps a rebuild from putting other tables in the place of these: their names would lead to
-- those at once, and what is read is of a moment before. Readers, and writers of rows, go on.
SELECT quote_ident(current_schema()), format(
    'LOCK TABLE %s IN ACCESS SHARE MODE', string_agg(format('%I.%I', n.nspname, c.relname), ', '))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relname = ANY (:tables)
