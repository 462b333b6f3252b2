"""Roles of least privilege on PostgreSQL: what each must do works, and what it must not is refused by the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from claude_tiu import CreateProject, ForgetUser, Tiu, connect
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.audit.chain import check_chain, seal_log
from claude_tiu.infrastructure.errors import RolesRefused, StoreUnavailable
from claude_tiu.infrastructure.postgresql.roles import ROLES, apply_roles, script
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.infrastructure.tiu import open_events
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.every_table import CHAPTERS, Narrator, last_position, tell_all
from tests.support.history import PROJECT, USER, create_user, uid
from tests.support.stores import PostgreSQLBackend
from tests.support.tampering import AT, KEY

OWNER = "tiu_test_owner"


@pytest.fixture
def granted(postgresql: PostgreSQLBackend) -> Iterator[PostgreSQLBackend]:
    """A database with rows in every table, and roles; the roles are dropped behind the test."""
    tell_all(postgresql)
    apply_roles(postgresql.url)
    yield postgresql
    apply_roles(postgresql.url, drop=True)


def as_role(backend: PostgreSQLBackend, *roles: str) -> str:
    """The URL of a session that has a role alone, as one that logs in with it would."""
    (role,) = roles
    return f"{backend.url}&options={quote(f'-c role={role}')}"


def refusal(backend: PostgreSQLBackend, role: str, statement: str) -> bool:
    """Whether the server refuses a statement to a role for want of privileges; it is undone in any case."""
    with psycopg.connect(as_role(backend, role)) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
        finally:
            connection.rollback()
    return False


def tables(backend: PostgreSQLBackend) -> set[str]:
    return {name for (name,) in backend.on_events("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")}


CHANGES = (
    "UPDATE {0} SET {1} = {1}",
    "DELETE FROM {0}",
    "TRUNCATE {0}",
    "ALTER TABLE {0} DISABLE TRIGGER ALL",
    "DROP TABLE {0}",
)


def test_the_writer_appends_and_forgets(granted: PostgreSQLBackend) -> None:
    with connect(as_role(granted, "tiu_writer"), project=False) as tiu:
        eve = uid("another user")
        tiu.execute_all([create_user("carol", user_id=eve), CreateProject(user_id=eve, name="Hers")])
        position = tiu.execute(ForgetUser(user_id=eve)).position
        assert tiu.events.keys([eve]) == {}
        assert tiu.get(PROJECT).name == "Billing"
    with connect(granted.url) as tiu:
        tiu.wait_for(position)
        ((name,),) = granted.on_reads("SELECT username FROM users WHERE id = ?", eve)
        assert name == f"forgotten:{eve}"


def test_the_writer_can_execute_what_fills_every_table_and_the_projector_fills_it(
    postgresql: PostgreSQLBackend,
) -> None:
    """Claims, users, retention and templates among it: neither has more than its role."""
    apply_roles(postgresql.url)
    try:
        with (
            connect(as_role(postgresql, "tiu_projector")) as projecting,
            connect(as_role(postgresql, "tiu_writer"), project=False) as tiu,
        ):
            narrator = Narrator(tiu)
            for chapter in CHAPTERS:
                chapter(narrator)
            tiu.wait_for(last_position(tiu))
            assert (tiu.lag().behind, tiu.parked(), projecting.parked()) == (0, [], [])
        assert {name for name, rows in postgresql.tables(READ_MODEL).items() if not rows} == {"parked_units"}
    finally:
        apply_roles(postgresql.url, drop=True)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("table", "column"), [("events", "actor"), ("seals", "seal")])
def test_no_role_can_change_or_remove_an_event_or_a_seal(
    granted: PostgreSQLBackend, role: str, table: str, column: str
) -> None:
    for change in CHANGES:
        assert refusal(granted, role, change.format(table, column)), change


def test_the_writer_has_no_part_in_the_read_tables(granted: PostgreSQLBackend) -> None:
    for change in (*CHANGES, "SELECT FROM {0}"):
        assert refusal(granted, "tiu_writer", change.format("tasks", "name")), change
    assert refusal(granted, "tiu_writer", "INSERT INTO seals VALUES (9, '')")
    assert refusal(granted, "tiu_writer", "CREATE TABLE mine ()")


def test_the_projector_projects_and_rebuilds_and_appends_nothing(granted: PostgreSQLBackend) -> None:
    with connect(granted.url, project=False) as tiu:
        position = tiu.execute(CreateProject(user_id=USER, name="New")).position
    with connect(as_role(granted, "tiu_projector")) as tiu:
        tiu.wait_for(position)
        assert not tiu.rebuild().differences
        with pytest.raises(StoreUnavailable, match="permission denied"):
            tiu.execute(CreateProject(user_id=USER, name="Not this role's"))
    for table in ("events", "reservations", "personal_keys", "seals"):
        assert refusal(granted, "tiu_projector", f"DELETE FROM {table}")


def test_after_a_rebuild_everybody_has_the_rights_that_they_had(granted: PostgreSQLBackend) -> None:
    rights = """
        SELECT c.relname::text, r.rolname::text, c.relowner::regrole::text, p.kind,
               has_table_privilege(r.oid, c.oid, p.kind)
        FROM pg_class c, pg_roles r, (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p (kind)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND r.rolname LIKE 'tiu_%' ORDER BY 1, 2, 4
    """
    before = granted.on_events(rights)
    with connect(as_role(granted, "tiu_projector")) as tiu:
        tiu.rebuild()
    assert granted.on_events(rights) == before


def test_the_reader_reads_the_read_tables_and_nothing_else(granted: PostgreSQLBackend) -> None:
    readable = {name for name in tables(granted) if not refusal(granted, "tiu_reader", f"SELECT FROM {name}")}
    assert {"projects", "tasks", "validation_issues", "projects_archive", "checkpoints"} < readable
    assert not readable & {
        "events",
        "seals",
        "store",
        "reservations",
        "personal_keys",
        "task_state",
        "schema_migrations",
    }
    for name in readable:
        assert refusal(granted, "tiu_reader", f"DELETE FROM {name}")


def test_the_auditor_reads_everything_and_seals(granted: PostgreSQLBackend) -> None:
    readable = {name for name in tables(granted) if not refusal(granted, "tiu_auditor", f"SELECT FROM {name}")}
    assert tables(granted) - readable == {"reservations", "task_queue", "task_queue_dependencies", "agenda"} | {
        "migration_rollbacks"
    }
    for name in readable:
        assert refusal(granted, "tiu_auditor", f"DELETE FROM {name}")
    settings = Settings()
    with closing(open_events(database(as_role(granted, "tiu_auditor"), settings), settings)) as events:
        seal = seal_log(events, KEY, AT)
        assert check_chain(events, [seal]).proved == seal.statement.position
    with Tiu(database(as_role(granted, "tiu_auditor"), settings), settings, project=False) as tiu:
        assert next(tiu.history(PROJECT)).sentence
        assert tiu.read.dashboard(USER)


def test_whoever_may_only_read_can_append_by_no_function(granted: PostgreSQLBackend) -> None:
    for role in ("tiu_reader", "tiu_auditor", "tiu_projector"):
        with pytest.raises(StoreUnavailable, match="permission denied"):  # noqa: SIM117 - what is raised where says it
            with connect(as_role(granted, role), project=False) as tiu:
                tiu.execute(CreateProject(user_id=USER, name="Not this role's"))
    assert refusal(granted, "tiu_reader", "SELECT key FROM personal_keys")
    assert refusal(granted, "tiu_reader", "SELECT reservation_key FROM store")


def test_every_table_is_some_roles(granted: PostgreSQLBackend) -> None:
    """A migration that makes a table says in roles.sql whose it is."""
    named = set(re.findall(r"'(\w+)'", script()))
    assert tables(granted) - named == {"migration_rollbacks"}


def test_making_the_roles_again_changes_nothing_and_takes_back_what_was_granted_besides(
    granted: PostgreSQLBackend,
) -> None:
    grants = (
        "SELECT relname::text, relacl::text, relowner::regrole::text FROM pg_class WHERE relacl IS NOT NULL ORDER BY 1"
    )
    before = granted.on_events(grants)
    granted.on_events("GRANT UPDATE ON events TO tiu_writer")
    apply_roles(granted.url)
    assert granted.on_events(grants) == before


def test_dropping_the_roles_leaves_the_database_as_it_was(postgresql: PostgreSQLBackend) -> None:
    owners = "SELECT relname::text, relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    before = sorted(postgresql.on_events(owners))
    apply_roles(postgresql.url)
    apply_roles(postgresql.url, drop=True)
    assert sorted(postgresql.on_events(owners)) == before
    assert postgresql.on_events("SELECT rolname FROM pg_roles WHERE rolname = ANY (?)", list(ROLES)) == []
    apply_roles(postgresql.url, drop=True)


def test_an_owner_who_is_no_superuser_makes_the_roles_and_migrates_on(
    postgresql: PostgreSQLBackend, pg_empty: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(pg_empty)["dbname"]
    url = pg_empty.replace("postgres@", f"{OWNER}@")
    postgresql.on_events(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
    try:
        postgresql.on_events(f"ALTER DATABASE {name} OWNER TO {OWNER}")
        where = database(url, Settings())
        migrations.up(where)
        apply_roles(url)
        assert migrations.down(where, to="011")
        assert migrations.up(where)
        apply_roles(url)
        with connect(url) as tiu:
            position = tiu.execute(create_user(user_id=USER)).position
            tiu.wait_for(position)
        apply_roles(url, drop=True)
    finally:
        with psycopg.connect(pg_empty, autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY {OWNER} TO postgres".encode())
            connection.execute(f"DROP OWNED BY {OWNER}".encode())
            connection.execute(f"DROP ROLE {OWNER}".encode())


def test_a_role_that_may_make_none_is_told_and_nothing_is_done(granted: PostgreSQLBackend) -> None:
    with pytest.raises(RolesRefused, match="nothing was done: "):
        apply_roles(as_role(granted, "tiu_reader"))


def test_the_script_is_what_psql_can_run(tmp_path: Path) -> None:
    assert script().startswith("-- Roles of least privilege")
    assert script().rstrip().endswith("$$;")
    assert script(drop=True).rstrip().endswith("$$;")
