"""Whatever happens, in whichever batches: an own projection's tables are what one loop over the events makes."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_tiu import (
    AddTask,
    ArchiveProject,
    ClaimProgress,
    Command,
    CompleteProject,
    CompleteTask,
    CreateProject,
    ForgetUser,
    ProgressClaimed,
    ProjectArchived,
    ProjectCreated,
    Refused,
    StartTask,
    TaskAdded,
    TaskCompleted,
    TaskStarted,
    UserCreated,
    UserForgotten,
    connect,
)
from claude_tiu.infrastructure.event_store import EventStore
from claude_tiu.infrastructure.mapper import decode
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.infrastructure.read_store import ReadStore
from tests.support.board import BOARD, migrate
from tests.support.history import create_user, uid
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import Backend, new_backend

USERS = [uid(f"own user {n}") for n in range(2)]
PROJECTS = [uid(f"own project {n}") for n in range(2)]
TASKS = [(uid(f"own task {n}"), PROJECTS[n % 2]) for n in range(4)]
PEOPLE = [create_user(f"own{n}", user_id=user) for n, user in enumerate(USERS)]
FORGOTTEN = [ForgetUser(user_id=USERS[1])]
PROJECT_COMMANDS: list[Command] = [
    command
    for n, project in enumerate(PROJECTS)
    for command in (
        CreateProject(project_id=project, user_id=USERS[n], name=f"P{n}"),
        CompleteProject(project_id=project),
        ArchiveProject(project_id=project),
    )
]
TASK_COMMANDS: list[Command] = [
    command
    for task, project in TASKS
    for command in (
        AddTask(task_id=task, project_id=project, name=f"T {task}"),
        StartTask(task_id=task),
        ClaimProgress(task_id=task, claimed=40),
        CompleteTask(task_id=task),
    )
]
HISTORIES = st.lists(st.sampled_from([*FORGOTTEN, *PROJECT_COMMANDS, *TASK_COMMANDS, *TASK_COMMANDS]), max_size=60)


def made_of(events: EventStore) -> dict[str, dict[UUID, Any]]:
    """The rows, by one plain loop: without a fold, a batch, a running state, or SQL."""
    members, cards, counts = dict[UUID, Any](), dict[UUID, Any](), dict[UUID, Any]()
    for one in events.read(0, 1_000):
        key = events.keys([one.key_id]).get(one.key_id) if one.key_id else None
        event, id_, project = (
            decode(one.topic, one.state, one.stream_id, one.version, key),
            one.stream_id,
            one.project_id,
        )
        match event:
            case UserCreated():
                members[id_] = event.username
            case UserForgotten():
                del members[id_]
            case ProjectCreated():
                counts[id_] = [0, 0]
            case ProjectArchived():
                cards = {task: card for task, card in cards.items() if card[0] != id_}
            case TaskAdded() if project:
                counts[project][0] += 1
                cards[id_] = [project, event.name, 0, False]
            case ProgressClaimed() if id_ in cards:
                cards[id_][2] = 10**20 + int(event.claimed)
            case TaskCompleted() if project:
                counts[project][1] += 1
                cards[id_][3] = True
            case TaskStarted():
                pass
    return {"members": members, "cards": cards, "counts": counts}


def kept_in(reads: ReadStore) -> dict[str, dict[UUID, Any]]:
    """The same rows, as they are stored."""
    found = {}
    for table in BOARD.tables[:3]:
        keys = [UUID(str(row[table.key])) for row in reads.query(f"SELECT {table.key} FROM {table.name}", {})]
        found[table.name] = {row[table.key]: row for row in reads.rows(table, keys)}
    return {
        "members": {id_: row["name"] for id_, row in found["board_members"].items()},
        "cards": {
            id_: [row["project_id"], row["name"], row["claimed"], row["done"]]
            for id_, row in found["board_cards"].items()
        },
        "counts": {id_: [row["cards"], row["done"]] for id_, row in found["board_counts"].items()},
    }


def try_out(backend: Backend, commands: list[Command], sizes: list[int]) -> None:
    migrate(backend, BOARD)
    with connect(backend.url, project=False, projections=[BOARD]) as tiu:
        tiu.execute_all(PEOPLE)
        for command in commands:
            with suppress(Refused):
                tiu.execute(command)
        board = tiu.projection("board")
        for size in sizes:
            Projector(tiu.events, board._reads, BOARD, batch_size=size, parks=True).step()
        board.catch_up()
        assert board.parked() == []
        assert kept_in(board._reads) == made_of(tiu.events)
        assert board.verify().equal
        assert board.rebuild().differences == ()
        assert kept_in(board._reads) == made_of(tiu.events)


def on_a_new_database(request: pytest.FixtureRequest, name: str, commands: list[Command], sizes: list[int]) -> None:
    with ExitStack() as opened:
        place: Path | str = Path(opened.enter_context(TemporaryDirectory())) / "tiu.db"
        if name == "postgresql":
            server = request.getfixturevalue("pg_server")
            template = request.getfixturevalue("pg_template")
            place = database_url(server, opened.enter_context(new_database(server, "own", template=template)))
        try_out(opened.enter_context(new_backend(name, place)), commands, sizes)


SIZES = st.lists(st.integers(1, 9), max_size=8)


@pytest.mark.parametrize(("name", "examples"), [("sqlite", 6), ("postgresql", 2)])
def test_the_tables_are_what_one_loop_over_the_events_makes(
    request: pytest.FixtureRequest, name: str, examples: int
) -> None:
    @settings(max_examples=examples)
    @given(commands=HISTORIES, sizes=SIZES)
    def holds(commands: list[Command], sizes: list[int]) -> None:
        on_a_new_database(request, name, commands, sizes)

    holds()


@pytest.mark.long
@pytest.mark.parametrize(("name", "examples"), [("sqlite", 300), ("postgresql", 60)])
def test_so_they_are_after_many(request: pytest.FixtureRequest, name: str, examples: int) -> None:
    test_the_tables_are_what_one_loop_over_the_events_makes(request, name, examples)
