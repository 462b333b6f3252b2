"""The event store's contract: a gapless, ordered, immutable log; units are stored wholly or not at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import IntegrityError

from claude_tiu.infrastructure.errors import ConnectionClosed, StoreUnavailable
from claude_tiu.infrastructure.event_store import (
    LAST,
    Conflict,
    EventStore,
    Known,
    LogEvent,
    NewEvent,
    Outcome,
    Reservation,
    Stored,
    Taken,
    Unit,
)
from tests.support.stores import Backend, append, append_many, event

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


def positions(store: EventStore) -> list[int]:
    return [row.position for row in store.read(0, 1_000)]


def known(command_id: UUID, stream_id: UUID | None = None, **values: Any) -> NewEvent:
    return event(stream_id, command_id=command_id, command_digest=b"digest", **values)


def reservation(key: bytes, stream_id: UUID = A) -> Reservation:
    return Reservation("username", key, stream_id)


class TestAppend:
    def test_positions_count_from_one_without_gaps(self, events: EventStore) -> None:
        assert events.max_notification_id() is None
        outcomes = events.append([Unit([event(A, 1), event(A, 2)]), Unit([event(B, 1)])])
        assert outcomes == [Stored(1), Stored(3)]
        assert append(events, event(A, 3)) == Stored(4)
        assert positions(events) == [1, 2, 3, 4]
        assert events.max_notification_id() == 4

    def test_events_of_one_unit_stand_together_in_their_order(self, events: EventStore) -> None:
        append(events, event(B, 1), event(A, 1), event(B, 2))
        assert [(row.stream_id, row.version) for row in events.read(0, 10)] == [(B, 1), (A, 1), (B, 2)]

    def test_nothing_is_appended_of_no_units(self, events: EventStore) -> None:
        assert events.append([]) == []
        assert events.max_notification_id() is None

    @pytest.mark.parametrize(
        ("refused", "outcome"),
        [
            (Unit([event(C, 1), event(C, 2)], {A: 0}), Conflict(A)),
            (Unit([event(C, 1), known(UUID(int=9), C, version=2)]), Known()),
            (Unit([event(C, 1)], {}, [reservation(b"free", C), reservation(b"taken", C)]), Taken(1)),
        ],
        ids=["a guarded stream has moved", "a command is known", "a reservation is taken"],
    )
    def test_a_refused_unit_leaves_nothing_and_does_not_keep_others_from_being_stored(
        self, events: EventStore, refused: Unit, outcome: Outcome
    ) -> None:
        append(events, known(UUID(int=9), A), reservations=[reservation(b"taken")])
        assert events.append([Unit([event(B, 1)]), refused, Unit([event(B, 2)], {B: 1})]) == [
            Stored(2),
            outcome,
            Stored(3),
        ]
        assert positions(events) == [1, 2, 3]
        assert events.load(C) == []
        assert append(events, event(C, 1), reservations=[reservation(b"free", C)]) == Stored(4)

    def test_units_of_one_call_see_those_before_them(self, events: EventStore) -> None:
        command_id = uuid4()
        first = Unit([known(command_id, A)], {A: 0}, [reservation(b"name")])
        outcomes = events.append(
            [
                first,
                Unit([known(command_id, B)]),
                Unit([event(B, 1)], {A: 0}),
                Unit([event(B, 1)], {}, [reservation(b"name", B)]),
                Unit([event(A, 2)], {A: 1}),
            ]
        )
        assert outcomes == [Stored(1), Known(), Conflict(A), Taken(0), Stored(2)]

    def test_a_known_command_is_told_before_anything_else(self, events: EventStore) -> None:
        """A retry must get its first answer, though its streams have moved and its names are its own."""
        unit = Unit([known(uuid4(), A)], {A: 0}, [reservation(b"name")])
        assert events.append([unit]) == [Stored(1)]
        assert events.append([unit]) == [Known()]

    def test_a_version_that_exists_is_refused_even_without_a_guard(self, events: EventStore) -> None:
        append(events, event(A, 1))
        with pytest.raises(IntegrityError):
            append(events, event(B, 1), event(A, 1))
        assert positions(events) == [1]
        assert append(events, event(B, 1)) == Stored(2)

    def test_two_reservations_of_one_value_are_of_different_spaces(self, events: EventStore) -> None:
        spaces = [Reservation("username", b"k", A), Reservation("email", b"k", A)]
        assert append(events, event(A), reservations=spaces) == Stored(1)
        assert append(events, event(B), reservations=[Reservation("email", b"k", B)]) == Taken(0)


class TestGuards:
    def test_a_guard_on_the_version_at_which_a_stream_is_lets_through(self, events: EventStore) -> None:
        append(events, event(A, 1), event(A, 2))
        assert append(events, event(B, 1), guards={A: 2, B: 0, C: 0}) == Stored(3)

    def test_any_other_version_of_a_stream_that_was_only_read_is_a_conflict(self, events: EventStore) -> None:
        append(events, event(A, 1), event(A, 2))
        for expected in (0, 1, 3):
            assert append(events, event(B, 1), guards={B: 0, A: expected}) == Conflict(A)
        assert events.load(B) == []

    def test_a_guard_on_a_stream_that_is_not_there_is_a_conflict(self, events: EventStore) -> None:
        assert append(events, event(B, 1), guards={A: 1}) == Conflict(A)

    def test_of_racing_writers_on_one_version_exactly_one_is_stored(self, backend: Backend) -> None:
        outcomes: list[Outcome] = []
        stores = [backend.events() for _ in range(4)]

        def race(store: EventStore) -> None:
            for version in range(10):
                outcomes.append(append(store, event(A, version + 1), guards={A: version}))

        run(*[lambda store=store: race(store) for store in stores])
        assert len(outcomes) == 40
        assert sorted(outcome[0] for outcome in outcomes if isinstance(outcome, Stored)) == list(range(1, 11))
        assert all(isinstance(outcome, Stored | Conflict) for outcome in outcomes)

    def test_two_writers_that_read_each_others_stream_are_not_both_stored(self, backend: Backend) -> None:
        """Write skew: each rests on what the other changes."""
        stores = [backend.events(), backend.events()]
        for number in range(10):
            mine, other, barrier = uuid4(), uuid4(), threading.Barrier(2)
            outcomes: list[Outcome] = []

            def write(store: EventStore, own: UUID, read: UUID, barrier: Any = barrier, to: Any = outcomes) -> None:
                barrier.wait()
                to.append(append(store, event(own, 1), guards={own: 0, read: 0}))

            run(lambda: write(stores[0], mine, other), lambda: write(stores[1], other, mine))  # noqa: B023 - run waits
            assert [type(outcome) for outcome in outcomes].count(Stored) == 1, number


def run(*work: Any) -> None:
    """Run functions at once, each in a thread of its own, and raise what any of them raised."""
    errors: list[BaseException] = []

    def guarded(one: Any) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class TestReading:
    def test_a_stream_is_loaded_from_its_first_event_to_its_last(self, events: EventStore) -> None:
        append(events, event(A, 1, topic="one"), event(B, 1), event(A, 2, topic="two", state=b"\x00\xff"))
        assert events.load(A) == [(1, "one", b"{}"), (2, "two", b"\x00\xff")]
        assert events.load(C) == []

    def test_streams_are_loaded_together_each_from_a_version_on(self, events: EventStore) -> None:
        append(events, event(A, 1), event(B, 1), event(A, 2, topic="two", state=b"\x00\xff"), event(A, 3))
        append(events, event(C, 1))
        assert events.load_many({B: 1, UUID(int=9): 1, A: 2, C: 2}) == {
            B: [(1, "test.happened.v1", b"{}")],
            UUID(int=9): [],
            A: [(2, "two", b"\x00\xff"), (3, "test.happened.v1", b"{}")],
            C: [],
        }
        assert events.load_many({}) == {}

    @pytest.mark.parametrize("streams", [[A], [B], [A, B, C]])
    def test_what_another_of_its_topic_follows_may_be_left_out_behind_the_first(
        self, events: EventStore, streams: list[UUID]
    ) -> None:
        topics = {A: "one two one two three two three", B: "two two three two", C: "one"}
        append(events, *(event(s, n, topic=t) for s in topics for n, t in enumerate(topics[s].split(), 1)))
        for held in (nullcontext(events), events.exclusive()):
            with held as store:
                found = store.load_many(dict.fromkeys(streams, 1), {"two", "four"})
                assert {stream: [one.version for one in found[stream]] for stream in streams} == {
                    stream: {A: [1, 3, 5, 6, 7], B: [1, 3, 4], C: [1]}[stream] for stream in streams
                }
                found = store.load_many(dict.fromkeys(streams, 2), {"two"})
                assert {stream: [one.version for one in found[stream]] for stream in streams} == {
                    stream: {A: [2, 3, 5, 6, 7], B: [2, 3, 4], C: []}[stream] for stream in streams
                }

    def test_of_a_stream_the_last_event_alone_may_be_loaded(self, events: EventStore) -> None:
        append(events, event(A, 1), event(B, 1), event(A, 2, topic="two", state=b"\x00\xff"))
        found = events.load_many({A: LAST, C: LAST, B: 1})
        assert found == {A: [(2, "two", b"\x00\xff")], C: [], B: [(1, "test.happened.v1", b"{}")]}

    def test_a_stream_is_loaded_as_its_transaction_has_left_it(self, events: EventStore) -> None:
        with events.exclusive() as held:
            append(held, event(A, 1))
            assert [one.version for one in held.load_many({A: 1})[A]] == [1]

    def test_the_log_is_read_behind_a_position_up_to_a_limit(self, events: EventStore) -> None:
        append_many(events, 5)
        assert [row.position for row in events.read(2, 2)] == [3, 4]
        assert [row.position for row in events.read_rows(2, 2)] == [3, 4]
        assert events.read(5, 10) == []
        assert events.read_rows(5, 10) == []

    def test_every_reader_tells_the_same(self, events: EventStore) -> None:
        append(events, event(A, 1, project_id=C), event(B, 1, key_id=A))
        rows = events.read_rows(0, 10)
        assert events.read(0, 10) == [
            LogEvent(*row[:5], row.project_id, row.key_id, row.previous_hash, row.hash) for row in rows
        ]
        assert [events.hash_at(row.position) for row in rows] == [row.hash for row in rows]
        assert [tuple(n) for n in map(notification, events.select_notifications(1, 10))] == [
            (row.position, row.stream_id, row.version, row.topic, row.state) for row in rows
        ]

    def test_there_is_no_hash_where_there_is_no_event(self, events: EventStore) -> None:
        append_many(events, 2)
        assert [events.hash_at(position) for position in (0, -1, 3, 2**62)] == [None] * 4

    def test_commands_are_traced_to_their_events_in_order(self, events: EventStore) -> None:
        one, two = uuid4(), uuid4()
        append(events, known(one, A), known(two, B), event(C, 1), known(one, A, version=2, topic="more"))
        assert events.trace([two, one, uuid4()]) == [
            (one, b"digest", A, 1, "test.happened.v1", b"{}", 1),
            (two, b"digest", B, 1, "test.happened.v1", b"{}", 2),
            (one, b"digest", A, 2, "more", b"{}", 4),
        ]
        assert events.trace([uuid4()]) == []
        assert events.trace([]) == []

    def test_events_and_commands_are_counted_of_a_project_and_of_a_stream_outside_projects(
        self, events: EventStore
    ) -> None:
        command_id = uuid4()
        append(events, known(command_id, A, project_id=A), known(command_id, B, project_id=A), event(C, 1))
        append(events, known(uuid4(), A, version=2, project_id=A))
        assert events.count(A) == (3, 2)
        assert events.count(C) == (1, 0)
        assert events.count(B) == (0, 0)  # B's events are the project's


def notification(found: Any) -> tuple[Any, ...]:
    return found.id, found.originator_id, found.originator_version, found.topic, found.state


class TestTheDatabaseKeepsEventsAsTheyAre:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE events SET state = state",
            "UPDATE events SET actor = 'me' WHERE position = 1",
            "DELETE FROM events",
            "DELETE FROM events WHERE position = 2",
        ],
    )
    def test_an_event_is_not_changed_and_not_deleted(self, backend: Backend, statement: str) -> None:
        store = backend.events()
        append_many(store, 2)
        before = store.read_rows(0, 10)
        with pytest.raises(Exception, match="events are immutable"):
            backend.on_events(statement)
        assert store.read_rows(0, 10) == before

    def test_a_row_is_not_replaced(self, backend: Backend) -> None:
        store = backend.events()
        append_many(store, 2)
        before = store.read_rows(0, 10)
        replace = {
            "sqlite": "INSERT OR REPLACE INTO events SELECT 1, 'x', 1, 't', x'', 'r', "
            "NULL, NULL, NULL, NULL, NULL, NULL, NULL, x'', x''",
            "postgresql": "TRUNCATE events",
        }
        with pytest.raises(Exception, match="events are immutable"):
            backend.on_events(replace[backend.name])
        assert store.read_rows(0, 10) == before


class TestIdentity:
    def test_every_log_has_an_epoch_and_a_reservation_key_of_its_own(self, backend: Backend) -> None:
        one, other = backend.events(), backend.events()
        assert one.epoch == other.epoch
        assert one.reservation_key == other.reservation_key
        assert len(one.reservation_key) == 32

    def test_two_databases_have_different_ones(self, sqlite: Backend, postgresql: Backend) -> None:
        one, other = sqlite.events(), postgresql.events()
        assert one.epoch != other.epoch
        assert one.reservation_key != other.reservation_key


class TestClosing:
    def test_closing_twice_is_closing_once(self, events: EventStore) -> None:
        events.close()
        events.close()

    def test_a_closed_store_is_unavailable(self, events: EventStore) -> None:
        events.close()
        uses: list[Any] = [
            lambda: append(events, event()),
            lambda: events.read(0, 1),
            lambda: events.load(A),
            lambda: events.trace([A]),
            lambda: events.count(A),
            lambda: events.hash_at(1),
            events.max_notification_id,
        ]
        for use in uses:
            with pytest.raises(ConnectionClosed):
                use()

    def test_closing_while_others_read_and_write_raises_nothing_else(self, backend: Backend) -> None:
        store, started = backend.events(), threading.Barrier(5)

        def use(work: Any) -> None:
            started.wait()
            with suppress(ConnectionClosed, StoreUnavailable):
                while True:
                    work()

        def close() -> None:
            started.wait()
            append(backend.events(), event())
            store.close()

        works: Sequence[Any] = [lambda: append(store, event()), lambda: store.read(0, 10)] * 2
        run(close, *[lambda work=work: use(work) for work in works])
