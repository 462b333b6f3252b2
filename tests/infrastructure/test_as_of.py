"""The read side as of a moment: a position, what was known at a time, what is now known about a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import (
    AddTask,
    ClaimNextTask,
    CreateProject,
    DiscardParkedEvents,
    FinishTask,
    ForgetUser,
    NotFound,
    RegisterAgent,
    RenameUser,
    StartSession,
    Tiu,
    connect,
)
from claude_tiu.infrastructure.audit.as_of import Moment
from claude_tiu.infrastructure.audit.replay import last_flushed
from claude_tiu.infrastructure.errors import FileExists, InvalidQuery
from claude_tiu.infrastructure.queries import Queries
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.projections.tables import READ_TABLES
from tests.support.every_table import LEGACY, PROJECT, RUN, USER
from tests.support.history import START, create_user, uid
from tests.support.rebuilding import Stopped
from tests.support.replaying import assert_concerns, known_about, rows_in, scramble, tables_in
from tests.support.stores import Backend, SQLiteBackend, append, event

LATER, LATE = START + timedelta(days=30), datetime(2999, 1, 1, tzinfo=UTC)
OTHER = uid("other project")
PROJECTS = (PROJECT, LEGACY, OTHER)


@pytest.fixture
def tiu(told: Backend) -> Iterator[Tiu]:
    """A connection to a database with a row in every table."""
    with connect(told.url, project=False) as connection:
        yield connection


@pytest.fixture
def on_sqlite(sqlite_told: SQLiteBackend) -> Iterator[Tiu]:
    with connect(sqlite_told.url, project=False) as connection:
        yield connection


def live(tiu: Tiu) -> dict[str, Any]:
    return rows_in(tiu._reads)


def test_the_last_position_has_the_rows_of_the_live_tables(tiu: Tiu) -> None:
    end = last_flushed(tiu.events)
    with tiu.as_of(position=end) as then:
        assert (then.position, then.events) == (end, end)
        assert rows_in(then._replayed.reads) == live(tiu)


def test_the_same_typed_queries_answer_as_of_then(tiu: Tiu) -> None:
    """It stands behind the event at its position: a project is there with its first, and not before."""
    created = tiu.events.positions_of(PROJECT, ())[0]
    with tiu.as_of(position=created) as then, tiu.as_of(position=created - 1) as before:
        project = then.read.project(PROJECT)
        assert project is not None
        assert (project.name, project.real_progress) == ("Billing", 0.0)
        assert before.read.project(PROJECT) is None
        assert before.read.dashboard(USER) == []


def test_position_0_is_before_everything(tiu: Tiu) -> None:
    with tiu.as_of(position=0) as then:
        assert (then.position, then.events) == (0, 0)
        assert not any(rows_in(then._replayed.reads).values())


def test_what_was_known_at_a_time_is_all_that_was_recorded_by_then(tiu: Tiu) -> None:
    rows = tiu.events.read_rows(0, 1_000)
    for row in rows[:: len(rows) // 5]:
        together = max(other.position for other in rows if other.recorded_at == row.recorded_at)
        with tiu.as_of(recorded_at=row.recorded_at) as then, tiu.as_of(position=together) as same:
            assert then.position == together
            assert tables_in(then.path) == tables_in(same.path)
        with tiu.as_of(recorded_at=row.recorded_at - timedelta(microseconds=1)) as before:
            assert before.position == max((o.position for o in rows if o.recorded_at < row.recorded_at), default=0)


def test_nothing_was_known_before_the_first_event_and_all_is_now(tiu: Tiu) -> None:
    with tiu.as_of(recorded_at=datetime(1999, 1, 1, tzinfo=UTC)) as before, tiu.as_of(recorded_at=LATE) as now:
        assert before.position == 0
        assert now.position == last_flushed(tiu.events)


def test_what_is_known_about_a_time_is_what_occurred_by_then(tiu: Tiu) -> None:
    """Its clocks never fall: so it is all up to the last event of then."""
    end = last_flushed(tiu.events)
    for hours in range(0, 80, 13):
        with tiu.as_of(occurred_at=START + timedelta(hours=hours)) as then:
            assert then.position == end
            with tiu.as_of(position=then.events) as stopped:
                assert tables_in(then.path) == tables_in(stopped.path)


@pytest.mark.parametrize("seed", range(3))
def test_where_clocks_fall_it_is_all_that_occurred_by_then_and_finds_its_place(
    seed: int, sqlite_told: SQLiteBackend, on_sqlite: Tiu
) -> None:
    """Found by trial: each event that occurred by then is projected, if live tables take it."""
    times = scramble(sqlite_told.path, seed)
    for time in sorted(times)[:: len(times) // 6]:
        known_about(on_sqlite.events, on_sqlite._reads, time)
        with on_sqlite.as_of(occurred_at=time) as then:
            found, wanted = tables_in(then.path), sqlite_told.tables(READ_MODEL)
            for table in READ_TABLES:
                assert found[table.name] == wanted[table.name], f"{table.name} at {time}"


@pytest.mark.parametrize("project", PROJECTS)
def test_one_projects_tables_are_its_part_of_all_at_every_position(on_sqlite: Tiu, project: UUID) -> None:
    end = last_flushed(on_sqlite.events)
    for position in (*range(0, end, 9), end):
        with (
            on_sqlite.as_of(position=position) as all_of_it,
            on_sqlite.as_of(position=position, project_id=project) as one,
        ):
            assert_concerns(tables_in(one.path), tables_in(all_of_it.path), project)


@pytest.mark.parametrize("project", PROJECTS)
def test_one_projects_tables_are_its_part_of_the_live_ones(tiu: Tiu, project: UUID) -> None:
    with (
        tiu.as_of(recorded_at=LATE) as all_of_it,
        tiu.as_of(recorded_at=LATE, project_id=project) as one,
        tiu.as_of(occurred_at=LATE, project_id=project) as known,
    ):
        assert_concerns(tables_in(one.path), tables_in(all_of_it.path), project)
        assert tables_in(known.path) == tables_in(one.path)
        assert one.events < all_of_it.events
        assert one.read.project(project) == Queries(tiu._reads).project(project)
        assert len(one.read.projects()) <= 1


def test_of_one_project_no_session_is_in(tiu: Tiu) -> None:
    with tiu.as_of(recorded_at=LATE, project_id=PROJECT) as one:
        assert live(tiu)["user_sessions"]
        assert one.query("SELECT count(*) AS n FROM user_sessions") == [{"n": 0}]


def test_an_agent_that_works_elsewhere_is_as_it_stands_and_its_other_work_is_not_in(tiu: Tiu) -> None:
    agent = tiu.execute(RegisterAgent(agent_type="tester")).id
    projects = []
    for name in ("One", "Two"):
        project = tiu.execute(CreateProject(user_id=USER, name=name)).id
        tiu.execute(AddTask(project_id=project, name="Parser"))
        claimed = tiu.execute(ClaimNextTask(agent_id=agent, project_id=project))
        projects.append(project)
        if name == "One":
            tiu.execute(FinishTask(agent_id=agent, task_id=claimed.id))
    for arguments in ({"recorded_at": LATE}, {"occurred_at": LATE}):
        with tiu.as_of(**arguments, project_id=projects[0]) as one:  # type: ignore[arg-type]
            assert one.query("SELECT status FROM agents WHERE id = :id", {"id": str(agent)}) == [{"status": "busy"}]
            assert one.query("SELECT status FROM agent_assignments") == [{"status": "completed"}]


def test_the_user_is_as_it_stands_with_the_last_login(tiu: Tiu) -> None:
    session: dict[str, Any] = {"token_hash": "e" * 64, "expires_at": LATER}
    at = LATER - timedelta(days=1)
    tiu.execute(StartSession(user_id=USER, occurred_at=at, **session))
    with tiu.as_of(recorded_at=LATE, project_id=PROJECT) as one:
        (user,) = one.query("SELECT last_login FROM users WHERE id = :id", {"id": str(USER)})
        assert user["last_login"] == at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_project_that_never_was_is_told(tiu: Tiu) -> None:
    with pytest.raises(NotFound, match="no project has the id"):
        tiu.as_of(position=1, project_id=uid("nobody"))
    with pytest.raises(NotFound, match="no project has the id"):
        tiu.as_of(position=1, project_id=USER)


def test_a_project_that_was_not_yet_has_no_rows(tiu: Tiu) -> None:
    with tiu.as_of(position=1, project_id=PROJECT) as then:
        assert not any(rows_in(then._replayed.reads).values())


def test_a_forgotten_user_is_forgotten_at_every_moment(tiu: Tiu) -> None:
    created = tiu.execute(create_user("mallory", user_id=uid("mallory")))
    with tiu.as_of(position=created.position) as then:
        assert then.read.user_id("mallory") == created.id
    tiu.execute(ForgetUser(user_id=created.id))
    with tiu.as_of(position=created.position) as then:
        assert then.read.user_id("mallory") is None
        assert then.read.user_id(f"forgotten:{created.id}") == created.id


def test_two_users_may_have_had_the_same_name_by_what_is_now_known(tiu: Tiu) -> None:
    """One let it go before the other took it, but by its own clock later."""
    one = tiu.execute(create_user("bob", user_id=uid("bob"), email="1@example.org", occurred_at=START))
    tiu.execute(RenameUser(user_id=one.id, username="rob", occurred_at=LATER))
    other = tiu.execute(create_user("bob", user_id=uid("bob 2"), email="2@example.org", occurred_at=START))
    with tiu.as_of(occurred_at=START) as then:
        found = then.query("SELECT id FROM users WHERE username = 'bob' ORDER BY id")
        assert [row["id"] for row in found] == sorted([str(one.id), str(other.id)])
    with tiu.as_of(occurred_at=LATER) as then:
        assert then.query("SELECT count(*) AS n FROM users WHERE username = 'bob'") == [{"n": 1}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a position, recorded_at or occurred_at, not 0 of them"),
        ({"position": 1, "recorded_at": START}, "not 2 of them"),
        ({"position": -1}, "a position is a number from 0 on: not -1"),
        ({"position": True}, "not True"),
        ({"position": "1"}, "not '1'"),
        ({"recorded_at": datetime(2026, 1, 1)}, "a time is a datetime with an offset"),  # noqa: DTZ001 - that is it
        ({"occurred_at": "2026-01-01"}, "a time is a datetime with an offset"),
        ({"occurred_at": datetime(1, 1, 1, tzinfo=UTC)}, "in the years 1900 to 2999"),
    ],
)
def test_what_is_no_moment_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQuery, match=message):
        Moment(**given)


def test_a_position_beyond_the_log_is_refused(tiu: Tiu) -> None:
    end = last_flushed(tiu.events)
    with pytest.raises(InvalidQuery, match=f"there is no position {end + 1}: the log ends at {end}"):
        tiu.as_of(position=end + 1)


def test_now_is_the_moments_time(tiu: Tiu) -> None:
    """The newest reports of the last 24 hours are those before then."""
    reported = Queries(tiu._reads).reports(PROJECT)[0]
    assert reported.id == RUN
    with tiu.as_of(occurred_at=reported.created_at) as then:
        assert [group.issue_type for group in then.read.validation_issues()] == ["mock_data"]
        assert then.read.validation_issues(until=LATE) == []


def test_a_temporary_file_goes_with_its_read_side(tiu: Tiu) -> None:
    with tiu.as_of(position=3) as then:
        folder = then.path.parent
        assert folder.stat().st_mode & 0o77 == 0
    assert not folder.exists()


def test_what_ends_a_replay_leaves_nothing(tiu: Tiu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def stop(_: object) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        tiu.as_of(position=3, progress=stop)
    with pytest.raises(Stopped):
        tiu.as_of(position=3, path=tmp_path / "out.db", progress=stop)
    assert not list((tmp_path / "temporary").iterdir())
    assert not (tmp_path / "out.db").exists()


def test_a_file_of_ones_own_stays_and_is_never_overwritten(tiu: Tiu, tmp_path: Path) -> None:
    path = tmp_path / "out.db"
    tiu.as_of(position=5, path=path).close()
    before = path.read_bytes()
    with pytest.raises(FileExists):
        tiu.as_of(position=6, path=path)
    assert path.read_bytes() == before


def test_live_tables_and_events_stay_as_they_are(told: Backend) -> None:
    before, tables = told.on_events("SELECT * FROM events"), told.tables(READ_MODEL)
    with closing(connect(told.url, project=False)) as tiu:
        for given in ({"position": 50}, {"recorded_at": LATE}, {"occurred_at": START + timedelta(hours=9)}):
            tiu.as_of(**given).close()
    assert (told.on_events("SELECT * FROM events"), told.tables(READ_MODEL)) == (before, tables)


def test_events_are_told_only_as_far_as_they_are_on_disk() -> None:
    calls = []

    class Events:
        def max_notification_id(self) -> int:
            calls.append("looked")
            return 7

        def flush(self) -> None:
            calls.append("flushed")

    assert last_flushed(Events()) == 7  # type: ignore[arg-type]
    assert calls == ["looked", "flushed"]


class TestQuery:
    def test_it_gives_rows_by_column(self, on_sqlite: Tiu) -> None:
        with on_sqlite.as_of(recorded_at=LATE) as then:
            rows = then.query("SELECT name, real_progress FROM projects WHERE id = :id", {"id": str(PROJECT)})
            assert [row.keys() for row in rows] == [{"name", "real_progress"}]

    def test_columns_of_the_same_name_are_told_apart(self, on_sqlite: Tiu) -> None:
        with on_sqlite.as_of(position=0) as then:
            assert then.query("SELECT 1 AS id, 2 AS id, 3 AS id") == [{"id": 1, "id:1": 2, "id:2": 3}]

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM nothing",
            "SELEC",
            "SELECT 1; SELECT 2",
            "SELECT :missing",
            "SELECT '\0'",
            "SELECT '\ud800'",
            "DELETE FROM projects",
            "PRAGMA journal_mode = WAL",
            "ATTACH DATABASE ':memory:' AS other",
            "VACUUM INTO '/tmp/other.db'",
            "CREATE TEMP TABLE mine (id)",
        ],
    )
    def test_what_cannot_be_asked_is_refused(self, on_sqlite: Tiu, sql: str) -> None:
        with on_sqlite.as_of(position=0) as then, pytest.raises(InvalidQuery, match="cannot be asked"):
            then.query(sql)

    def test_it_may_ask_for_the_form_of_tables_and_for_words(self, on_sqlite: Tiu) -> None:
        with on_sqlite.as_of(recorded_at=LATE) as then:
            columns = then.query("SELECT name FROM pragma_table_info('projects')")
            assert "real_progress" in [row["name"] for row in columns]
            assert then.query("SELECT name FROM idx_projects_search WHERE idx_projects_search MATCH 'billing'")


class TestWhatWasDiscarded:
    VELOCITY = "SELECT value FROM progress_metrics WHERE metric_name = 'velocity' AND project_id = :id"

    @pytest.mark.parametrize("project_id", [None, OTHER], ids=["of all", "of its project"])
    def test_is_left_out_from_the_discarding_on(self, tiu: Tiu, project_id: UUID | None) -> None:
        recorded, discarding = tiu.events.read_rows(last_flushed(tiu.events) - 2, 2)
        at = datetime.fromisoformat(json.loads(discarding.state)["occurred_at"])
        before: list[dict[str, Any]] = [
            {"position": recorded.position},
            {"occurred_at": at - timedelta(microseconds=1)},
        ]
        after: list[dict[str, Any]] = [{"position": discarding.position}, {"occurred_at": at}, {"recorded_at": LATE}]
        for moments, found in ((before, [{"value": 9.5}]), (after, [])):
            for moment in moments:
                with tiu.as_of(**moment, project_id=project_id) as then:
                    assert then.query(self.VELOCITY, {"id": str(OTHER)}) == found, moment

    def test_by_another_projects_discarding_is_not_the_projects_own(self, tiu: Tiu) -> None:
        left_out = "SELECT unit_id FROM left_out_events"
        for project_id, found in ((PROJECT, []), (OTHER, [{"unit_id": str(OTHER)}])):
            for moment in ({"recorded_at": LATE}, {"occurred_at": LATE}):
                with tiu.as_of(**moment, project_id=project_id) as then:  # type: ignore[arg-type]
                    assert then.query(left_out) == found

    def test_of_an_agent_its_projects_leave_out_too(self, tiu: Tiu) -> None:
        agent = tiu.execute(RegisterAgent(agent_type="tester")).id
        project = tiu.execute(CreateProject(user_id=USER, name="One")).id
        tiu.execute(AddTask(project_id=project, name="Parser"))
        tiu.execute(ClaimNextTask(agent_id=agent, project_id=project))
        _, opened = tiu.events.positions_of(None, [agent])
        tiu.execute(DiscardParkedEvents(unit_id=agent, first_position=opened, last_position=opened, reason="no"))
        for moment in ({"recorded_at": LATE}, {"occurred_at": LATE}):
            with tiu.as_of(**moment, project_id=project) as one, tiu.as_of(**moment) as all_of_it:  # type: ignore[arg-type]
                assert one.query("SELECT status FROM tasks") == [{"status": "in_progress"}]
                assert one.query("SELECT id FROM agent_assignments") == []
                assert_concerns(tables_in(one.path), tables_in(all_of_it.path), project)


class TestWhatDoesNotDecode:
    """It stands in the project, between two tasks; the second waits behind it."""

    PARKED = "SELECT unit_id, topic FROM parked_units"
    TASKS = "SELECT name FROM tasks WHERE project_id = :id ORDER BY name"

    @pytest.fixture
    def project(self, on_sqlite: Tiu) -> UUID:
        tiu = on_sqlite
        project = tiu.execute(CreateProject(user_id=USER, name="One", occurred_at=LATER)).id
        task = tiu.execute(AddTask(project_id=project, name="First", occurred_at=LATER)).id
        body = json.dumps({"occurred_at": (LATER + timedelta(hours=1)).isoformat(), "agent_id": 7}).encode()
        append(tiu.events, event(task, 2, topic="task.assigned.v1", state=body, project_id=project))
        tiu.execute(AddTask(project_id=project, name="Second", occurred_at=LATER + timedelta(hours=2)))
        return project

    @pytest.mark.parametrize("of_it_alone", [False, True])
    def test_parks_the_project_as_of_every_moment_behind_it(
        self, on_sqlite: Tiu, project: UUID, of_it_alone: bool
    ) -> None:
        arguments = {"project_id": project if of_it_alone else None}
        for moment in ({"position": last_flushed(on_sqlite.events)}, {"recorded_at": LATE}, {"occurred_at": LATE}):
            with on_sqlite.as_of(**moment, **arguments) as then:  # type: ignore[arg-type]
                assert then.query(self.PARKED) == [{"unit_id": str(project), "topic": "task.assigned.v1"}]
                assert then.query(self.TASKS, {"id": str(project)}) == [{"name": "First"}]

    @pytest.mark.parametrize("of_it_alone", [False, True])
    def test_parks_nothing_before_it_occurred(self, on_sqlite: Tiu, project: UUID, of_it_alone: bool) -> None:
        arguments = {"project_id": project if of_it_alone else None}
        with on_sqlite.as_of(occurred_at=LATER, **arguments) as then:  # type: ignore[arg-type]
            assert then.query(self.PARKED) == []
            assert then.query(self.TASKS, {"id": str(project)}) == [{"name": "First"}]

    @pytest.mark.parametrize("of_it_alone", [False, True])
    def test_parks_nothing_once_it_is_discarded(self, on_sqlite: Tiu, project: UUID, of_it_alone: bool) -> None:
        at = last_flushed(on_sqlite.events) - 1
        on_sqlite.execute(
            DiscardParkedEvents(
                unit_id=project,
                first_position=at,
                last_position=at,
                reason="no",
                occurred_at=LATER + timedelta(hours=3),
            )
        )
        arguments = {"project_id": project if of_it_alone else None}
        for moment in ({"recorded_at": LATE}, {"occurred_at": LATE}):
            with on_sqlite.as_of(**moment, **arguments) as then:  # type: ignore[arg-type]
                assert then.query(self.PARKED) == []
                assert then.query(self.TASKS, {"id": str(project)}) == [{"name": "First"}, {"name": "Second"}]

    @pytest.mark.parametrize("body", [b"{", b"\xff", b"[]", b'{"occurred_at":"2026-01-01"}'])
    def test_and_whose_time_nobody_can_read_counts_at_every_time(self, on_sqlite: Tiu, body: bytes) -> None:
        append(on_sqlite.events, event(uid("damaged"), topic="project.dreamt.v1", state=body))
        with on_sqlite.as_of(occurred_at=START - timedelta(days=1)) as then:
            assert then.query("SELECT unit_id, position FROM parked_units") == [
                {"unit_id": str(uid("damaged")), "position": last_flushed(on_sqlite.events)}
            ]
