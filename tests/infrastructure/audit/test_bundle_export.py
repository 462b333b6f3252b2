"""What an audit bundle holds: all of one project, nothing of another or of a person, the same from either store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from claude_tiu import (
    AddTask,
    ClaimNextTask,
    CreateProject,
    DiscardParkedEvents,
    FinishTask,
    ForgetUser,
    NotFound,
    RecordHeartbeat,
    RegisterAgent,
    UndecodableEvent,
    connect,
    template_workflow_id,
)
from claude_tiu.infrastructure.audit.bundle.archive import Archive
from claude_tiu.infrastructure.audit.bundle.check import check_bundle
from claude_tiu.infrastructure.audit.bundle.export import ExportReport, export
from claude_tiu.infrastructure.audit.bundle.form import (
    LOG,
    MEMBERS,
    PROOFS,
    ROWS,
    SCHEMAS,
    SEALS,
    TABLES,
    event_line,
    event_of,
    schema_lines,
)
from claude_tiu.infrastructure.audit.seals import SealingKey
from claude_tiu.infrastructure.errors import BadSeal, FileExists, InvalidQuery, ProjectionFailed
from claude_tiu.infrastructure.event_store import EventRow, NewEvent, Stored
from claude_tiu.infrastructure.sqlite.values import time_text
from claude_tiu.projections.projection import Kind
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.bundling import members_of, of_project, seal_at, values_of
from tests.support.every_table import LEGACY, PROJECT, USER, tell_all
from tests.support.history import START, create_user, uid
from tests.support.postgres_server import database_url, new_database
from tests.support.replaying import stopped_at_each
from tests.support.stores import BACKENDS, Backend, append, new_backend

OTHER = uid("other project")
WORKFLOWS = {PROJECT: {template_workflow_id(PROJECT)}, LEGACY: {template_workflow_id(LEGACY)}, OTHER: set[UUID]()}
KEY = SealingKey(bytes(range(32)))


@pytest.fixture(scope="module", params=BACKENDS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A database with a row of every table, for tests that change nothing in it."""
    place: Path | str = tmp_path_factory.mktemp("told") / "tiu.db"
    if request.param == "postgresql":
        place = request.getfixturevalue("pg_told_url")
    with new_backend(request.param, place) as backend:
        tell_all(backend)
        yield backend


@pytest.fixture(scope="module")
def pg_told_url(pg_server: str, pg_template: str) -> Iterator[str]:
    with new_database(pg_server, "told", template=pg_template) as name:
        yield database_url(pg_server, name)


def exported(backend: Backend, project_id: UUID, path: Path, position: int | None = None) -> ExportReport:
    events = backend.events()
    last = events.max_notification_id()
    assert last is not None
    return export(events, seal_at(events, [20, 50, last - 5], KEY), project_id, path, position=position)


def rows_in(path: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {table.name: [] for table in TABLES}
    for row in values_of(members_of(path)[ROWS]):
        found[row["table"]].append(row["row"])
    return found


def plain(tables: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Rows in Python's terms as JSON has them."""
    kinds = {table.name: table.columns for table in READ_MODEL.tables}

    def value(kind: Kind, given: Any) -> Any:
        if given is None:
            return None
        return str(given) if kind is Kind.UUID else time_text(given) if kind is Kind.TIME else given

    return {
        name: [{column: value(kinds[name][column], row[column]) for column in row} for row in rows]
        for name, rows in tables.items()
    }


@pytest.mark.parametrize("project_id", [PROJECT, LEGACY, OTHER], ids=["usual", "archived", "restored"])
def test_its_rows_are_the_live_ones_of_its_project(told: Backend, project_id: UUID, tmp_path: Path) -> None:
    report = exported(told, project_id, tmp_path / "a.zip")
    live = plain(of_project(told.rows(READ_MODEL), project_id, WORKFLOWS[project_id]))
    assert rows_in(tmp_path / "a.zip") == live
    assert report.rows == sum(len(rows) for rows in live.values()) > 0
    assert check_bundle(tmp_path / "a.zip").holds


def test_every_table_of_a_project_has_a_row_in_some_bundle(told: Backend, tmp_path: Path) -> None:
    """So that the comparison above has something to compare."""
    filled = set()
    for number, project_id in enumerate((PROJECT, LEGACY)):
        exported(told, project_id, tmp_path / str(number))
        filled |= {name for name, rows in rows_in(tmp_path / str(number)).items() if rows}
    assert filled == {table.name for table in TABLES}


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_as_of_any_position_its_rows_are_those_of_a_database_that_was_stopped_there(
    sqlite: Backend, tmp_path: Path, every: int
) -> None:
    tell_all(sqlite)
    events = sqlite.events()
    created = next(row.position for row in events.read_rows_of_stream(PROJECT, 0, 1))
    last = events.max_notification_id() or 0
    for position in stopped_at_each(sqlite, sorted({*range(created, last, every), last})):
        path = tmp_path / f"{position}.zip"
        export(events, [], PROJECT, path, position=position)
        live = plain(of_project(sqlite.rows(READ_MODEL), PROJECT, WORKFLOWS[PROJECT]))
        found = rows_in(path)
        if not found["workflows"]:  # its workflow was not run yet
            live["workflows"], live["workflow_steps"] = [], []
        assert found == live, position
        assert check_bundle(path).holds


def test_the_same_events_give_the_same_bundle_on_every_store(
    sqlite: Backend, postgresql: Backend, tmp_path: Path
) -> None:
    """Apart from what is the store's own: when it recorded, its epoch, and the hashes over these."""
    own = {"recorded_at": None, "hash": None, "previous_hash": None}
    bundles = []
    for backend in (sqlite, postgresql):
        tell_all(backend)
        exported(backend, PROJECT, tmp_path / backend.name)
        bundles.append(members_of(tmp_path / backend.name))
    ours, theirs = bundles
    assert [event | own for event in values_of(ours[LOG])] == [event | own for event in values_of(theirs[LOG])]
    assert ours[ROWS] == theirs[ROWS]
    assert ours[SCHEMAS] == theirs[SCHEMAS]
    assert [len(bundle[name]) for bundle in bundles for name in (PROOFS, SEALS)] == [53, 3, 53, 3]


def test_exported_twice_it_is_the_same_bytes(told: Backend, tmp_path: Path) -> None:
    one, other = (exported(told, PROJECT, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert one.digest == other.digest == check_bundle(tmp_path / "a.zip").digest


def test_it_holds_every_event_of_its_project(told: Backend, tmp_path: Path) -> None:
    report = exported(told, PROJECT, tmp_path / "a.zip")
    of_its_own = {row.position for row in told.events().read_rows(0, 1_000) if row.project_id == PROJECT}
    found = {event["position"] for event in values_of(members_of(tmp_path / "a.zip")[LOG])}
    assert found >= of_its_own
    assert report.events == len(found) > len(of_its_own)


def test_an_events_row_is_there_as_it_is_stored(told: Backend, tmp_path: Path) -> None:
    exported(told, PROJECT, tmp_path / "a.zip")
    rows = {row.position: row for row in told.events().read_rows(0, 1_000)}
    for event in values_of(members_of(tmp_path / "a.zip")[LOG]):
        row = rows[event["position"]]
        assert event["state"].encode() == row.state
        assert (event["hash"], event["previous_hash"]) == (row.hash.hex(), row.previous_hash.hex())
        assert event["recorded_at"] == time_text(row.recorded_at)
        assert event["command_digest"] == (row.command_digest and row.command_digest.hex())
        names = ("stream_id", "command_id", "project_id", "key_id", "actor", "correlation_id", "causation_id")
        assert [event[name] for name in names] == [
            None if (value := getattr(row, name)) is None else str(value) for name in names
        ]


def test_it_holds_nothing_of_another_project(told: Backend, tmp_path: Path) -> None:
    """Not even of what its agents, its owner and its template did for others."""
    exported(told, PROJECT, tmp_path / "a.zip")
    data = (tmp_path / "a.zip").read_bytes()
    rows = told.events().read_rows(0, 1_000)
    of_others = {str(row.stream_id) for row in rows if row.project_id not in (None, PROJECT)}
    assert len(of_others) > 5
    assert [id_ for id_ in of_others if id_.encode() in data] == []


def test_of_an_agent_it_holds_what_it_did_for_the_project(backend: Backend, tmp_path: Path) -> None:
    """And its registration; beats of its heart and work for others are left out, so its versions have gaps."""
    ours, others, agent, user = uid("ours"), uid("others"), uid("an agent"), uid("somebody")
    with connect(backend.url) as tiu:
        tiu.execute_all([create_user(user_id=user), RegisterAgent(agent_id=agent, agent_type="tester", name="Ada")])
        for project_id in (others, ours):
            tiu.execute(CreateProject(project_id=project_id, user_id=user, name="A project"))
        for project_id in (others, ours, others, ours):
            task = tiu.execute(AddTask(project_id=project_id, name="A task")).id
            tiu.execute(ClaimNextTask(agent_id=agent, project_id=project_id))
            tiu.execute(RecordHeartbeat(agent_id=agent))
            tiu.execute(FinishTask(agent_id=agent, task_id=task))
            tiu.execute(RecordHeartbeat(agent_id=agent))
        tiu.wait_for(tiu.lag().last_position)
    path = tmp_path / "a.zip"
    export(backend.events(), [], ours, path)
    found = [event for event in values_of(members_of(path)[LOG]) if event["stream_id"] == str(agent)]
    assert [event["version"] for event in found] == [1, 6, 7, 8, 14, 15, 16]
    assert str(others).encode() not in path.read_bytes()
    assert rows_in(path) == plain(of_project(backend.rows(READ_MODEL), ours, set()))
    assert len(rows_in(path)["agent_assignments"]) == 2
    assert check_bundle(path).holds


def test_what_was_discarded_is_in_with_its_discarding_and_makes_no_row_from_there_on(
    told: Backend, tmp_path: Path
) -> None:
    last = told.events().max_notification_id() or 0
    for position, velocities in ((last - 1, [9.5]), (last, [])):
        path = tmp_path / str(position)
        exported(told, OTHER, path, position)
        assert [row["value"] for row in rows_in(path)["progress_metrics"]] == velocities
        assert check_bundle(path).holds
    *_, recorded, discarding = values_of(members_of(path)[LOG])
    assert [recorded["topic"], discarding["topic"]] == [
        "project_metrics.metric_recorded.v1",
        "parking.events_discarded.v1",
    ]
    assert discarding["position"] == last
    exported(told, PROJECT, tmp_path / "another", last)
    assert values_of(members_of(tmp_path / "another")[LOG])[-1]["position"] == last - 2


def test_what_an_agent_did_is_discarded_for_the_project_that_it_concerns(backend: Backend, tmp_path: Path) -> None:
    ours, others, agent, user = uid("ours"), uid("others"), uid("an agent"), uid("somebody")
    discarded = []
    with connect(backend.url) as tiu:
        tiu.execute_all([create_user(user_id=user), RegisterAgent(agent_id=agent, agent_type="tester", name="Ada")])
        for project_id in (others, ours):
            tiu.execute(CreateProject(project_id=project_id, user_id=user, name="A project"))
            task = tiu.execute(AddTask(project_id=project_id, name="A task")).id
            tiu.execute(ClaimNextTask(agent_id=agent, project_id=project_id))
            opened = tiu.events.positions_of(None, [agent])[-1]
            tiu.execute(FinishTask(agent_id=agent, task_id=task))
            closed = tiu.events.positions_of(None, [agent])[-1]
            discard = {"unit_id": agent, "first_position": opened, "last_position": closed, "reason": str(project_id)}
            discarded.append(tiu.execute(DiscardParkedEvents(**discard)).position)  # type: ignore[arg-type]
        unknown = append(tiu.events, NewEvent(agent, 6, "agent.dreamt.v1", b"{}"))
        assert isinstance(unknown, Stored)
        path = tmp_path / "a.zip"
        with pytest.raises(UndecodableEvent, match=r"agent\.dreamt\.v1"):
            export(backend.events(), [], ours, path)
        at = unknown.first_position
        tiu.execute(DiscardParkedEvents(unit_id=agent, first_position=at, last_position=2**53, reason="dreams"))
        tiu.wait_for(tiu.lag().last_position)
    export(backend.events(), [], ours, path)
    found = values_of(members_of(path)[LOG])
    assert [one["position"] for one in found if one["topic"] == "parking.events_discarded.v1"] == discarded[1:]
    assert str(others).encode() not in path.read_bytes()
    rows = rows_in(path)
    assert rows == plain(of_project(backend.rows(READ_MODEL), ours, set()))
    assert (rows["agent_assignments"], len(rows["tasks"])) == ([], 1)
    assert check_bundle(path).holds


def test_what_does_not_decode_is_exported_once_it_is_discarded(backend: Backend, tmp_path: Path) -> None:
    project, user, path = uid("ours"), uid("somebody"), tmp_path / "a.zip"
    with connect(backend.url) as tiu:
        tiu.execute(create_user(user_id=user))
        tiu.execute(CreateProject(project_id=project, user_id=user, name="A project"))
        append(tiu.events, NewEvent(uid("a task"), 1, "task.assigned.v7", b"{}", project_id=project))
        tiu.wait_for(tiu.execute(RegisterAgent(agent_type="tester")))
        with pytest.raises(ProjectionFailed, match=r"task\.assigned\.v7"):
            export(backend.events(), [], project, path)
        tiu.discard_parked(project, "dreams")
        tiu.wait_for(tiu.execute(AddTask(project_id=project, name="A task")))
    export(backend.events(), [], project, path)
    assert rows_in(path) == plain(of_project(backend.rows(READ_MODEL), project, set()))
    assert len(rows_in(path)["tasks"]) == 1


def test_it_holds_nothing_personal(told: Backend, tmp_path: Path) -> None:
    """Of a user, the id alone: no event, sealed or not, and no row."""
    exported(told, PROJECT, tmp_path / "a.zip")
    members = members_of(tmp_path / "a.zip")
    topics = {event["topic"].partition(".")[0] for event in values_of(members[LOG])}
    assert not topics & {"user", "session"}
    assert all(event["key_id"] is None for event in values_of(members[LOG]))
    (project,) = rows_in(tmp_path / "a.zip")["projects"]
    assert project["user_id"] == str(USER)
    for table in READ_MODEL.tables:
        assert not (table.personal and table in TABLES)


def test_forgetting_its_owner_changes_no_bit_of_it(backend: Backend, tmp_path: Path) -> None:
    tell_all(backend)
    position = backend.events().max_notification_id()
    exported(backend, PROJECT, tmp_path / "before.zip", position)
    with connect(backend.url) as tiu:
        tiu.execute(ForgetUser(user_id=USER))
    events = backend.events()
    assert position is not None
    export(events, seal_at(events, [20, 50, position - 5], KEY), PROJECT, tmp_path / "after.zip", position=position)
    assert (tmp_path / "after.zip").read_bytes() == (tmp_path / "before.zip").read_bytes()
    assert check_bundle(tmp_path / "before.zip", keys=[KEY.public]).holds


def test_every_event_that_is_sealed_has_its_proof(told: Backend, tmp_path: Path) -> None:
    report = exported(told, PROJECT, tmp_path / "a.zip")
    members = members_of(tmp_path / "a.zip")
    last = told.events().max_notification_id() or 0
    sealed = [event["position"] for event in values_of(members[LOG]) if event["position"] <= last - 5]
    assert [proof["position"] for proof in values_of(members[PROOFS])] == sealed
    assert (report.sealed, report.seal) == (len(sealed), 3)


def test_as_of_a_position_it_has_the_seals_up_to_the_first_that_covers_it(told: Backend, tmp_path: Path) -> None:
    """So a bundle stays the same when the log is sealed again."""
    for position, numbers in ((20, [1]), (21, [1, 2]), (50, [1, 2]), (51, [1, 2, 3])):
        path = tmp_path / f"{position}.zip"
        exported(told, PROJECT, path, position)
        assert [seal["seal"]["number"] for seal in values_of(members_of(path)[SEALS])] == numbers


def test_a_log_without_seals_can_be_exported(told: Backend, tmp_path: Path) -> None:
    report = export(told.events(), [], PROJECT, tmp_path / "a.zip")
    assert (report.seal, report.sealed) == (None, 0)
    assert check_bundle(tmp_path / "a.zip").sealed == 0


def test_its_schemas_are_of_the_events_and_tables_in_it(told: Backend, tmp_path: Path) -> None:
    exported(told, PROJECT, tmp_path / "a.zip")
    members = members_of(tmp_path / "a.zip")
    schemas = values_of(members[SCHEMAS])
    assert [s["event"] for s in schemas if "event" in s] == sorted({e["topic"] for e in values_of(members[LOG])})
    assert {s["table"] for s in schemas if "table" in s} == {row["table"] for row in values_of(members[ROWS])}
    for schema in (s["schema"] for s in schemas):
        assert schema["type"] == "object"
        assert schema["properties"]


def test_the_schema_of_a_personal_event_is_that_of_what_is_stored() -> None:
    (text,) = schema_lines(["user.created.v1"], [])
    schema = json.loads(text)["schema"]
    assert "sealed" in schema["properties"]
    assert not {"username", "email", "password_hash"} & {*schema["properties"], *schema["required"]}


def test_a_log_that_was_changed_under_a_seal_is_not_exported(sqlite: Backend, tmp_path: Path) -> None:
    tell_all(sqlite)
    events = sqlite.events()
    seals = seal_at(events, [20, 50], KEY)
    sqlite.on_events("DROP TRIGGER events_are_not_updated")
    sqlite.on_events("UPDATE events SET hash = zeroblob(32) WHERE position = 7")
    with pytest.raises(BadSeal, match="not what seal 2 sealed"):
        export(events, seals, PROJECT, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_what_there_is_not_is_not_exported(told: Backend, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.raises(NotFound, match="there was no project"):
        exported(told, uuid4(), path)
    with pytest.raises(NotFound, match="there was no project"):
        exported(told, USER, path)
    with pytest.raises(NotFound, match="at position 1"):
        exported(told, PROJECT, path, 1)
    for position in (0, -1, 10_000):
        with pytest.raises(InvalidQuery, match="the log has the positions 1 to"):
            exported(told, PROJECT, path, position)
    assert not path.exists()


def test_a_file_that_is_there_stays(told: Backend, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(FileExists):
        exported(told, PROJECT, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_text() == "mine"


def test_bodies_that_are_no_text_are_there_all_the_same() -> None:
    row = EventRow._make([1, uuid4(), 1, "t", b"\xff\x00", START, *[None] * 7, bytes(32), bytes(32)])
    assert json.loads(event_line(row))["state_hex"] == "ff00"
    assert event_of(event_line(row)) == row


def test_its_members_are_few_and_known(told: Backend, tmp_path: Path) -> None:
    exported(told, PROJECT, tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip", MEMBERS) as archive:
        assert list(archive.members) == [*MEMBERS]
