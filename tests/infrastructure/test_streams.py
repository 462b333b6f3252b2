"""Streams as decisions read them: caught up with what is new, and kept within bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu import AddTask, AlreadyExists, ClaimProgress, RecordMetric, StartTask
from claude_tiu.domain.dependency_graph import DEPENDENCY_GRAPH
from claude_tiu.domain.project_metrics import metrics_id
from claude_tiu.domain.registry import UndecodableEvent, encode_event
from claude_tiu.domain.task import TASK, ProgressClaimed, Task, TaskAdded
from claude_tiu.infrastructure.event_store import EventStore, StreamEvent
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.streams import EMPTY, Reading, Stream, StreamCache, load_stream, load_streams
from claude_tiu.testing.strategies import messages
from tests.support.history import PROJECT, TASKS, plan

FIRST = TASKS[0]


@pytest.fixture
def planned(events: EventStore) -> EventStore:
    Executor(events).execute([*plan(), StartTask(task_id=FIRST), ClaimProgress(task_id=FIRST, claimed=5)])
    return events


def task(version: int = 1, *, claimed: float = 0.0) -> Stream:
    return Stream(TASK, Task(PROJECT, "T", "low", claimed=claimed), version)


def graph(version: int) -> Stream:
    return Stream(DEPENDENCY_GRAPH, None, version)


class TestLoading:
    def test_makes_states_of_events(self, planned: EventStore) -> None:
        found = load_streams(planned, dict.fromkeys([FIRST, TASKS[1], UUID(int=9)], EMPTY))
        assert (found[FIRST].version, found[FIRST].state.claimed) == (3, 5.0)
        assert found[TASKS[1]].version == 1
        assert found[UUID(int=9)] == EMPTY

    def test_folds_what_is_new_on_what_is_known(self, planned: EventStore) -> None:
        known = load_stream(planned, FIRST)
        assert load_streams(planned, {FIRST: known})[FIRST] is known
        marked = known._replace(state=Task(PROJECT, "as it was known", "low", status="in_progress"))
        Executor(planned).execute([ClaimProgress(task_id=FIRST, claimed=7)])
        stream = load_streams(planned, {FIRST: marked})[FIRST]
        assert (stream.version, stream.state.name, stream.state.claimed) == (4, "as it was known", 7.0)

    def test_begins_anew_where_the_store_knows_less(self, planned: EventStore) -> None:
        """It was restored from before."""
        assert load_streams(planned, {FIRST: task(9), UUID(int=9): task(2)}) == {
            FIRST: load_stream(planned, FIRST),
            UUID(int=9): EMPTY,
        }


class Log:
    """A store of one stream, whose first event has the version 1."""

    def __init__(self, *states: tuple[str, bytes]) -> None:
        self._events = [StreamEvent(version, topic, state) for version, (topic, state) in enumerate(states, 1)]

    def load_many(self, versions: Mapping[UUID, int], superseded: Collection[str]) -> dict[UUID, list[StreamEvent]]:
        return {stream_id: [*self._needed(least, superseded)] for stream_id, least in versions.items()}

    def _needed(self, least: int, superseded: Collection[str]) -> Iterator[StreamEvent]:
        for event in self._events[max(least, 1) - 1 :]:
            followed = event.topic in [later.topic for later in self._events[event.version :]]
            if event.version == least or not (event.topic in superseded and followed):
                yield event


class TestWhatIsSuperseded:
    @given(known=st.integers(0, 13), data=st.data())
    def test_leaves_nothing_behind(self, known: int, data: st.DataObject) -> None:
        """Whatever a task's events are, and however many of them are known: all of them make that state."""
        kinds = data.draw(st.lists(st.sampled_from((ProgressClaimed, *TASK.events)), max_size=12))
        events = [data.draw(messages(kind)) for kind in (TaskAdded, *kinds)]
        log: Any = Log(*[(event.topic, encode_event(event)) for event in events])
        before = Stream(TASK, TASK.fold(events[:known]), known) if 0 < known <= len(events) else EMPTY
        assert load_streams(log, {FIRST: before}) == {FIRST: Stream(TASK, TASK.fold(events), len(events))}

    def test_is_not_decoded(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        claim = encode_event(ProgressClaimed(occurred_at=now, claimed=7))
        added = TaskAdded(
            occurred_at=now,
            project_id=PROJECT,
            name="T",
            description=None,
            priority="low",
            ai_prompt=None,
            expected_outputs=[],
            validation_criteria={},
            estimated_duration=None,
        )
        first = (TaskAdded.topic, encode_event(added))
        topic = ProgressClaimed.topic
        log: Any = Log(first, (topic, b"no JSON"), (topic, claim))
        assert load_streams(log, {FIRST: EMPTY})[FIRST] == task(3, claimed=7)
        log = Log(first, (topic, claim), (topic, b"no JSON"))
        with pytest.raises(UndecodableEvent):
            load_streams(log, {FIRST: EMPTY})


class TestAStateThatIsThatOfItsLastEvent:
    def test_needs_no_other(self, planned: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
        record = [RecordMetric(project_id=PROJECT, metric_name="velocity", value=n) for n in range(100)]
        Executor(planned).execute(record)
        loaded = loads_of(planned, monkeypatch)
        (answer,) = Executor(planned).execute(record[:1])
        assert (answer.version, loaded) == (101, [2])  # and the project's

    def test_is_caught_up_by_its_last_event(self, planned: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
        record = [RecordMetric(project_id=PROJECT, metric_name="velocity", value=n) for n in range(100)]
        executor = Executor(planned)
        executor.execute(record[:1])
        Executor(planned).execute(record)
        loaded = loads_of(planned, monkeypatch)
        (answer,) = executor.execute(record[:1])
        assert (answer.version, loaded) == (102, [2])

    def test_is_loaded_whole_where_it_is_of_another_kind(self, planned: EventStore) -> None:
        """Somebody gave a task the id that a project's metrics would have."""
        squatter = metrics_id(PROJECT)
        Executor(planned).execute(
            [AddTask(task_id=squatter, project_id=PROJECT, name="T"), StartTask(task_id=squatter)]
        )
        with pytest.raises(AlreadyExists):
            Executor(planned).execute([RecordMetric(project_id=PROJECT, metric_name="velocity", value=1)])


def loads_of(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each call loads from now on."""
    loaded: list[int] = []
    load_many = type(store).load_many

    def counted(
        self: EventStore, versions: Mapping[UUID, int], superseded: Collection[str] = ()
    ) -> dict[UUID, list[StreamEvent]]:
        found = load_many(self, versions, superseded)
        loaded.append(sum(map(len, found.values())))
        return found

    monkeypatch.setattr(type(store), "load_many", counted)
    return loaded


class TestReadingStreams:
    def test_reads_each_once(self, planned: EventStore) -> None:
        reading = Reading(planned, StreamCache())
        first = reading.stream(FIRST)
        Executor(planned).execute([ClaimProgress(task_id=FIRST, claimed=7)])
        reading.read([FIRST, TASKS[1]])
        assert reading.stream(FIRST) is first
        assert reading.moved() == [FIRST]

    def test_tells_whether_all_stood_so_together(self, planned: EventStore) -> None:
        cache = StreamCache()
        reading = Reading(planned, cache)
        reading.read([FIRST, TASKS[1]])
        at_first = reading.of_one_moment
        reading.read([FIRST, TASKS[2]])
        assert (at_first, reading.of_one_moment) == (True, False)
        cached = Reading(planned, cache)
        cached.read([FIRST])
        assert not cached.of_one_moment

    def test_takes_what_is_new_for_empty_where_the_cache_has_nothing(self, planned: EventStore) -> None:
        cache = StreamCache()
        reading = Reading(planned, cache)
        reading.read([FIRST], new=[FIRST])
        assert reading.stream(FIRST) == EMPTY
        assert reading.moved() == [FIRST]
        again = Reading(planned, cache)
        again.read([FIRST], new=[FIRST])
        assert again.stream(FIRST).version == 3

    def test_asks_the_store_where_the_cache_is_not_trusted(self, planned: EventStore) -> None:
        cache = StreamCache()
        cache.put({FIRST: load_stream(planned, FIRST)})
        Executor(planned).execute([ClaimProgress(task_id=FIRST, claimed=7)])
        assert Reading(planned, cache).stream(FIRST).version == 3
        reading = Reading(planned, cache, trusted=False)
        reading.read([FIRST, UUID(int=9)], new=[UUID(int=9)])
        assert (reading.stream(FIRST).version, reading.of_one_moment) == (4, True)

    def test_a_stream_that_is_behind_what_was_cached_is_moved(self, planned: EventStore) -> None:
        cache = StreamCache()
        cache.put({FIRST: task(9)})
        reading = Reading(planned, cache)
        reading.read([FIRST])
        assert reading.moved() == [FIRST]
        cached = cache.get(FIRST)
        assert cached is not None
        assert cached.version == 3


class TestTheCache:
    def test_keeps_the_newest(self) -> None:
        cache = StreamCache()
        cache.put({FIRST: task(2, claimed=2)})
        cache.put({FIRST: task(1, claimed=1)})
        assert cache.get(FIRST) == task(2, claimed=2)
        cache.put({FIRST: task(3, claimed=3)})
        assert cache.get(FIRST) == task(3, claimed=3)

    def test_keeps_nothing_of_what_is_not_there(self) -> None:
        cache = StreamCache()
        cache.put({FIRST: EMPTY})
        assert cache.get(FIRST) is None

    def test_forgets_what_it_is_told_to(self) -> None:
        cache = StreamCache(10)
        cache.put({id_: task() for id_ in TASKS})
        cache.put({uuid4(): graph(9)})  # the four are in the old half now
        cache.put({TASKS[1]: task(2)})
        cache.drop(TASKS[:2])
        assert [cache.get(id_) is None for id_ in TASKS] == [True, True, False, False]
        cache.clear()
        assert {cache.get(id_) for id_ in TASKS} == {None}

    def test_is_bounded_and_keeps_what_is_used(self) -> None:
        cache, used, unused = StreamCache(100), uuid4(), uuid4()
        cache.put({used: task(), unused: task()})
        for _ in range(1_000):
            cache.put({uuid4(): task()})
            assert cache.get(used) is not None
            assert len(cache._young) + len(cache._old) <= 102
        assert cache.get(unused) is None

    def test_counts_what_a_state_that_grows_has_in_it(self) -> None:
        cache, first, second = StreamCache(100), uuid4(), uuid4()
        cache.put({first: graph(1)})
        for version in range(2, 40):
            cache.put({second: graph(version)})
        assert cache.get(first) is not None
        for _ in range(2):
            cache.put({second: graph(50)})
            cache.put({second: graph(51)})
        assert cache.get(first) is None

    def test_does_not_put_an_older_one_above_a_newer_one(self) -> None:
        cache = StreamCache(4)
        cache.put({FIRST: task(5), TASKS[1]: task(), TASKS[2]: task()})  # and it is the old half
        cache.put({FIRST: task(4)})
        assert cache.get(FIRST) == task(5)
