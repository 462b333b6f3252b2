-- The tables beside the live ones: in a schema of their own, so that everything has the name that it will have.
-- Statements that make things are made here, from the catalogue of the live tables: a query gives them in order.
-- The names are of a session whose search path begins with the live schema.

-- name: unlimited
SELECT set_config(name, '0', false) FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_session_timeout', 'transaction_timeout',
               'idle_in_transaction_session_timeout')

-- name: loading
-- What is lost of it in a crash is loaded again: the swap waits for the disk.
SELECT set_config('search_path', concat_ws(', ', quote_ident(:shadow), nullif(current_setting('search_path'), '')), false),
       set_config('synchronous_commit', 'off', false),
       set_config('maintenance_work_mem', '256MB', false)

-- name: comparing
SELECT set_config('work_mem', '64MB', false),
       set_config('jit', 'off', false),
       set_config('default_statistics_target', '1', false)

-- name: sample
-- Of 300 rows, how large each table is and how wide its rows: else one process alone joins them. Where an autovacuum is
-- at it, it is not waited for. What queries need is gathered when the indexes are there.
SELECT format('ANALYZE (SKIP_LOCKED) %I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :shadow AND c.relname = ANY (:tables)

-- name: current_schema
-- Rebuilds of several projections have a schema each, and keep out those of the same one.
SELECT current_schema(), left(current_schema(), 55 - length(:whose)) || :whose || '_rebuild'

-- name: lock
SELECT pg_try_advisory_lock(hashtext('claude-tiu rebuild'), hashtext(:shadow))

-- name: locked
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid::bigint = hashtext('claude-tiu rebuild')::bigint & 4294967295
      AND objid::bigint = hashtext(:shadow)::bigint & 4294967295)

-- name: schema
-- Whether the schema is ours: a comment says so.
SELECT coalesce(obj_description(oid, 'pg_namespace') = 'claude-tiu: a rebuild of ' || quote_ident(:live), false)
FROM pg_namespace WHERE nspname = :shadow

-- name: in_the_way
-- What would be lost with the live tables, or would be in the way of dropping them, and of which table.
WITH live AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, c.reltype, t.typarray, c.relrowsecurity
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_type t ON t.oid = c.reltype
    WHERE n.nspname = :live AND c.relname = ANY (:tables)
),
depending AS (
    SELECT live.relname, d.classid, d.objid
    FROM live JOIN pg_depend d
      ON d.refclassid = 'pg_class'::regclass AND d.refobjid = live.oid
      OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (live.reltype, live.typarray)
    WHERE d.deptype IN ('n', 'a')
)
SELECT relname, CASE
        WHEN classid = 'pg_rewrite'::regclass
            THEN (SELECT pg_describe_object('pg_class'::regclass, w.ev_class, 0) FROM pg_rewrite w WHERE w.oid = objid)
        ELSE pg_describe_object(classid, objid, 0)
    END AS what
FROM depending
WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = objid AND i.indrelid IN (SELECT oid FROM live))
  AND NOT EXISTS (
      SELECT FROM pg_constraint k
      WHERE classid = 'pg_constraint'::regclass AND k.oid = objid AND k.conrelid IN (SELECT oid FROM live))
  AND NOT EXISTS (
      SELECT FROM pg_attrdef a
      WHERE classid = 'pg_attrdef'::regclass AND a.oid = objid AND a.adrelid IN (SELECT oid FROM live))
  AND NOT EXISTS (
      SELECT FROM pg_trigger g
      WHERE classid = 'pg_trigger'::regclass AND g.oid = objid AND g.tgrelid IN (SELECT oid FROM live)
        AND (g.tgisinternal OR g.tgname = ANY (:triggers)))
UNION SELECT p.tablename, format('publication %I', p.pubname)
FROM pg_publication_tables p WHERE p.schemaname = :live AND p.tablename = ANY (:tables)
UNION SELECT relname, 'row level security' FROM live WHERE relrowsecurity
UNION SELECT relname, 'it is not a plain table' FROM live WHERE relkind <> 'r'
UNION SELECT :live, 'this role may make no tables in the schema' WHERE NOT has_schema_privilege(:live, 'CREATE')
UNION SELECT relname, format('it belongs to %s', relowner::regrole) FROM live WHERE NOT pg_has_role(relowner, 'USAGE')
UNION SELECT relname, format('security label %s', s.label)
FROM live JOIN pg_seclabel s ON s.classoid = 'pg_class'::regclass AND s.objoid = live.oid
ORDER BY 1, 2

-- name: make
-- With `checkpoints`, in full; of the others what is left for the end is not made.
SELECT format('CREATE SCHEMA %I', :shadow)
UNION ALL SELECT format('COMMENT ON SCHEMA %I IS %L', :shadow, 'claude-tiu: a rebuild of ' || quote_ident(:live))
UNION ALL SELECT format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING ALL)', :shadow, name, :live, name)
FROM (VALUES ('checkpoints'), ('leases')) ours (name)
UNION ALL SELECT format(
    'CREATE %sTABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY '
    'INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS) USING %I%s',
    CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' END, :shadow, c.relname, :live, c.relname,
    (SELECT amname FROM pg_am a WHERE a.oid = c.relam),
    (SELECT format(' TABLESPACE %I', t.spcname) FROM pg_tablespace t WHERE t.oid = c.reltablespace))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :live AND c.relname = ANY (:tables)
UNION ALL SELECT format('ALTER TABLE %I.%I SET (%s%I = %L)', :shadow, c.relname, o.prefix, p.option_name, p.option_value)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
CROSS JOIN LATERAL (VALUES ('', c.reloptions), ('toast.', toast.reloptions)) o (prefix, options)
CROSS JOIN LATERAL pg_options_to_table(o.options) p
WHERE n.nspname = :live AND c.relname = ANY (:tables)
UNION ALL SELECT format(
    'ALTER TABLE %I.%I ALTER COLUMN %I SET %s', :shadow, c.relname, a.attname,
    CASE p.name WHEN 'statistics' THEN format('STATISTICS %s', p.value) ELSE format('(%I = %L)', p.name, p.value) END)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL (
    SELECT 'statistics' AS name, a.attstattarget::text AS value WHERE a.attstattarget >= 0
    UNION ALL SELECT option_name, option_value FROM pg_options_to_table(a.attoptions)) p
WHERE n.nspname = :live AND c.relname = ANY (:tables)

-- name: left_for_the_end
-- (table, kind, name, key column of a foreign key, statement) of every constraint and index, in the order to make them.
SELECT relname, kind, name, referring, statement FROM (
SELECT c.relname, CASE k.contype WHEN 'p' THEN 'key' WHEN 'f' THEN 'reference' ELSE 'constraint' END, k.conname, (
        SELECT a.attname FROM pg_attribute a
        WHERE k.contype = 'f' AND a.attrelid = k.conrelid AND a.attnum = k.conkey[1]),
    format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', :shadow, c.relname, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :live AND c.relname = ANY (:tables) AND k.contype IN ('p', 'u', 'x', 'f')
UNION ALL SELECT c.relname, 'index', i.relname, (
        SELECT a.attname FROM pg_attribute a
        WHERE x.indnatts = 1 AND x.indpred IS NULL AND a.attrelid = c.oid AND a.attnum = x.indkey[0]),
    prefix.made || substr(pg_get_indexdef(i.oid), length(prefix.found) + 1)
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class c ON c.oid = x.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT format(form.text, i.relname, :live, c.relname) AS found, format(form.text, i.relname, :shadow, c.relname) AS made
    FROM (SELECT CASE WHEN x.indisunique THEN 'CREATE UNIQUE INDEX %I ON %I.%I' ELSE 'CREATE INDEX %I ON %I.%I' END) form (text)
) prefix
WHERE n.nspname = :live AND c.relname = ANY (:tables)
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
) AS left_out (relname, kind, name, referring, statement)
ORDER BY array_position(ARRAY['key', 'constraint', 'index', 'reference'], kind), relname, name

-- name: made
SELECT c.relname, k.conname FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :shadow
UNION SELECT c.relname, i.relname FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :shadow

-- name: analyze
SELECT format('ANALYZE %I.%I', :shadow, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :shadow AND c.relname = ANY (:tables)

-- name: bare_names
SELECT set_config('search_path', 'pg_catalog', true)

-- name: unlike
-- What the tables of one schema have and those of the other have not, `kinds` of it; names are compared without schemas.
WITH described AS (
    SELECT n.nspname, c.relname, 'column' AS kind, a.attname::text AS name, concat_ws(
            ' ', a.attnum - (SELECT count(*) FROM pg_attribute b
                             WHERE b.attrelid = a.attrelid AND b.attisdropped AND b.attnum < a.attnum),
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
            a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid)) AS told
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r'
    UNION ALL
    SELECT n.nspname, c.relname, CASE WHEN k.contype = 'c' THEN 'check' ELSE 'constraint' END, k.conname,
        pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype IN ('c', 'p', 'u', 'x', 'f')
    UNION ALL
    -- Without the text of its expressions: read back and made anew, they have casts in other places.
    SELECT n.nspname, c.relname, 'index', i.relname, concat_ws(
            ' ', m.amname, x.indisunique, x.indnkeyatts, x.indclass, x.indcollation, x.indoption,
            x.indpred IS NOT NULL, i.reloptions,
            (SELECT string_agg(coalesce(a.attname, '(expression)'), ', ' ORDER BY k.number)
             FROM unnest(x.indkey) WITH ORDINALITY k (attnum, number)
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum))
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
    JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    UNION ALL
    SELECT n.nspname, c.relname, 'trigger', t.tgname, pg_get_triggerdef(t.oid)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal
),
plain AS (
    SELECT nspname, relname, kind, name,
        replace(replace(told, quote_ident(:shadow) || '.', ''), quote_ident(:live) || '.', '') AS told
    FROM described
    WHERE nspname IN (:live, :shadow) AND relname = ANY (:tables) AND kind = ANY (:kinds)
)
SELECT relname, kind, name FROM (
    (SELECT relname, kind, name, told FROM plain WHERE nspname = :live
     EXCEPT SELECT relname, kind, name, told FROM plain WHERE nspname = :shadow)
    UNION ALL
    (SELECT relname, kind, name, told FROM plain WHERE nspname = :shadow
     EXCEPT SELECT relname, kind, name, told FROM plain WHERE nspname = :live)
) AS unlike
GROUP BY relname, kind, name ORDER BY relname, kind, name

-- name: drop
SELECT format('DROP TABLE %I.%I CASCADE', :shadow, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :shadow AND c.relkind = 'r'
UNION ALL SELECT format('DROP SCHEMA %I', :shadow)

-- name: as_granted
-- Owner, rights, triggers and comments of the live tables, for those beside them.
WITH live AS (
    SELECT c.oid, c.relname, c.relowner, c.relacl FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :live AND c.relname = ANY (:tables)
),
beside AS (
    SELECT c.oid, c.relname, c.relowner, c.relacl FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :shadow AND c.relname = ANY (:tables)
),
steps (step, relname, statement) AS (
    SELECT 0, live.relname, format('GRANT CREATE ON SCHEMA %I TO %s', :shadow, live.relowner::regrole)
    FROM live JOIN beside USING (relname) WHERE live.relowner <> beside.relowner
    UNION ALL
    SELECT 1, live.relname, format('ALTER TABLE %I.%I OWNER TO %s', :shadow, relname, live.relowner::regrole)
    FROM live JOIN beside USING (relname) WHERE live.relowner <> beside.relowner
    UNION ALL
    SELECT 2, relname, format('REVOKE ALL ON %I.%I FROM %s', :shadow, relname, roles.role)
    FROM live JOIN beside USING (relname)
    CROSS JOIN LATERAL (
        SELECT live.relowner::regrole::text UNION SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM aclexplode(beside.relacl) a) roles (role)
    WHERE live.relacl IS NOT NULL OR beside.relacl IS NOT NULL
    UNION ALL
    SELECT 3, relname, format(
        'GRANT %s ON %I.%I TO %s%s', a.privilege_type, :shadow, relname,
        CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM live JOIN beside USING (relname)
    CROSS JOIN LATERAL aclexplode(coalesce(live.relacl, acldefault('r', live.relowner))) a
    WHERE live.relacl IS NOT NULL OR beside.relacl IS NOT NULL
    UNION ALL
    SELECT 4, relname, format(
        'GRANT %s (%I) ON %I.%I TO %s%s', a.privilege_type, c.attname, :shadow, relname,
        CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM live
    JOIN pg_attribute c ON c.attrelid = live.oid AND NOT c.attisdropped
    CROSS JOIN LATERAL aclexplode(c.attacl) a
    UNION ALL
    SELECT 5, relname, format('ALTER TABLE %I.%I REPLICA IDENTITY %s', :shadow, c.relname, CASE c.relreplident
        WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
        ELSE format('USING INDEX %I', (SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                                       WHERE x.indrelid = c.oid AND x.indisreplident)) END)
    FROM live JOIN pg_class c USING (oid, relname) WHERE c.relreplident <> 'd'
    UNION ALL
    SELECT 6, relname, overlay(
        told.def PLACING format(' ON %I.%I ', :shadow, relname)
        FROM strpos(told.def, told.place) FOR length(told.place))
    FROM live JOIN pg_trigger t ON t.tgrelid = live.oid AND NOT t.tgisinternal
    CROSS JOIN LATERAL (SELECT pg_get_triggerdef(t.oid) AS def, format(' ON %I.%I ', :live, relname) AS place) told
    UNION ALL
    SELECT 7, relname, format('COMMENT ON %s IS %L', CASE
        WHEN d.classoid = 'pg_constraint'::regclass
            THEN (SELECT format('CONSTRAINT %I ON %I.%I', k.conname, :shadow, relname) FROM pg_constraint k WHERE k.oid = d.objoid)
        WHEN d.classoid = 'pg_trigger'::regclass
            THEN (SELECT format('TRIGGER %I ON %I.%I', t.tgname, :shadow, relname) FROM pg_trigger t WHERE t.oid = d.objoid)
        WHEN d.objsubid > 0
            THEN (SELECT format('COLUMN %I.%I.%I', :shadow, relname, a.attname) FROM pg_attribute a
                  WHERE a.attrelid = live.oid AND a.attnum = d.objsubid)
        WHEN d.objoid = live.oid THEN format('TABLE %I.%I', :shadow, relname)
        ELSE (SELECT format('INDEX %I.%I', :shadow, i.relname) FROM pg_class i WHERE i.oid = d.objoid)
        END, d.description)
    FROM live JOIN pg_description d
      ON d.classoid = 'pg_class'::regclass AND d.objoid = live.oid
      OR d.classoid = 'pg_class'::regclass AND d.objoid IN (SELECT x.indexrelid FROM pg_index x WHERE x.indrelid = live.oid)
      OR d.classoid = 'pg_constraint'::regclass AND d.objoid IN (SELECT k.oid FROM pg_constraint k WHERE k.conrelid = live.oid)
      OR d.classoid = 'pg_trigger'::regclass AND d.objoid IN (SELECT t.oid FROM pg_trigger t WHERE t.tgrelid = live.oid)
)
SELECT statement FROM steps ORDER BY step, relname

-- name: lock_checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection FOR UPDATE

-- name: lock_checkpoints
-- There is no row yet, and a first batch may be about to write it.
LOCK TABLE checkpoints IN EXCLUSIVE MODE

-- name: checkpoint
SELECT version, epoch, position, event_hash, generation FROM checkpoints WHERE projection = :projection

-- name: both_positions
SELECT format('SELECT (SELECT position FROM %I.checkpoints WHERE projection = %L), '
              '(SELECT position FROM %I.checkpoints WHERE projection = %L)', :live, :projection, :shadow, :projection)

-- name: patience
SELECT set_config('lock_timeout', :lock, true), set_config('statement_timeout', :statement, true)

-- name: lock_against_upkeep
-- Readers and writers go on; an autovacuum gives way to it.
SELECT format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', string_agg(format('%I.%I', n.nspname, c.relname), ', '))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN (:live, :shadow) AND c.relname = ANY (:tables)

-- name: lock_against_all
SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', string_agg(format('%I.%I', n.nspname, c.relname), ', '))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN (:live, :shadow) AND c.relname = ANY (:tables)

-- name: snapshots
-- (session, transaction) of those who read as of an earlier time.
SELECT l.pid, l.virtualtransaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND a.datname = current_database()
  AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL AND a.backend_xmin IS NOT NULL
ORDER BY l.pid

-- name: holders
-- Sessions that hold, or have asked for, a lock on the live tables.
SELECT DISTINCT l.pid FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND n.nspname = :live AND c.relname = ANY (:tables)
ORDER BY l.pid

-- name: replace
SELECT format('DROP TABLE %s', string_agg(format('%I.%I', n.nspname, c.relname), ', '))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :live AND c.relname = ANY (:tables)
UNION ALL
SELECT format('ALTER TABLE %I.%I SET SCHEMA %I', n.nspname, c.relname, :live)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :shadow AND c.relname = ANY (:tables)
UNION ALL
SELECT format(
    'INSERT INTO %1$I.checkpoints (projection, version, epoch, position, event_hash, fence) '
    'SELECT projection, version, epoch, position, event_hash, '
    'coalesce((SELECT l.fence FROM %1$I.leases l WHERE l.name = projection), 0) FROM %2$I.checkpoints WHERE projection = %3$L '
    'ON CONFLICT (projection) DO UPDATE SET version = excluded.version, epoch = excluded.epoch, '
    'position = excluded.position, event_hash = excluded.event_hash, generation = checkpoints.generation + 1',
    :live, :shadow, :projection)
UNION ALL SELECT format('DROP TABLE %1$I.checkpoints, %1$I.leases', :shadow)
UNION ALL SELECT format('DROP SCHEMA %I', :shadow)
