"""PostgreSQL crashes, cuts connections, or is cut off around a commit: callers are told, and go on by themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from claude_tiu import AlreadyExists, Answer, CreateProject, StoreUnavailable, connect
from claude_tiu.infrastructure.migrations import migrate_up
from tests.support.arena import Arena, forms
from tests.support.crashing import CrashingServer, crashing_server
from tests.support.faults import record
from tests.support.history import PROJECT, USER, create_user
from tests.support.ledger import NONE
from tests.support.postgres_server import database_url, find_bindir
from tests.support.proxy import Cut, Proxy, proxy_to
from tests.support.stores import PostgreSQLBackend


@pytest.fixture(scope="module")
def server() -> Iterator[CrashingServer]:
    bindir = find_bindir()
    assert bindir is not None, "no PostgreSQL to crash: install the test extra, or put pg_ctl on PATH"
    with crashing_server(bindir) as made:
        yield made


@pytest.fixture
def url(server: CrashingServer) -> str:
    name = f"crash_{uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())  # it goes with the server
    made = database_url(server.url, name)
    migrate_up(made)
    return made


@pytest.mark.parametrize(("crashes", "seed"), forms(3))
def test_a_crash_of_the_server_takes_nothing_that_was_acknowledged(
    server: CrashingServer, url: str, crashes: int, seed: int
) -> None:
    seconds, faults = [], NONE
    with Arena(url, seed) as arena:
        for number in range(3):
            arena.add_client(project=number == 0)
        arena.add_projector()
        for _ in range(crashes):
            arena.wait_until_all_work()
            time.sleep(arena.dice.expovariate(20))
            server.crash()
            time.sleep(arena.dice.uniform(0, 0.5))
            server.start()
            back = time.monotonic()
            took, found = arena.recover(back, anew=True)
            seconds.append(took)
            faults |= found
    record("server_crashed", "postgresql", tried=crashes, **faults.counts(), seconds=seconds)
    assert faults == NONE, f"seed {seed}"


@pytest.mark.parametrize(("cuts", "seed"), forms(10))
def test_connections_that_are_cut_are_made_again(postgresql: PostgreSQLBackend, cuts: int, seed: int) -> None:
    seconds, faults = [], NONE
    with Arena(postgresql.url, seed) as arena:
        for number in range(3):
            arena.add_client(project=number == 0)
        arena.add_projector()
        for number in range(cuts):
            arena.wait_until_all_work()
            time.sleep(arena.dice.expovariate(100))
            postgresql.terminate_connections(share=arena.dice.choice((0.2, 0.5, 1.0)))
            cut = time.monotonic()
            took, found = arena.recover(cut, check=number % 5 == 4)
            seconds.append(took)
            faults |= found
    record("connections_cut", "postgresql", tried=cuts, **faults.counts(), seconds=seconds)
    assert faults == NONE, f"seed {seed}"


@pytest.fixture
def proxy(postgresql: PostgreSQLBackend) -> Iterator[Proxy]:
    with proxy_to(postgresql.url) as made:
        yield made


def names(backend: PostgreSQLBackend) -> list[str]:
    """Return the names of the projects in the log, in order."""
    states = backend.on_events("SELECT state FROM events WHERE topic LIKE 'project.created%' ORDER BY position")
    return [json.loads(state)["name"] for (state,) in states]


@pytest.mark.parametrize("command_id", [uuid4(), None], ids=["with a command_id", "without"])
@pytest.mark.parametrize("cut", Cut, ids=lambda cut: cut.name.lower())
class TestACommitThatIsCutOff:
    def test_is_answered_all_the_same(
        self, postgresql: PostgreSQLBackend, proxy: Proxy, cut: Cut, command_id: UUID | None
    ) -> None:
        with connect(proxy.url, project=False) as tiu:
            tiu.execute(create_user(user_id=USER))
            proxy.cut_next(cut)
            command = CreateProject(project_id=PROJECT, user_id=USER, name="Once", command_id=command_id)
            assert tiu.execute(command) == Answer(PROJECT, 1, 2)
            proxy.wait_for_cuts()
        assert names(postgresql) == ["Once"]

    def test_and_whose_retry_is_too_is_a_clear_error_and_told_by_the_next(
        self, postgresql: PostgreSQLBackend, proxy: Proxy, cut: Cut, command_id: UUID | None
    ) -> None:
        with connect(proxy.url, project=False) as tiu:
            tiu.execute(create_user(user_id=USER))
            command = CreateProject(project_id=PROJECT, user_id=USER, name="Once", command_id=command_id)
            proxy.cut_next(cut, Cut.AFTER)
            try:
                answer = tiu.execute(command)  # where the first was stored, the retry stores nothing that could be cut
            except StoreUnavailable:
                if command_id:
                    answer = tiu.execute(command)
                else:
                    with pytest.raises(AlreadyExists):
                        tiu.execute(command)
                    answer = Answer(PROJECT, 1, 2)
            assert answer == Answer(PROJECT, 1, 2)
        assert names(postgresql) == ["Once"]


@pytest.mark.parametrize(("cuts", "seed"), forms(20, 100, 4))
def test_a_commit_whose_answer_is_lost_is_answered_all_the_same_and_once(
    postgresql: PostgreSQLBackend, cuts: int, seed: int
) -> None:
    """One cut is not noticed by a caller; where the retry is cut too, there is a clear error, and another retry."""
    seconds, faults = [], NONE
    with proxy_to(postgresql.url) as proxy, Arena(postgresql.url, seed) as arena:
        for number in range(3):
            arena.add_client(url=proxy.url, project=number == 0, threads=2 + 3 * number)
        arena.wait_until_all_work()
        for number in range(cuts):
            cut = time.monotonic()
            proxy.cut_next(*(arena.dice.choice([*Cut]) for _ in range(arena.dice.choice((1, 2, 4)))))
            proxy.wait_for_cuts()
            arena.wait_until_all_work()
            seconds.append(time.monotonic() - cut)
            if number % 10 == 9:
                with arena.paused(), connect(postgresql.url, project=False) as tiu:
                    faults |= arena.check(tiu)
    record("commit_unanswered", "postgresql", tried=cuts, **faults.counts(), seconds=seconds)
    assert faults == NONE, f"seed {seed}"
