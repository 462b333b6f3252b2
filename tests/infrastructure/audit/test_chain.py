"""The check of the chain, on both stores: an untouched log gives no finding, and an odd value is no way out of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_tiu import ForgetUser
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.audit.chain import check_chain, seal_log
from claude_tiu.infrastructure.audit.seals import Seal
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.errors import BadSeal, LogTampered
from claude_tiu.infrastructure.event_hash import LINK, NO_EVENT, event_hash
from claude_tiu.infrastructure.event_store import EventStore, NewEvent, Unit
from claude_tiu.infrastructure.executor import Executor
from claude_tiu.infrastructure.settings import Settings, database
from tests.support.every_table import tell_all
from tests.support.history import USER, store_history
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import BACKENDS, Backend, PostgreSQLBackend, SQLiteBackend, append, event, new_backend
from tests.support.tampering import AT, KEY, MIDDLE, OTHER_KEY, remove, sealed_history, without_triggers


def assert_untouched(backend: Backend) -> None:
    """Nothing is found without a seal, with one, and behind one."""
    events = backend.events()
    report = check_chain(events)
    rows = events.read_rows(0, 1_000_000)
    assert (report.findings, report.count, report.events) == ([], 0, len(rows))
    assert report.head == (rows[-1].hash if rows else NO_EVENT)
    if not rows:
        return
    seal = seal_log(events, KEY, AT)
    assert (seal.statement.position, seal.statement.head) == (len(rows), rows[-1].hash)
    report = check_chain(events, [seal], keys=[KEY.public])
    assert (report.findings, report.proved, report.sealed) == ([], len(rows), len(rows))
    append(events, event())
    report = check_chain(events, [seal])
    assert (report.findings, report.proved, report.events) == ([], len(rows), len(rows) + 1)


def test_nothing_is_found_in_a_log_that_is_empty(backend: Backend) -> None:
    assert_untouched(backend)


def test_nothing_is_found_in_the_run_that_fills_every_table(backend: Backend) -> None:
    tell_all(backend)
    assert_untouched(backend)


def test_nothing_is_found_in_the_demo(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["demo", "--db", backend.url])
    assert exit_.value.code == 0
    capsys.readouterr()
    assert_untouched(backend)


TEXTS = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
IDS = st.none() | st.uuids()
EVENTS = st.builds(
    NewEvent,
    stream_id=st.uuids(),
    version=st.just(1),
    topic=TEXTS.map(lambda text: text or ""),
    state=st.binary(max_size=40),
    command_id=IDS,
    command_digest=st.none() | st.binary(max_size=33),
    correlation_id=TEXTS,
    causation_id=TEXTS,
    actor=TEXTS,
    project_id=IDS,
    key_id=IDS,
)


@pytest.fixture(scope="module", params=BACKENDS)
def growing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A database to which every example adds."""
    if request.param == "sqlite":
        with new_backend("sqlite", tmp_path_factory.mktemp("growing") / "tiu.db") as made:
            yield made
        return
    server, template = (request.getfixturevalue(name) for name in ("pg_server", "pg_template"))
    with (
        new_database(server, "growing", template=template) as name,
        new_backend("postgresql", database_url(server, name)) as made,
    ):
        yield made


@settings(max_examples=25)
@given(units=st.lists(st.lists(EVENTS, min_size=1, max_size=3, unique_by=lambda one: one.stream_id), max_size=4))
def test_whatever_events_hold_their_rows_are_encoded_as_their_hashes_cover_them(
    growing: Backend, units: list[list[NewEvent]]
) -> None:
    # Closed before the next example is drawn: a pool's thread takes from `random`, and Hypothesis does not let it then.
    with closing(growing.events()) as store:
        they_are_encoded(store, units)


def they_are_encoded(store: EventStore, units: list[list[NewEvent]]) -> None:
    """Append units, and look at the rows of all there are."""
    used = {row.stream_id for row in store.read_rows(0, 100_000)}
    store.append(
        [Unit([one._replace(stream_id=uuid4()) if one.stream_id in used else one for one in u]) for u in units]
    )
    rows = store.read_rows(0, 100_000)
    encoded = [row for batch in store.encoded_rows() for row in batch]
    assert len(encoded) == len(rows)
    for row, found in zip(rows, encoded, strict=True):
        assert sha256(found[: -LINK.size]).digest() == row.hash == event_hash(row.previous_hash, *row[:-2])
        hash_, previous, position, version, stream, _ = LINK.unpack(found[-LINK.size :])
        assert (hash_, previous, position, version, stream) == (
            row.hash,
            row.previous_hash,
            row.position,
            row.version,
            row.stream_id.bytes,
        )
    assert check_chain(store).findings == []


def test_a_seal_is_stored_and_names_the_one_before_it(backend: Backend) -> None:
    first, second = sealed_history(backend)
    assert [Seal.parse(text) for _, text in backend.events().seals()] == [first, second]
    assert (second.statement.number, second.statement.previous) == (2, first.digest)
    assert first.is_genuine
    assert second.is_genuine
    report = check_chain(backend.events(), [first])
    assert [(seal.number, seal.kept, seal.holds) for seal in report.seals] == [
        (1, "elsewhere", True),
        (1, "store", True),
        (2, "store", True),
    ]
    assert (report.proved, report.sealed) == (first.statement.position, second.statement.position)


def test_a_log_that_was_tampered_with_is_not_sealed(backend: Backend) -> None:
    sealed_history(backend)
    without_triggers(backend)
    remove()(backend)
    with pytest.raises(LogTampered, match=f"the log is not sealed: event {MIDDLE} is not there") as raised:
        seal_log(backend.events(), KEY, AT)
    assert [finding.kind for finding in raised.value.report.findings] == ["removed"]
    assert len(backend.events().seals()) == 2


def test_an_empty_log_is_not_sealed(backend: Backend) -> None:
    with pytest.raises(BadSeal, match="there is nothing to seal"):
        seal_log(backend.events(), KEY, AT)


def test_a_seal_that_is_not_genuine_proves_nothing(backend: Backend) -> None:
    first, _ = sealed_history(backend)
    false = Seal(first.statement, bytes(64))
    with pytest.raises(BadSeal, match="seal 1 is not genuine"):
        check_chain(backend.events(), [false])


def test_a_key_may_be_changed_for_another_when_a_seal_of_each_is_kept(backend: Backend) -> None:
    first, second = sealed_history(backend)
    third = seal_log(backend.events(), OTHER_KEY, AT)
    assert check_chain(backend.events(), [second, third]).findings == []
    assert [finding.kind for finding in check_chain(backend.events(), [first]).findings] == ["seal_replaced"]
    assert check_chain(backend.events(), [first], keys=[OTHER_KEY.public]).findings == []


def test_forgetting_a_user_is_no_tampering(backend: Backend) -> None:
    store_history(backend.events())
    seal = seal_log(backend.events(), KEY, AT)
    Executor(backend.events()).execute([ForgetUser(user_id=USER)])
    report = check_chain(backend.events(), [seal])
    assert (report.findings, report.proved) == ([], seal.statement.position)


def test_a_log_that_is_read_while_others_append_is_as_of_one_moment(events: EventStore) -> None:
    store_history(events)
    batches = events.encoded_rows()
    first = next(batches)
    append(events, event())
    assert len(first) + sum(len(batch) for batch in batches) == len(events.read_rows(0, 1_000)) - 1


def test_many_places_are_counted_and_the_first_are_listed(backend: Backend) -> None:
    sealed_history(backend)
    without_triggers(backend)
    backend.on_events("UPDATE events SET actor = 'somebody else' WHERE position % 2 = 0 AND position <= 20")
    report = check_chain(backend.events(), listed=3)
    assert (report.count, [finding.first for finding in report.findings]) == (10, [2, 4, 6])


@contextmanager
def tampered(backend: Backend) -> Iterator[None]:
    """What is done within is found as a change of one event."""
    kept = sealed_history(backend)
    without_triggers(backend)
    yield
    for seals in (kept, []):
        report = check_chain(backend.events(), seals)
        assert [(finding.kind, finding.first, finding.last) for finding in report.findings] == [
            ("changed", MIDDLE, MIDDLE)
        ]


@pytest.mark.parametrize(
    "change",
    [
        "stream_id = upper(stream_id)",
        "stream_id = replace(stream_id, '-', '')",
        "stream_id = stream_id || ' '",
        "stream_id = ''",
        "recorded_at = replace(recorded_at, 'Z', '+00:00')",
        "recorded_at = replace(recorded_at, 'T', ' ')",
        "recorded_at = substr(recorded_at, 1, 19) || 'Z'",
        "recorded_at = '2026-02-30T00:00:00.000000Z'",
        "recorded_at = ''",
        "topic = CAST(x'ff' AS TEXT)",
        "actor = CAST(x'ff00' AS TEXT)",
        "command_id = upper(command_id)",
        "key_id = ''",
        "hash = CAST(hash || x'00' AS BLOB)",
        "previous_hash = substr(previous_hash, 1, 31)",
        "previous_hash = x''",
        "hash = x''",
        "version = -9223372036854775808",
    ],
)
def test_a_text_of_another_form_is_a_change_on_sqlite(sqlite: SQLiteBackend, change: str) -> None:
    with tampered(sqlite):
        sqlite.on_events(f"UPDATE events SET {change} WHERE position = {MIDDLE}")


@pytest.mark.parametrize("column", ["stream_id", "version", "topic", "state", "recorded_at", "previous_hash", "hash"])
@pytest.mark.parametrize("value", ["NULL", "x'00'", "'text'", "1.5"])
def test_a_table_that_was_altered_to_take_anything_is_no_way_out_on_sqlite(
    sqlite: SQLiteBackend, column: str, value: str
) -> None:
    with tampered(sqlite):
        sqlite.on_events("CREATE TABLE loose AS SELECT * FROM events")
        sqlite.on_events("DROP TABLE events")
        sqlite.on_events("ALTER TABLE loose RENAME TO events")
        sqlite.on_events(f"UPDATE events SET {column} = {value} WHERE position = {MIDDLE}")


@pytest.mark.parametrize(
    "change",
    [
        "recorded_at = 'infinity'",
        "recorded_at = '-infinity'",
        "recorded_at = '4713-01-01 BC'",
        "recorded_at = NULL",
        "version = NULL",
        "stream_id = NULL",
        "topic = NULL",
        "state = NULL",
        "hash = NULL",
        "previous_hash = NULL",
        "hash = hash || '\\x00'",
        "previous_hash = ''",
    ],
)
def test_a_value_that_no_append_stores_is_a_change_on_postgresql(postgresql: PostgreSQLBackend, change: str) -> None:
    with tampered(postgresql):
        for column in ("stream_id", "version", "topic", "state", "recorded_at", "previous_hash", "hash"):
            postgresql.on_events(f"ALTER TABLE events ALTER COLUMN {column} DROP NOT NULL")
        postgresql.on_events(f"UPDATE events SET {change} WHERE position = {MIDDLE}")


def test_the_database_refuses_to_change_a_seal(backend: Backend) -> None:
    sealed_history(backend)
    for statement in ("UPDATE seals SET seal = 'x'", "DELETE FROM seals"):
        with pytest.raises(Exception, match="seals are immutable"):
            backend.on_events(statement)
    if backend.name == "sqlite":
        with pytest.raises(Exception, match="seals are immutable"):
            backend.on_events("REPLACE INTO seals VALUES (1, 'x')")
    else:
        with pytest.raises(Exception, match="seals are immutable"):
            backend.on_events("TRUNCATE seals")


def test_seals_stay_when_their_migration_is_undone_and_made_again(backend: Backend) -> None:
    sealed_history(backend)
    before = backend.on_events("SELECT number, seal FROM seals ORDER BY number")
    where = database(backend.url, Settings())
    assert "013" in migrations.down(where, to="012")
    assert backend.on_events("SELECT number, seal FROM seals ORDER BY number") == before
    assert "013" in migrations.up(where)
    assert backend.on_events("SELECT number, seal FROM seals ORDER BY number") == before
    with pytest.raises(Exception, match="seals are immutable"):
        backend.on_events("DELETE FROM seals")
