"""A projection of an embedding service's own, of every kind of column: members, cards, and each project's counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claude_tiu import (
    ProgressClaimed,
    ProjectArchived,
    ProjectCreated,
    TaskAdded,
    TaskCompleted,
    TaskStarted,
    UserCreated,
    UserForgotten,
)
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.projections import (
    Change,
    Delete,
    Insert,
    Kind,
    Operation,
    Projection,
    Recorded,
    Reference,
    Rows,
    Table,
    Update,
    with_parking,
)
from tests.support.stores import Backend

MEMBERS = Table("board_members", "user_id", {"user_id": Kind.UUID, "name": Kind.TEXT}, personal=True)
CARDS = Table(
    "board_cards",
    "task_id",
    {
        "task_id": Kind.UUID,
        "project_id": Kind.UUID,
        "place": Kind.TEXT,
        "name": Kind.TEXT,
        "position": Kind.INTEGER,
        "claimed": Kind.EXACT,
        "share": Kind.DOUBLE,
        "done": Kind.FLAG,
        "tags": Kind.JSON,
        "done_at": Kind.TIME,
    },
    unique=(("place",),),
)
COUNTS = Table(
    "board_counts",
    "project_id",
    {"project_id": Kind.UUID, "cards": Kind.INTEGER, "done": Kind.INTEGER},
    private=True,
)


def member_came(recorded: Recorded, event: UserCreated, rows: Rows) -> Iterator[Change]:
    yield Insert("board_members", {"user_id": recorded.stream_id, "name": event.username})


def member_went(recorded: Recorded, event: UserForgotten, rows: Rows) -> Iterator[Change]:
    yield Delete("board_members", recorded.stream_id)


def project_began(recorded: Recorded, event: ProjectCreated, rows: Rows) -> Iterator[Change]:
    yield Insert("board_counts", {"project_id": recorded.stream_id, "cards": 0, "done": 0})


def project_ended(recorded: Recorded, event: ProjectArchived, rows: Rows) -> Iterator[Change]:
    delete = "DELETE FROM board_cards WHERE project_id = :project_id"
    yield Operation("clear_board", {"project_id": recorded.stream_id}, (delete,))


def card_added(recorded: Recorded, event: TaskAdded, rows: Rows) -> Iterator[Change]:
    assert recorded.project_id is not None
    cards = rows.get("board_counts", recorded.project_id)["cards"] + 1
    yield Update("board_counts", recorded.project_id, {"cards": cards})
    yield Insert(
        "board_cards",
        {
            "task_id": recorded.stream_id,
            "project_id": recorded.project_id,
            "place": f"{recorded.project_id}/{cards}",
            "name": event.name,
            "position": recorded.position,
            "claimed": 0,
            "share": 0.0,
            "done": False,
            "tags": {"n": cards, "of": ["ü", None, 0.5]},
            "done_at": None,
        },
    )


def card_moved(recorded: Recorded, event: ProgressClaimed, rows: Rows) -> Iterator[Change]:
    yield Update(
        "board_cards", recorded.stream_id, {"claimed": 10**20 + int(event.claimed), "share": event.claimed / 3}
    )


def card_begun(recorded: Recorded, event: TaskStarted, rows: Rows) -> Iterator[Change]:
    yield Update("board_cards", recorded.stream_id, {"tags": {"begun": True}})


def card_done(recorded: Recorded, event: TaskCompleted, rows: Rows) -> Iterator[Change]:
    assert recorded.project_id is not None
    done = rows.get("board_counts", recorded.project_id)["done"] + 1
    yield Update("board_counts", recorded.project_id, {"done": done})
    yield Update("board_cards", recorded.stream_id, {"done": True, "done_at": event.occurred_at})


HANDLERS: dict[Any, Any] = {
    UserCreated: member_came,
    UserForgotten: member_went,
    ProjectCreated: project_began,
    ProjectArchived: project_ended,
    TaskAdded: card_added,
    TaskStarted: card_begun,
    ProgressClaimed: card_moved,
    TaskCompleted: card_done,
}
STOPS = Projection(name="board", version=1, tables=(MEMBERS, CARDS, COUNTS), handlers=HANDLERS)
"""Without parking: it stops at what it cannot project."""
BOARD = with_parking(STOPS)
REFERRING = with_parking(STOPS, {ProjectCreated: lambda event: Reference(event.user_id, MEMBERS, (event.user_id,))})
"""One whose projects wait for their users."""


def migrate(backend: Backend, *projections: Projection) -> list[str]:
    """Make the tables of projections."""
    return migrations.up(database(backend.url, Settings()), projections=projections)
