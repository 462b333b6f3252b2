"""What parking knows of references is all that the tables have of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from claude_tiu import connect
from claude_tiu.domain.messages import Recorded
from claude_tiu.domain.registry import EVENTS
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.projections.parking import READ_MODEL_PARKING, REFERENCES
from claude_tiu.projections.projection import Insert
from claude_tiu.projections.read_model import READ_MODEL
from tests.domain.given import uid
from tests.domain.golden import EXAMPLES
from tests.projections.telling import Told

Reference = tuple[str, str, str]
"""(table, column, the table that it refers to)."""

UNITS = {
    "users": "user",
    "user_sessions": "user",
    "templates": "template",
    "workflows": "workflow",
    "workflow_steps": "workflow",
    "agents": "agent",
    "agent_assignments": "agent",
    "agent_assignments_archive": "agent",
    "agent_metrics": "agent metrics",
}
"""Of which kind of unit the rows of a table are; else of a project."""
MOVED = {("agent_assignments_archive", "agent_id", "agents"), ("agent_assignments_archive", "task_id", "tasks_archive")}
ARCHIVED = {
    ("projects_archive", "user_id", "users"),
    ("step_executions_archive", "workflow_step_id", "workflow_steps"),
    *MOVED,
}
"""Of rows that were made in the table that they are archived from: nothing new is referred to."""


def on_sqlite(place: Path) -> Iterator[Reference]:
    with closing(sqlite3.connect(read_path(place, 1))) as connection:
        for table in READ_MODEL.tables:
            statement = 'SELECT "from", "table" FROM pragma_foreign_key_list(?)'
            for column, parent in connection.execute(statement, (table.name,)):
                yield table.name, column, parent


def on_postgresql(url: str) -> Iterator[Reference]:
    statement = """
        SELECT k.conrelid::regclass::text, a.attname, k.confrelid::regclass::text FROM pg_constraint k
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) WHERE k.contype = 'f'"""
    with psycopg.connect(url) as connection:
        yield from connection.execute(statement).fetchall()


def unit_of(table: str) -> str:
    return UNITS.get(table, "project")


def known() -> set[Reference]:
    """The references that the rows of an example of each event make, with the keys that are told of it."""
    found = set()
    for kind, refers in REFERENCES.items():
        event = EXAMPLES[kind.topic]
        reference = refers(event)
        assert reference, kind
        recorded = Recorded(event, uid("stream"), 1, 1, uid("project"))
        for change in READ_MODEL.handlers[kind](recorded, event, Told()):
            if isinstance(change, Insert):
                named = [column for column, value in change.row.items() if value in reference.keys]
                found |= {(change.table, column, reference.table.name) for column in named}
    return found


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_every_foreign_key_between_units_is_a_reference_of_some_event(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if store == "sqlite":
        place = tmp_path / "app.db"
        connect(f"sqlite:///{place}", project=False).close()
        keys = set(on_sqlite(place))
    else:
        keys = set(on_postgresql(request.getfixturevalue("pg_url")))
    between = {(table, column, parent) for table, column, parent in keys if unit_of(table) != unit_of(parent)}
    assert len(keys) > 20
    assert between - ARCHIVED == known()


def test_nothing_is_referred_to_where_a_template_is_nobodys() -> None:
    event = EXAMPLES["template.created.v1"].model_copy(update={"created_by": None})
    assert REFERENCES[EVENTS["template.created.v1"]](event) is None


def test_stand_ins_can_be_told_from_what_anybody_makes() -> None:
    (table, user), (other, project) = READ_MODEL_PARKING.stand_ins([uid("project")])
    assert (table.name, other.name) == ("users", "projects")
    assert user.keys() == table.columns.keys()
    assert project.keys() == other.columns.keys()
    assert (project["id"], project["user_id"]) == (uid("project"), user["id"])
    assert user["username"].startswith("forgotten:")  # which no user may
