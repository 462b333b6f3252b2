"""Ways to tamper with a log, each as the owner of the database could do it: by SQL, with the triggers switched off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from claude_tiu.infrastructure.audit.chain import seal_log
from claude_tiu.infrastructure.audit.findings import Kind
from claude_tiu.infrastructure.audit.seals import Seal, SealingKey
from claude_tiu.infrastructure.event_hash import NO_EVENT, event_hash
from claude_tiu.infrastructure.event_store import EventRow
from claude_tiu.infrastructure.sqlite.values import time_text
from tests.support.history import store_history
from tests.support.stores import Backend, append, event

KEY, OTHER_KEY = SealingKey(bytes(32)), SealingKey(b"\1" * 32)
AT = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
MIDDLE = 31
"""A position that the second seal covers, and the first does not."""

Tamper = Callable[[Backend], object]
Place = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """A way to tamper, as docs/explanation/tamper-evidence.md lists it; what is found, and at which places."""

    title: str
    tamper: Tamper
    found: tuple[Kind, ...]
    """With a seal kept elsewhere."""
    alone: tuple[Kind, ...]
    """Without one, where the store's seals are gone too (or are what was tampered with)."""
    place: Place | None = None
    """Positions, or numbers of seals; None: it depends on the seals."""

    @property
    def of_events(self) -> bool:
        return not any(kind.startswith("seal_") for kind in self.found)


def seal(backend: Backend, key: SealingKey = KEY) -> Seal:
    return seal_log(backend.events(), key, AT)


def sealed_history(backend: Backend) -> list[Seal]:
    """Store a history under two seals, with three events behind the last; return the seals."""
    events = backend.events()
    for _ in range(20):
        append(events, event())
    first = seal_log(events, KEY, AT)
    store_history(events)
    second = seal_log(events, KEY, AT)
    for _ in range(3):
        append(events, event())
    return [first, second]


def without_triggers(backend: Backend) -> None:
    if backend.name == "postgresql":
        for table in ("events", "seals"):
            backend.on_events(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        return
    for (name,) in backend.on_events(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('events', 'seals')"
    ):
        backend.on_events(f"DROP TRIGGER {name}")


def rows(backend: Backend) -> list[EventRow]:
    return backend.events().read_rows(-10, 1_000_000)


def end(backend: Backend) -> int:
    return rows(backend)[-1].position


def rechain(backend: Backend) -> None:
    """Make every hash anew, as the append makes them."""
    head = NO_EVENT
    for row in rows(backend):
        made = event_hash(head, *row[:-2])
        if (head, made) != (row.previous_hash, row.hash):
            statement = "UPDATE events SET previous_hash = ?, hash = ? WHERE position = ?"
            backend.on_events(statement, head, made, row.position)
        head = made


def update(column: str, value: object, position: int = MIDDLE) -> Tamper:
    return lambda backend: backend.on_events(f"UPDATE events SET {column} = ? WHERE position = ?", value, position)


def remove(position: int = MIDDLE) -> Tamper:
    return lambda backend: backend.on_events("DELETE FROM events WHERE position = ?", position)


def renumber(backend: Backend, behind: int, by: int) -> None:
    backend.on_events("UPDATE events SET position = -position WHERE position > ?", behind)
    backend.on_events("UPDATE events SET position = -position + ? WHERE position < 0", by)


def put_in(backend: Backend, position: int) -> None:
    """Insert an event of a stream of its own, hashed as if it had been appended there."""
    at = {row.position: row for row in rows(backend)}
    before = at.get(position - 1)
    recorded = (before or at[min(at)]).recorded_at
    head = before.hash if before else NO_EVENT
    said = (uuid4(), 1, "test.happened.v1", b"{}")
    made = event_hash(head, position, *said, recorded, *[None] * 7)
    row = (position, *said, time_text(recorded), *[None] * 7, head, made)
    backend.on_events(f"INSERT INTO events VALUES ({', '.join('?' * 15)})", *row)


def insert(position: int) -> Tamper:
    def tamper(backend: Backend) -> None:
        if position > 0:
            renumber(backend, position - 1, 1)
        put_in(backend, position)

    return tamper


def swap(one: int, other: int) -> Tamper:
    def tamper(backend: Backend) -> None:
        for before, after in ((one, -1), (other, one), (-1, other)):
            backend.on_events("UPDATE events SET position = ? WHERE position = ?", after, before)

    return tamper


def both(*steps: Tamper) -> Tamper:
    def tamper(backend: Backend) -> None:
        for step in steps:
            step(backend)

    return tamper


def cut(last: int) -> Tamper:
    return lambda backend: backend.on_events("DELETE FROM events WHERE position > ?", last)


def grow(backend: Backend) -> None:
    """Append other events, as the code does."""
    events = backend.events()
    for _ in range(100):
        append(events, event())


def no_seal(number: int) -> Tamper:
    return lambda backend: backend.on_events("DELETE FROM seals WHERE number = ?", number)


def reseal(backend: Backend) -> None:
    """Replace the store's last seal by one of another key."""
    no_seal(2)(backend)
    seal(backend, OTHER_KEY)


def forge(backend: Backend) -> None:
    """Say another time in the store's first seal, under the signature that it had."""
    statement = 'UPDATE seals SET seal = replace(seal, \'"sealed_at":"2026\', \'"sealed_at":"2025\') WHERE number = 1'
    backend.on_events(statement)


def replace_all(backend: Backend) -> None:
    """Put another log of the same length in the place of this."""
    count = end(backend)
    backend.on_events("DELETE FROM events")
    events = backend.events()
    for _ in range(count):
        append(events, event())


def skip_a_version(position: int) -> Tamper:
    return lambda backend: backend.on_events("UPDATE events SET version = version + 100 WHERE position = ?", position)


def close_gap(position: int) -> Tamper:
    return both(remove(position), lambda backend: renumber(backend, position, -1))


def same_time(backend: Backend) -> None:
    backend.on_events("UPDATE events SET recorded_at = (SELECT min(recorded_at) FROM events) WHERE position < 5")


PAST = "2020-01-01T00:00:00.000000Z"
LONELY = 20
"""The position of the only event of a stream: no other one tells that it is missing, or has another version."""
HERE: Place = (MIDDLE, MIDDLE)
REWRITTEN: tuple[Kind, ...] = ("rewritten",)

CASES = [
    *(
        Case(f"`{column}` of an event changed", update(column, value), ("changed",), ("changed",), HERE)
        for column, value in {
            "state": b'{"claimed": 100}',
            "topic": "task.completed.v9",
            "actor": "somebody else",
            "recorded_at": PAST,
            "correlation_id": "another",
            "causation_id": "another",
            "command_id": uuid4(),
            "command_digest": b"\0" * 32,
            "stream_id": uuid4(),
            "version": 77,
            "project_id": UUID(int=1),
            "key_id": UUID(int=1),
            "previous_hash": b"\0" * 32,
            "hash": b"\0" * 32,
        }.items()
    ),
    Case("an event removed", remove(), ("removed",), ("removed",), HERE),
    Case("an event removed, the later ones renumbered", close_gap(MIDDLE), ("removed",), ("removed",), HERE),
    Case("an event inserted, the later ones renumbered", insert(MIDDLE), ("inserted",), ("inserted",), HERE),
    Case("an event inserted before the first", insert(0), ("inserted",), ("inserted",), (0, 0)),
    Case("two events swapped", swap(MIDDLE, MIDDLE + 1), ("reordered",), ("reordered",), (MIDDLE, MIDDLE + 1)),
    Case("two events far from each other swapped", swap(5, 45), ("reordered",), ("reordered",), (5, 45)),
    Case("the end of the log cut", cut(MIDDLE - 1), ("cut",), ()),
    Case("the end of the log cut, and other events appended", both(cut(25), grow), REWRITTEN, ()),
    Case("an event changed, the chain made anew", both(update("actor", "somebody else"), rechain), REWRITTEN, ()),
    Case("an event removed, the rest renumbered, the chain made anew", both(close_gap(LONELY), rechain), REWRITTEN, ()),
    Case("an event inserted, the rest renumbered, the chain made anew", both(insert(MIDDLE), rechain), REWRITTEN, ()),
    Case("two events swapped, the chain made anew", both(swap(3, 4), same_time, rechain), REWRITTEN, ()),
    Case(
        "`recorded_at` set back, the chain made anew",
        both(update("recorded_at", PAST), rechain),
        ("time_fell", "rewritten"),
        ("time_fell",),
    ),
    Case(
        "`version` renumbered, the chain made anew",
        both(skip_a_version(LONELY), rechain),
        ("version_skipped", "rewritten"),
        ("version_skipped",),
    ),
    Case("the whole log replaced by another", replace_all, REWRITTEN, ()),
    Case("the epoch changed", lambda backend: backend.new_identity(), ("replaced",), ()),
    Case("the last seal of the store removed", no_seal(2), ("seal_removed",), (), (2, 2)),
    Case("an earlier seal of the store removed", no_seal(1), ("seal_removed",), ("seal_removed",), (1, 1)),
    Case("a seal of the store changed", forge, ("seal_changed",), ("seal_changed",), (1, 1)),
    Case("a seal of the store replaced by one of another key", reseal, ("seal_replaced",), (), (2, 2)),
]
