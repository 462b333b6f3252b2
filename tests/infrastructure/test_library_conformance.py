"""The library's own suites pass on both recorders, and its own EventStore reads and writes our events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import EventStore as LibraryEventStore
from eventsourcing.persistence import IntegrityError
from eventsourcing.tests import persistence as library  # as a module: its base cases are not to be collected here

from claude_tiu.domain.project import ProjectCreated
from claude_tiu.domain.registry import encode_event
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.mapper import EventMapper, StreamedEvent
from tests.domain.given import AT
from tests.support.stores import Backend, new_backend


class OnSQLite:
    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> Iterator[None]:
        with new_backend("sqlite", tmp_path / "tiu.db") as self.backend:
            yield


class OnPostgreSQL:
    @pytest.fixture(autouse=True)
    def _database(self, pg_url: str) -> Iterator[None]:
        with new_backend("postgresql", pg_url) as self.backend:
            yield


class Recorders:
    """The recorder that the library's cases ask for."""

    backend: Backend

    def create_recorder(self) -> Any:
        return self.backend.events()


class Subscribing(Recorders):
    """The suite keeps this test for recorders that can be subscribed to."""

    def test_insert_subscribe(self) -> None:
        assert isinstance(self, library.ApplicationRecorderTestCase)
        self.optional_test_insert_subscribe()


class TestSQLiteRecorder(OnSQLite, Subscribing, library.ApplicationRecorderTestCase[EventStore]):
    pass


class TestPostgreSQLRecorder(OnPostgreSQL, Subscribing, library.ApplicationRecorderTestCase[EventStore]):
    pass


class TestSQLiteNotificationIDs(OnSQLite, Recorders, library.NonInterleavingNotificationIDsBaseCase):
    pass


class TestPostgreSQLNotificationIDs(OnPostgreSQL, Recorders, library.NonInterleavingNotificationIDsBaseCase):
    pass


def project_created(number: int) -> ProjectCreated:
    return ProjectCreated(
        occurred_at=AT,
        user_id=UUID(int=number),
        name=f"Billing {number}",
        description=None,
        configuration={"Ünï": ["cödé", 1]},
        metadata={},
    )


def test_the_librarys_event_store_reads_and_writes_our_events(events: EventStore) -> None:
    library_store = LibraryEventStore(mapper=EventMapper(), recorder=events)
    stream_id = uuid4()
    written = [StreamedEvent(stream_id, version, project_created(version)) for version in (1, 2, 3)]

    recordings = library_store.put(written)

    assert [recording.notification.id for recording in recordings] == [1, 2, 3]
    assert list(library_store.get(stream_id)) == written
    assert list(library_store.get(stream_id, gt=1, desc=True)) == written[:0:-1]
    assert [row.state for row in events.load(stream_id)] == [encode_event(one.event) for one in written]


def test_the_librarys_event_store_is_told_of_a_conflict_in_its_own_terms(events: EventStore) -> None:
    library_store = LibraryEventStore(mapper=EventMapper(), recorder=events)
    stream_id = uuid4()
    library_store.put([StreamedEvent(stream_id, 1, project_created(1))])
    with pytest.raises(IntegrityError):
        library_store.put(
            [StreamedEvent(stream_id, 2, project_created(2)), StreamedEvent(stream_id, 1, project_created(3))]
        )
    assert events.max_notification_id() == 1


def test_a_subscription_goes_on_to_what_is_appended_and_ends_when_stopped(events: EventStore) -> None:
    library_store = LibraryEventStore(mapper=EventMapper(), recorder=events)
    with events.subscribe(gt=0) as subscription:
        for version in (1, 2):
            library_store.put([StreamedEvent(uuid4(), 1, project_created(version))])
            assert next(subscription).id == version
        subscription.stop()
        assert list(subscription) == []
    subscription.stop()  # once more, after its end: nothing happens
