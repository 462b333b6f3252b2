"""What a rebuild on PostgreSQL keeps of the live tables, what it refuses to lose, and whom it waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from claude_tiu import RebuildRefused, TablesBusy
from claude_tiu.infrastructure.migrations import migrate_up
from claude_tiu.infrastructure.postgresql import shadow as shadow_module
from claude_tiu.infrastructure.postgresql.connections import Connections
from claude_tiu.infrastructure.postgresql.shadow import at_once
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.rebuild import RebuildProgress
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.candidates import until
from tests.support.history import store_history
from tests.support.patience import PATIENCE
from tests.support.rebuilding import Stopped, catalogue, is_left, rebuild, stops_at, traces
from tests.support.stores import PostgreSQLBackend


@pytest.fixture
def projected(postgresql: PostgreSQLBackend) -> PostgreSQLBackend:
    return fill(postgresql)


def fill(backend: PostgreSQLBackend) -> PostgreSQLBackend:
    store_history(backend.events())
    Projector(backend.events(), backend.reads(), READ_MODEL).catch_up()
    return backend


@pytest.fixture
def roles(postgresql: PostgreSQLBackend) -> Iterator[tuple[str, str]]:
    """Two roles that may connect: they belong to the server, so they are dropped."""
    names = tuple(f"tiu_{uuid4().hex[:12]}" for _ in range(2))
    for name in names:
        postgresql.on_events(f"CREATE ROLE {name} LOGIN")
    yield names[0], names[1]
    for name in names:
        postgresql.on_events(f"DROP OWNED BY {name} CASCADE")
        postgresql.on_events(f"DROP ROLE {name}")


class TestKeeps:
    def test_owners_rights_comments_and_settings(self, projected: PostgreSQLBackend, roles: tuple[str, str]) -> None:
        owner, reader = roles
        for statement in (
            f"GRANT SELECT ON tasks, projects TO {reader}",
            f"GRANT UPDATE ON projects TO {reader} WITH GRANT OPTION",
            f"GRANT SELECT (id, role) ON users TO {reader}",
            "GRANT SELECT ON progress_metrics TO PUBLIC",
            f"ALTER TABLE templates OWNER TO {owner}",
            f"GRANT SELECT ON templates TO {reader}",
            f"REVOKE DELETE ON templates FROM {owner}",
            "COMMENT ON TABLE tasks IS 'It''s a task'",
            "COMMENT ON COLUMN tasks.name IS 'What to do'",
            "COMMENT ON INDEX idx_tasks_status IS 'By status'",
            "COMMENT ON CONSTRAINT tasks_pkey ON tasks IS 'The key'",
            "COMMENT ON CONSTRAINT tasks_status_check ON tasks IS 'The statuses'",
            "COMMENT ON TRIGGER trigger_check_circular_dependency ON task_dependencies IS 'The second wall'",
            "ALTER TABLE tasks SET (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false)",
            "ALTER TABLE tasks ALTER COLUMN name SET STATISTICS 500",
            "ALTER TABLE tasks ALTER COLUMN project_id SET (n_distinct = 100)",
            "ALTER TABLE tasks ALTER COLUMN description SET STORAGE EXTERNAL",
            'ALTER TABLE tasks ADD COLUMN "by Hand" INTEGER NOT NULL DEFAULT 7',
            'ALTER TABLE tasks DROP COLUMN "by Hand"',
            "ALTER TABLE tasks ADD COLUMN doubled INTEGER GENERATED ALWAYS AS (estimated_duration * 2) STORED",
            "ALTER TABLE agent_metrics REPLICA IDENTITY FULL",
            'CREATE UNIQUE INDEX "by Name" ON templates (lower(name), id) INCLUDE (category) WHERE is_public',
        ):
            projected.on_events(statement)
        tables = catalogue(projected)
        rebuild(projected)
        assert catalogue(projected) == tables

    def test_rights_by_default_of_new_tables_do_not_come_in(
        self, projected: PostgreSQLBackend, roles: tuple[str, str]
    ) -> None:
        _, reader = roles
        projected.on_events(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}")
        rebuild(projected)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(projected, reader, "SELECT count(*) FROM users")
        projected.on_events(f"ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM {reader}")

    def test_a_reader_may_read_all_the_time(self, projected: PostgreSQLBackend, roles: tuple[str, str]) -> None:
        _, reader = roles
        projected.on_events(f"GRANT SELECT ON projects TO {reader}")
        rebuild(projected)
        assert as_role(projected, reader, "SELECT name FROM projects") == [("Billing",)]

    def test_the_tables_of_a_schema_that_the_connection_names(self, postgresql: PostgreSQLBackend) -> None:
        postgresql.on_events("CREATE SCHEMA tenant")
        glue = "&" if "?" in postgresql.url else "?"
        tenant = PostgreSQLBackend(f"{postgresql.url}{glue}options=-csearch_path%3Dtenant")
        migrate_up(tenant.url)
        fill(tenant)
        rows, tables = tenant.tables(READ_MODEL), catalogue(tenant)
        with pytest.raises(Stopped):
            rebuild(tenant, tell=stops_at(3), batch_size=10)
        assert traces(tenant) == ["tenant_rebuild"]
        assert rebuild(tenant).resumed_at
        assert (tenant.tables(READ_MODEL), catalogue(tenant)) == (rows, tables)
        assert postgresql.on_events("SELECT count(*) FROM public.tasks") == [(0,)]
        tenant.close()

    def test_plans_of_statements_that_were_prepared(self, projected: PostgreSQLBackend) -> None:
        """Of readers of somebody else's, in a session that lasts; and of the trigger's function."""
        statement = "SELECT * FROM tasks WHERE project_id = %s AND status <> 'x' ORDER BY added_position"
        (project,) = projected.on_events("SELECT id FROM projects")[0]
        with psycopg.connect(projected.url, autocommit=True, prepare_threshold=1) as session:
            before = [session.execute(statement, (project,)).fetchall() for _ in range(10)]
            session.execute("SET plan_cache_mode = force_generic_plan")
            rebuild(projected)
            assert session.execute(statement, (project,)).fetchall() == before[0] == before[-1]
            rebuild(projected)
            assert session.execute(statement, (project,)).fetchall() == before[0]
            one, other = session.execute(
                "SELECT task_id, depends_on_task_id FROM task_dependencies LIMIT 1"
            ).fetchall()[0]
            circle = "INSERT INTO task_dependencies (task_id, depends_on_task_id) VALUES (%s, %s)"
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="Circular"):
                session.execute(circle, (other, one))


def as_role(backend: PostgreSQLBackend, role: str, statement: str) -> list[Any]:
    with psycopg.connect(backend.url, user=role) as connection:
        return connection.execute(statement.encode()).fetchall()


class TestCompares:
    def test_tables_whose_size_is_known(self, projected: PostgreSQLBackend) -> None:
        """Else one process alone joins them."""
        sizes = list[tuple[float]]()

        def look(progress: RebuildProgress) -> None:
            if progress.step == "comparing" and not sizes:
                sizes.extend(
                    projected.on_events("SELECT reltuples FROM pg_class WHERE oid = 'public_rebuild.tasks'::regclass")
                )

        rebuild(projected, tell=look)
        assert sizes == projected.on_events("SELECT count(*)::real FROM tasks")

    @pytest.mark.timeout(60)  # where it waits, it waits for ever
    def test_without_waiting_for_an_upkeep(self, projected: PostgreSQLBackend) -> None:
        """An autovacuum holds this lock, and gives way after a second only."""
        steps = list[str]()
        with psycopg.connect(projected.url) as upkeep:

            def hold(progress: RebuildProgress) -> None:
                if progress.step == "loading" and progress.step not in steps:
                    upkeep.execute("LOCK TABLE public_rebuild.tasks IN SHARE UPDATE EXCLUSIVE MODE")
                if progress.step == "comparing":
                    upkeep.rollback()
                steps.append(progress.step)

            rebuild(projected, tell=hold)
        assert "comparing" in steps


class TestRefuses:
    @pytest.mark.parametrize(
        ("made", "told"),
        [
            ("CREATE VIEW report AS SELECT name FROM projects", "projects: view report"),
            ("CREATE MATERIALIZED VIEW report AS SELECT name FROM projects", "projects: materialized view report"),
            (
                "CREATE TABLE theirs (task UUID REFERENCES tasks(id))",
                "tasks: constraint theirs_task_fkey on table theirs",
            ),
            ("CREATE TABLE theirs () INHERITS (cleanup_log)", "cleanup_log: table theirs"),
            ("CREATE TABLE theirs (task tasks)", "tasks: table theirs"),
            ("CREATE PUBLICATION theirs FOR TABLE users", "users: publication"),
            ("CREATE PUBLICATION theirs FOR ALL TABLES", "users: publication theirs"),
            ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "users: row level security"),
            ("CREATE POLICY mine ON users USING (true)", "users: policy mine on table users"),
            (
                "CREATE FUNCTION f() RETURNS BIGINT LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM users; END",
                "users: function f()",
            ),
            (
                "CREATE TRIGGER mine BEFORE UPDATE ON tasks FOR EACH ROW"
                " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                "tasks: trigger mine on table tasks",
            ),
            ("CREATE RULE mine AS ON DELETE TO tasks DO INSTEAD NOTHING", "tasks: table tasks"),
            ("CREATE STATISTICS mine ON status, priority FROM tasks", "tasks: statistics object mine"),
            ("ALTER TABLE tasks ADD COLUMN n SERIAL", "tasks: sequence tasks_n_seq"),
        ],
    )
    def test_to_lose_what_depends_on_the_tables(self, projected: PostgreSQLBackend, made: str, told: str) -> None:
        projected.on_events(made)
        loaded: list[RebuildProgress] = []
        with pytest.raises(RebuildRefused) as caught:
            rebuild(projected, tell=loaded.append)
        assert told in str(caught.value)
        assert loaded == [], "it is told before the work, not after it"
        assert traces(projected) == []

    def test_what_comes_while_it_loads(self, projected: PostgreSQLBackend) -> None:
        def tell(progress: RebuildProgress) -> None:
            if progress.step == "swapping":
                projected.on_events("CREATE VIEW report AS SELECT name FROM projects")

        with pytest.raises(RebuildRefused, match="view report"):
            rebuild(projected, tell=tell)
        assert projected.on_events("SELECT * FROM report") == [("Billing",)]
        projected.on_events("DROP VIEW report")
        assert rebuild(projected).resumed_at

    def test_to_lose_an_index_that_comes_at_the_end(self, projected: PostgreSQLBackend) -> None:
        def tell(progress: RebuildProgress) -> None:
            if progress.step == "swapping":
                projected.on_events("CREATE INDEX mine ON tasks (name)")

        with pytest.raises(RebuildRefused, match="index mine of tasks"):
            rebuild(projected, tell=tell)
        tables = catalogue(projected)
        assert rebuild(projected).resumed_at
        assert catalogue(projected) == tables

    def test_a_schema_that_is_not_its_own(self, projected: PostgreSQLBackend) -> None:
        projected.on_events("CREATE SCHEMA public_rebuild")
        projected.on_events("CREATE TABLE public_rebuild.precious AS SELECT 1 AS one")
        with pytest.raises(RebuildRefused, match="public_rebuild is not of a rebuild"):
            rebuild(projected)
        assert projected.on_events("SELECT one FROM public_rebuild.precious") == [(1,)]

    def test_a_role_that_may_not_make_schemas(self, projected: PostgreSQLBackend, roles: tuple[str, str]) -> None:
        _, other = roles
        projected.on_events(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {other}")
        stranger = PostgreSQLBackend(projected.url.replace("postgres@", f"{other}@"))
        with pytest.raises(RebuildRefused, match="belongs to postgres"):
            rebuild(stranger)
        stranger.close()

    def test_not_an_owner_who_is_no_superuser(self, postgresql: PostgreSQLBackend, roles: tuple[str, str]) -> None:
        owner, reader = roles
        postgresql.on_events(f"CREATE SCHEMA app AUTHORIZATION {owner}")
        glue = "&" if "?" in postgresql.url else "?"
        url = f"{postgresql.url}{glue}options=-csearch_path%3Dapp".replace("postgres@", f"{owner}@")
        migrate_up(url)
        app = fill(PostgreSQLBackend(url))
        app.on_events(f"GRANT SELECT ON tasks TO {reader}")
        tables = catalogue(app)
        with pytest.raises(RebuildRefused, match="makes the schema app_rebuild, which this role may not do"):
            rebuild(app)
        ((name,),) = postgresql.on_events("SELECT current_database()")
        postgresql.on_events(f"GRANT CREATE ON DATABASE {name} TO {owner}")
        rebuild(app)
        assert catalogue(app) == tables
        app.close()


class TestAtOnce:
    @pytest.fixture
    def connections(self, postgresql: PostgreSQLBackend) -> Iterator[Connections]:
        connections = Connections(postgresql.url, max_size=2, timeout=PATIENCE, recycle=3_600.0)
        yield connections
        connections.close()

    @staticmethod
    def run(cursor: psycopg.Cursor[Any], statement: str) -> None:
        cursor.execute(statement.encode())

    def test_two_statements_run_and_each_is_told_once(self, connections: Connections) -> None:
        together = threading.Barrier(2, timeout=PATIENCE)
        told: list[int] = []

        def meet(cursor: psycopg.Cursor[Any], number: int) -> None:
            together.wait()

        at_once(range(8), connections, meet, told.append)
        assert sorted(told) == list(range(8))

    def test_what_one_raises_ends_the_other(self, connections: Connections) -> None:
        began = time.monotonic()
        with pytest.raises(psycopg.errors.DivisionByZero):
            at_once(["SELECT pg_sleep(120)", "SELECT 1 / 0", "SELECT pg_sleep(120)"], connections, self.run)
        assert time.monotonic() - began < 60
        with connections.using() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_who_is_told_may_end_both(self, connections: Connections) -> None:
        def stop(_: str) -> None:
            raise Stopped

        began = time.monotonic()
        with pytest.raises(Stopped):
            at_once(["SELECT pg_sleep(120)", "SELECT 1", "SELECT pg_sleep(120)"], connections, self.run, stop)
        assert time.monotonic() - began < 60


class TestWaits:
    @pytest.fixture(autouse=True)
    def _short_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shadow_module, "PAUSE_SECONDS", 0.1)

    def test_for_readers_and_tells_who_they_are(
        self, projected: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with holding(projected, "SELECT count(*) FROM tasks") as session:
            with monkeypatch.context() as impatient:
                impatient.setattr(shadow_module, "LOCK_ATTEMPTS", 2)
                with pytest.raises(TablesBusy, match=f"sessions {session.info.backend_pid}") as caught:
                    rebuild(projected)
            assert "\n" not in str(caught.value)
            assert projected.on_events("SELECT count(*) FROM projects") == [(1,)]
            assert is_left(projected)
        report = rebuild(projected)
        assert report.resumed_at == report.position
        assert traces(projected) == []

    def test_for_readers_who_come_to_an_end(self, projected: PostgreSQLBackend) -> None:
        waits = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'tasks'::regclass"
        with holding(projected, "SELECT count(*) FROM tasks") as session:

            def end() -> None:
                until(lambda: projected.on_events(waits))
                session.rollback()

            ending = threading.Thread(target=end)
            ending.start()
            assert rebuild(projected).swapped
            ending.join()

    def test_for_a_reader_as_of_an_earlier_time(
        self, projected: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has not touched the tables yet, so no lock is in the way; it would find them as they were then: empty."""
        with psycopg.connect(projected.url) as session:
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            session.execute("SELECT 1")
            with monkeypatch.context() as impatient:
                impatient.setattr(shadow_module, "OUTWAIT_SECONDS", 1.0)
                with pytest.raises(TablesBusy, match=f"sessions {session.info.backend_pid}"):
                    rebuild(projected)
            assert session.execute("SELECT count(*) FROM projects").fetchone() == (1,)
        assert rebuild(projected).swapped

    def test_not_for_one_that_sees_what_was_loaded(self, projected: PostgreSQLBackend) -> None:
        found: list[Any] = []

        def tell(progress: RebuildProgress) -> None:
            if progress.step == "swapping":
                session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                session.execute("SELECT 1")

        with psycopg.connect(projected.url) as session:
            assert rebuild(projected, tell=tell).swapped
            found += session.execute("SELECT name FROM projects").fetchall()
        assert found == [("Billing",)]

    def test_not_for_an_autovacuum_or_what_is_like_it(self, projected: PostgreSQLBackend) -> None:
        """A reader that comes and goes all the time is no obstacle."""
        stop = threading.Event()

        def read() -> None:
            with psycopg.connect(projected.url, autocommit=True) as session:
                while not stop.is_set():
                    session.execute("SELECT count(*) FROM tasks t JOIN projects p ON p.id = t.project_id")

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            assert rebuild(projected).swapped
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@contextmanager
def holding(backend: PostgreSQLBackend, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """A session that has done something in a transaction that it does not end."""
    with psycopg.connect(backend.url) as session:
        session.execute(statement.encode())
        yield session
