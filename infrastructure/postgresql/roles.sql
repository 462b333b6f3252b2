-- name: make
-- Roles of least privilege for a claude-tiu database. None may log in: grant them to the roles that do.
--   tiu_writer     takes commands: appends, and forgets; it can neither change nor remove an event or a seal; it subscribes
--   tiu_projector  keeps the read tables, which it owns, and rebuilds them
--   tiu_reader     reads the read tables, by SQL
--   tiu_auditor    reads everything, and adds seals
-- It may be run again, and is to be after each migration: a new table has no grants. Run it as the owner of the tables,
-- who may make roles; where the roles are there already, the latter is not needed.
DO $$
DECLARE
    log CONSTANT TEXT[] := ARRAY['store', 'events', 'seals', 'schema_migrations'];
    write_side CONSTANT TEXT[] := ARRAY[
        'reservations', 'personal_keys', 'task_queue', 'task_queue_dependencies', 'agenda'];
    subscribing CONSTANT TEXT[] := ARRAY['subscriptions', 'subscription_leases'];
    public_reads CONSTANT TEXT[] := ARRAY[
        'users', 'user_sessions', 'templates', 'projects', 'tasks', 'task_dependencies', 'project_files',
        'validation_reports', 'validation_issues', 'progress_metrics', 'workflows', 'workflow_steps', 'step_executions',
        'agents', 'agent_assignments', 'agent_metrics', 'projects_archive', 'tasks_archive', 'task_dependencies_archive',
        'project_files_archive', 'validation_reports_archive', 'validation_issues_archive', 'progress_metrics_archive',
        'step_executions_archive', 'agent_assignments_archive', 'cleanup_log', 'checkpoints', 'leases',
        'parked_units', 'left_out_events'];
    private_reads CONSTANT TEXT[] := ARRAY['project_state', 'task_state', 'run_state', 'staged_issues', 'agent_state'];
    here CONSTANT TEXT := quote_ident(current_schema());
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['tiu_writer', 'tiu_projector', 'tiu_reader', 'tiu_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', here, name);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %s FROM %I', here, name); -- what was granted before
    END LOOP;

    -- What the read tables are, their owner alone may replace: a rebuild does. Whoever migrates stays a member of it.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT tiu_projector TO %I', current_user);
    END IF;
    EXECUTE format('GRANT CREATE ON SCHEMA %s TO tiu_projector', here);
    EXECUTE format('GRANT CREATE ON DATABASE %I TO tiu_projector', current_database());
    FOREACH name IN ARRAY public_reads || private_reads LOOP
        EXECUTE format('ALTER TABLE %I OWNER TO tiu_projector', name);
        EXECUTE format('GRANT ALL ON %I TO tiu_projector', name); -- its owner, from whom it was taken above
    END LOOP;

    FOREACH name IN ARRAY public_reads LOOP
        EXECUTE format('GRANT SELECT ON %I TO tiu_reader, tiu_auditor', name);
    END LOOP;
    FOREACH name IN ARRAY private_reads LOOP
        EXECUTE format('GRANT SELECT ON %I TO tiu_auditor', name);
    END LOOP;
    FOREACH name IN ARRAY log LOOP
        EXECUTE format('GRANT SELECT ON %I TO tiu_writer, tiu_projector, tiu_auditor', name);
    END LOOP;
    FOREACH name IN ARRAY subscribing LOOP
        EXECUTE format('GRANT SELECT ON %I TO tiu_projector, tiu_auditor', name);
    END LOOP;
    FOREACH name IN ARRAY write_side || subscribing LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO tiu_writer', name);
    END LOOP;
    GRANT INSERT ON events TO tiu_writer;
    GRANT SELECT ON checkpoints, leases, parked_units, left_out_events TO tiu_writer; -- how far the read tables are
    GRANT SELECT ON personal_keys TO tiu_projector, tiu_auditor; -- what is personal in the events
    GRANT INSERT ON seals TO tiu_auditor;
END;
$$

-- name: own_table
-- Of a table of a projection of an embedding service's; its name is one that `own.require_good` lets through.
ALTER TABLE {table} OWNER TO tiu_projector;
GRANT ALL ON {table} TO tiu_projector;
GRANT SELECT ON {table} TO {readers};

-- name: drop
-- Take the roles back: the read tables belong to who runs this again. A role stays where other databases know it.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['tiu_writer', 'tiu_projector', 'tiu_reader', 'tiu_auditor'] LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name);
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            EXECUTE format('GRANT %I TO %I', name, current_user); -- only its members may
        END IF;
        EXECUTE format('REASSIGN OWNED BY %I TO %I', name, current_user);
        EXECUTE format('DROP OWNED BY %I', name); -- its grants: it owns nothing any more
        BEGIN
            EXECUTE format('DROP ROLE %I', name);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE '% stays: other databases know it', name;
        END;
    END LOOP;
END;
$$
