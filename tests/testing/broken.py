"""Projections that break the contract, each in one way. What each writes else is as good as any."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from weakref import WeakKeyDictionary

from claude_tiu import AgentRegistered, ProjectCreated, TaskAdded, TaskStarted, UserCreated
from claude_tiu.domain.messages import Event
from claude_tiu.projections import Change, Insert, Kind, Migration, Projection, Recorded, Row, Rows, Table, Update

NOTES = Table("notes", "id", {"id": Kind.UUID, "text": Kind.TEXT, "number": Kind.INTEGER, "at": Kind.TIME})
COUNTS = Table("counts", "id", {"id": Kind.UUID, "number": Kind.INTEGER, "words": Kind.JSON}, private=True)


def note(recorded: Recorded, **values: Any) -> Insert:
    at: Row = {"text": None, "number": None, "at": recorded.event.occurred_at}
    return Insert("notes", {"id": recorded.event_id, **at, **values})


def noting(handler: Any, *kinds: type[Event], tables: tuple[Table, ...] = (NOTES,)) -> Projection:
    return Projection("broken", 1, tables, dict.fromkeys(kinds, handler))


seen: list[int] = []


def counts_in_its_module(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    seen.append(recorded.position)
    yield note(recorded, number=len(seen))


COUNTS_IN_ITS_MODULE = noting(counts_in_its_module, TaskAdded)

last: dict[int, int] = {}


def remembers_the_one_before(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    """Right as long as the process lives, however often it is given an event."""
    last[recorded.position] = last.get(recorded.position - 1, 0) + 1
    yield note(recorded, number=last[recorded.position])


REMEMBERS_THE_ONE_BEFORE = noting(remembers_the_one_before, UserCreated, ProjectCreated)

told: set[int] = set()


def leaves_out_what_it_was_given(recorded: Recorded, event: Event, rows: Rows) -> list[Change]:
    """Meant to make it idempotent: what a crash undid is left out, too."""
    if recorded.position in told:
        return []
    told.add(recorded.position)
    return [note(recorded)]


LEAVES_OUT_WHAT_IT_WAS_GIVEN = noting(leaves_out_what_it_was_given, UserCreated)


def asks_the_clock(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    yield note(recorded, at=datetime.now(UTC))


ASKS_THE_CLOCK = noting(asks_the_clock, UserCreated)


def asks_the_calendar(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    yield note(recorded, number=date.today().year)  # noqa: DTZ011 - it is what is wrong with it


ASKS_THE_CALENDAR = noting(asks_the_calendar, UserCreated)


def throws_dice(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    yield note(recorded, number=random.randrange(2**40))


THROWS_DICE = noting(throws_dice, UserCreated)


def follows_a_set(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    yield note(recorded, text=" ".join({"one", "two", "three", "four", "five", "six", "seven", "eight"}))


FOLLOWS_A_SET = noting(follows_a_set, AgentRegistered)


def changes_its_event(recorded: Recorded, event: ProjectCreated, rows: Rows) -> Iterator[Change]:
    event.configuration["noted"] = True
    yield note(recorded)


CHANGES_ITS_EVENT = noting(changes_its_event, ProjectCreated)


def changes_its_row(recorded: Recorded, event: TaskAdded | ProjectCreated, rows: Rows) -> Iterator[Change]:
    if isinstance(event, ProjectCreated):
        yield Insert("counts", {"id": recorded.stream_id, "number": 0, "words": []})
    else:
        row: Any = rows.get("counts", event.project_id)
        row["words"].append(event.name)
        yield Update("counts", event.project_id, {"number": row["number"] + 1})


CHANGES_ITS_ROW = noting(changes_its_row, ProjectCreated, TaskAdded, tables=(COUNTS,))


def reads_a_public_table(recorded: Recorded, event: TaskStarted, rows: Rows) -> Iterator[Change]:
    yield note(recorded, text=rows.get("tasks", recorded.stream_id)["name"])


READS_WHAT_IS_NOT_ITS_OWN = noting(reads_a_public_table, TaskStarted)


def updates_what_is_not_there(recorded: Recorded, event: TaskStarted, rows: Rows) -> Iterator[Change]:
    yield Update("notes", recorded.stream_id, {"text": "started"})


UPDATES_WHAT_IS_NOT_THERE = noting(updates_what_is_not_there, TaskStarted)


def copies_a_name(recorded: Recorded, event: UserCreated, rows: Rows) -> Iterator[Change]:
    yield note(recorded, text=event.username)


KEEPS_WHAT_IS_FORGOTTEN = noting(copies_a_name, UserCreated)


def raises(recorded: Recorded, event: TaskAdded, rows: Rows) -> Iterator[Change]:
    yield note(recorded, text=event.name.split()[3])


RAISES = noting(raises, TaskAdded)

PARENT = Table("boards", "id", {"id": Kind.UUID, "name": Kind.TEXT})
CHILD = Table("cards", "id", {"id": Kind.UUID, "board_id": Kind.UUID})
REFERRING = """
CREATE TABLE boards (id TEXT NOT NULL PRIMARY KEY, name TEXT);
CREATE TABLE cards (id TEXT NOT NULL PRIMARY KEY, board_id TEXT REFERENCES boards (id));
"""


def boards(recorded: Recorded, event: ProjectCreated, rows: Rows) -> Iterator[Change]:
    yield Insert("boards", {"id": recorded.stream_id, "name": event.name})


def cards(recorded: Recorded, event: TaskAdded, rows: Rows) -> Iterator[Change]:
    yield Insert("cards", {"id": recorded.stream_id, "board_id": event.project_id})


CHILDREN_FIRST = Projection(
    "broken",
    1,
    (CHILD, PARENT),
    {ProjectCreated: boards, TaskAdded: cards},
    migrations={"sqlite": [Migration("001", "boards", REFERRING)]},
)
"""What the database refuses of a batch, and takes event by event: the projector splits it, so nothing is different."""

begun: WeakKeyDictionary[Rows, int] = WeakKeyDictionary()


def counts_from_where_it_began(recorded: Recorded, event: Event, rows: Rows) -> Iterator[Change]:
    begun.setdefault(rows, recorded.position)
    yield note(recorded, number=recorded.position - begun[rows])


DEPENDS_ON_BORDERS = noting(counts_from_where_it_began, UserCreated, ProjectCreated)
