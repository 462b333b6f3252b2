"""A history tells every event of a thing, in order: what, when, who and why, and what it changed; and no more."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest

from claude_tiu import ClaimProgress, Command, InvalidQuery, NotFound, Refused, RenameUser, Tiu, connect
from claude_tiu.domain.assignment import Assigned
from claude_tiu.domain.registry import encode_event
from claude_tiu.domain.task import ProgressClaimed, TaskFailed
from claude_tiu.infrastructure.audit import history as audit_history
from claude_tiu.infrastructure.audit.history import History, HistoryEntry
from claude_tiu.infrastructure.event_store import EventStore, NewEvent, Unit
from claude_tiu.projections.changes import Change
from tests.domain.golden import EXAMPLES
from tests.support.every_table import CHAPTERS, DESIGN, LEGACY, PARSER, PROJECT, USER, Narrator, last_position
from tests.support.flows import flows
from tests.support.history import PASSWORD_HASH, START, create_user, history, uid
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import BACKENDS, Backend, append, new_backend

EVE = uid("eve")
TASK, CORRELATION = uid("a task"), "order-66"


@pytest.fixture(scope="module", params=BACKENDS)
def tiu(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiu]:
    """The example run that touches every table; its tests change nothing."""
    place: Any = tmp_path_factory.mktemp("history") / "tiu.db"
    if request.param == "postgresql":
        place = request.getfixturevalue("pg_module_url")
    with new_backend(request.param, place) as backend, connect(backend.url) as connected:
        narrator = Narrator(connected)
        for chapter in CHAPTERS:
            chapter(narrator)
        yield connected


@pytest.fixture(scope="module")
def pg_module_url(pg_server: str, pg_template: str) -> Iterator[str]:
    with new_database(pg_server, "history", template=pg_template) as name:
        yield database_url(pg_server, name)


def streams(tiu: Tiu) -> list[UUID]:
    return list(dict.fromkeys(row.stream_id for row in tiu.events.read_rows(0, 10_000)))


def places(entries: Iterator[HistoryEntry]) -> list[int]:
    return [entry.position for entry in entries]


def change(entry: HistoryEntry, name: str) -> Change:
    (found,) = [change for change in entry.changes if change.field == name]
    return found


def single_values(state: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a state says by itself: neither lists nor what stands under ids."""
    for name, value in (state._asdict() if hasattr(state, "_asdict") else asdict(state)).items():
        if isinstance(value, dict) and name == "assignment":
            yield from ((f"assignment.{key}", item) for key, item in value.items())
        elif isinstance(value, Assigned):
            yield from ((f"assignment.{key}", item) for key, item in value._asdict().items())
        elif value is not None and not isinstance(value, Mapping | tuple):
            yield name, value


class TestWhatIsTold:
    def test_every_row_of_every_stream_is_told_once_and_as_it_was_recorded(self, tiu: Tiu) -> None:
        rows = tiu.events.read_rows(0, 10_000)
        assert len(rows) == last_position(tiu) >= 90
        for stream_id in streams(tiu):
            told = [*tiu.history(stream_id)]
            expected = [row for row in rows if row.stream_id == stream_id]
            same = ("position", "stream_id", "version", "topic", "recorded_at", "actor", "command_id", "correlation_id")
            for name in (*same, "causation_id", "project_id"):
                assert [getattr(entry, name) for entry in told] == [getattr(row, name) for row in expected], name
            assert [entry.id for entry in told] == [uuid5(stream_id, str(row.version)) for row in expected]
            assert {entry.fault for entry in told} == {None}

    def test_it_says_what_happened_when_and_to_what(self, tiu: Tiu) -> None:
        added, started, completed = tiu.history(DESIGN)
        assert added.kind == "task"
        assert added.sentence == 'Task "Design" was added, with medium priority.'
        assert (started.sentence, completed.sentence[:26]) == (
            'Task "Design" was started.',
            'Task "Design" was declared',
        )
        assert added.occurred_at is not None
        assert started.occurred_at is not None
        assert START < added.occurred_at < started.occurred_at < datetime.now(UTC)
        assert [(c.field, c.before, c.after) for c in completed.changes] == [
            ("status", "in_progress", "completed"),
            ("claimed", 0.0, 100.0),
        ]

    def test_what_changed_fits_together(self, tiu: Tiu) -> None:
        require_that_changes_fit(tiu)

    def test_of_a_project_its_own_stream_is_told_or_everything_in_it(self, tiu: Tiu) -> None:
        own = [*tiu.history(LEGACY)]
        assert [entry.topic for entry in own] == ["project.created.v1", "project.archived.v1"]
        everything = [*tiu.history(LEGACY, everything=True)]
        rows = [row for row in tiu.events.read_rows(0, 10_000) if row.project_id == LEGACY]
        assert [entry.position for entry in everything] == [row.position for row in rows]
        assert {"task", "validation_run", "workflow_run", "project_file"} < {entry.kind for entry in everything}
        for stream_id in {entry.stream_id for entry in everything}:
            assert [entry for entry in everything if entry.stream_id == stream_id] == [*tiu.history(stream_id)]

    def test_an_id_that_nothing_has_is_not_found(self, tiu: Tiu) -> None:
        for everything in (False, True):
            with pytest.raises(NotFound, match="00000000-0000-0000-0000-00000000dead"):
                tiu.history(UUID(int=0xDEAD), everything=everything)

    def test_everything_of_what_is_no_project_is_not_asked(self, tiu: Tiu) -> None:
        with pytest.raises(InvalidQuery, match="is a task"):
            tiu.history(DESIGN, everything=True)


@pytest.mark.parametrize(
    "commands", [history(), *(flows(seed) for seed in range(3))], ids=["history", "flows 0", "flows 1", "flows 2"]
)
def test_what_changed_fits_together_in_other_histories(sqlite: Backend, commands: list[Command]) -> None:
    with connect(sqlite.url, project=False) as tiu:
        for command in commands:
            with suppress(Refused):
                tiu.execute(command)
        require_that_changes_fit(tiu)


def require_that_changes_fit(tiu: Tiu) -> None:
    """Before is what an earlier event told last, and all changes together make the state that decisions see."""
    for stream_id in streams(tiu):
        last: dict[str, Any] = {}
        for entry in tiu.history(stream_id):
            for found in entry.changes:
                assert found.before == last.get(found.field), (entry.topic, found)
                assert found.before != found.after or found.withheld
                last[found.field] = found.after
        for name, value in single_values(tiu.get(stream_id)):
            assert last[name] == value, (stream_id, name)


class TestPages:
    @pytest.mark.parametrize("everything", [True, False])
    def test_behind_any_position_the_rest_is_told_as_if_all_had_been(self, tiu: Tiu, everything: bool) -> None:
        whole = [*tiu.history(PROJECT, everything=everything)]
        for position in range(0, last_position(tiu) + 2, 1 if everything else 20):
            rest = [*tiu.history(PROJECT, everything=everything, after=position)]
            assert rest == [entry for entry in whole if entry.position > position]

    def test_pages_of_one_row_and_pictures_of_one_stream_tell_the_same(
        self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = streams(tiu)
        whole = [[*tiu.history(id_)] for id_ in ids], [*tiu.history(PROJECT, everything=True)]
        monkeypatch.setattr(audit_history, "PAGE", 1)
        monkeypatch.setattr(audit_history, "KEPT_VALUES", 1)
        assert ([[*tiu.history(id_)] for id_ in ids], [*tiu.history(PROJECT, everything=True)]) == whole

    def test_it_ends_where_the_log_ended_when_it_began(self, backend: Backend) -> None:
        events = backend.events()
        append(events, told_task())
        entries = History(events).of(TASK)
        append(events, claim(2, 50))
        assert places(entries) == [1]
        assert places(History(events).of(TASK)) == [1, 2]


class TestPersonal:
    def test_who_was_forgotten_is_told_without_what_was_personal(self, tiu: Tiu) -> None:
        created, renamed, forgotten = tiu.history(EVE)
        for name in ("username", "email", "password_hash"):
            assert change(created, name) == Change(name, None, None, "forgotten", personal=True)
        assert change(renamed, "username") == Change("username", None, None, "forgotten", personal=True)
        assert change(created, "role").after == "developer"
        assert change(forgotten, "forgotten").after is True

    def test_who_is_known_is_told_but_for_secrets(self, tiu: Tiu) -> None:
        (created, *_) = tiu.history(USER)
        assert change(created, "username").after == "ada"
        assert change(created, "password_hash").withheld == "secret"
        (started,) = tiu.history(uid("session"))
        assert change(started, "metadata").after == {"agent": "firefox"}
        assert change(started, "token_hash").withheld == "secret"
        assert PASSWORD_HASH not in str([c.after for c in created.changes])

    def test_no_repr_and_no_sentence_holds_it(self, tiu: Tiu) -> None:
        for stream_id in (USER, EVE, uid("session")):
            for entry in tiu.history(stream_id):
                assert "example.org" not in repr(entry) + repr(entry.changes) + entry.sentence
                assert "firefox" not in repr(entry) + repr(entry.changes) + entry.sentence

    def test_a_user_is_forgotten_between_two_pages(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit_history, "PAGE", 1)
        with connect(backend.url, project=False) as tiu:
            tiu.execute_all([create_user(user_id=USER), RenameUser(user_id=USER, username="grace")])
            entries = tiu.history(USER)
            assert change(next(entries), "username").after == "ada"
            tiu.events.destroy_keys([USER])
            assert change(next(entries), "username").withheld == "forgotten"


class TestUnreadable:
    @pytest.mark.parametrize(
        ("topic", "state", "why"),
        [
            ("task.dreamt.v9", b"{}", "no event has the topic 'task.dreamt.v9'"),
            ("task.progress_claimed.v1", b'{"claimed": "much"}', "these bytes are no task.progress_claimed.v1 event"),
            ("task.progress_claimed.v1", b"\xff\x00", "these bytes are no task.progress_claimed.v1 event"),
            ("user.renamed.v1", b'{"sealed": "AAAA"}', "no user.renamed.v1 event"),
        ],
    )
    def test_an_event_that_does_not_decode_is_told_as_such_and_ends_nothing(
        self, backend: Backend, topic: str, state: bytes, why: str
    ) -> None:
        events = backend.events()
        append(events, told_task(), NewEvent(TASK, 2, topic, state, project_id=PROJECT, actor="eve"), claim(3, 50))
        _, unreadable, claimed = History(events).of(TASK)
        assert unreadable.fault is not None
        assert why in unreadable.fault
        assert unreadable.sentence == f"This event cannot be read: {unreadable.fault}."
        assert (unreadable.occurred_at, unreadable.changes, unreadable.actor) == (None, (), "eve")
        assert [(c.field, c.before, c.after) for c in claimed.changes] == [("claimed", 0.0, 50.0)]

    def test_where_the_first_cannot_be_read_the_others_still_say_what_they_say(self, backend: Backend) -> None:
        events = backend.events()
        append(events, NewEvent(TASK, 1, "task.added.v1", b"{}"), claim(2, 50), claim(3, 60))
        first, second, third = History(events).of(TASK)
        assert first.fault is not None
        assert (second.sentence, third.sentence) == ("50 % of the task was claimed.", "60 % of the task was claimed.")
        assert [(c.field, c.before, c.after) for c in third.changes] == [("claimed", 50.0, 60.0)]


class TestCorrelation:
    def test_it_is_followed_through_all_streams(self, backend: Backend) -> None:
        with connect(backend.url, project=False) as tiu:
            narrator = Narrator(tiu)
            for chapter in CHAPTERS[:3]:
                chapter(narrator)
            other: dict[str, Any] = {"correlation_id": "order-67", "actor": "eve"}
            mine: dict[str, Any] = {"correlation_id": CORRELATION, "actor": "ada"}
            answers = [
                tiu.execute(ClaimProgress(task_id=PARSER, claimed=80, **mine)),
                tiu.execute(ClaimProgress(task_id=PARSER, claimed=81, **other)),
                tiu.execute(RenameUser(user_id=USER, username="grace", **mine)),
                tiu.execute(ClaimProgress(task_id=PARSER, claimed=82, **mine)),
            ]
            entries = [*tiu.correlated(CORRELATION)]
            assert [entry.position for entry in entries] == [answers[n].position for n in (0, 2, 3)]
            assert {entry.actor for entry in entries} == {"ada"}
            assert [change(entry, "claimed").before for entry in entries if entry.kind == "task"] == [70.0, 81.0]
            assert [*tiu.correlated(CORRELATION, after=answers[0].position)] == entries[1:]

    @pytest.mark.parametrize("id_", ["nobody's", "Order-66"])
    def test_one_that_no_event_has_is_not_found(self, tiu: Tiu, id_: str) -> None:
        expected = InvalidQuery if "'" in id_ else NotFound
        with pytest.raises(expected):
            tiu.correlated(id_)

    @pytest.mark.parametrize("id_", ["", " ", "\0", "\ud800", "x" * 256, "a b"])
    def test_one_that_no_event_could_have_is_refused(self, tiu: Tiu, id_: str) -> None:
        with pytest.raises(InvalidQuery):
            tiu.correlated(id_)


def test_only_what_is_on_disk_is_told(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is appended behind the flush is not, though it could be read."""
    events = backend.events()
    append(events, told_task(), claim(2, 10))
    flush = type(events).flush

    def flush_late(store: EventStore) -> None:
        flush(store)
        append(store, claim(3, 20), NewEvent(uid("late"), 1, "task.added.v1", b"{}"))

    monkeypatch.setattr(type(events), "flush", flush_late)
    assert places(History(events).of(TASK)) == [1, 2]
    monkeypatch.setattr(type(events), "flush", flush)
    assert places(History(events).of(TASK)) == [1, 2, 3]


def told_task() -> NewEvent:
    return NewEvent(TASK, 1, "task.added.v1", encode_event(EXAMPLES["task.added.v1"]), project_id=PROJECT)


def claim(version: int, claimed: float) -> NewEvent:
    event = ProgressClaimed(occurred_at=START, claimed=claimed)
    return NewEvent(TASK, version, event.topic, encode_event(event), project_id=PROJECT)


def peak_of_telling(events: EventStore, stream_id: UUID) -> int:
    """Return the most bytes that Python holds at once while a history is told."""
    tracemalloc.start()
    try:
        for _ in History(events).of(stream_id):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_stream_takes_no_more_memory_than_a_short_one(backend: Backend) -> None:
    events = backend.events()
    padding = "x" * 2_000
    for stream_id, count in ((uid("short"), 2_000), (uid("long"), 10_000)):
        rows = [
            NewEvent(
                stream_id, n, "task.failed.v1", encode_event(TaskFailed(occurred_at=START, reason=f"{n} {padding}"))
            )
            for n in range(2, count + 1)
        ]
        append(events, told_task()._replace(stream_id=stream_id))
        for first in range(0, len(rows), 1_000):
            events.append([Unit(rows[first : first + 1_000])])
    short, long = (peak_of_telling(events, uid(name)) for name in ("short", "long"))
    assert long < short * 1.1 + 100_000
    assert long < 16 << 20


@pytest.mark.long
def test_thirty_thousand_issues_of_a_run_take_less_than_50_mib(sqlite: Backend) -> None:
    """A validation run is the worst: each of its issues may change yet, so of each the status is held."""
    events, run_id = sqlite.events(), uid("long run")
    started = NewEvent(run_id, 1, "validation_run.started.v1", encode_event(EXAMPLES["validation_run.started.v1"]))
    append(events, started)
    issue = EXAMPLES["validation_run.issue_reported.v1"]
    for first in range(2, 30_001, 1_000):
        made = (issue.model_copy(update={"issue_id": uuid4()}) for _ in range(1_000))
        rows = [NewEvent(run_id, first + n, event.topic, encode_event(event)) for n, event in enumerate(made)]
        events.append([Unit(rows)])
    assert peak_of_telling(events, run_id) < 50 << 20
