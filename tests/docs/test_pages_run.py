"""Every block of every page runs, and prints what the page shows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

import claude_tiu
from tests.docs.blocks import DOCS, ROOT, RUN, Terminal, blocks_of, environment, run_page
from tests.support.history import create_user, uid
from tests.support.postgres_server import find_clients
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend

HOW_TO = DOCS / "how-to"
ON_SQLITE = ("embed", "test", "templates", "agents", "example", "observe", "access")
"""Guides that name a SQLite file, or none."""
ON_BOTH = ("subscribe", "operate", "upgrade", "forget-a-user", "retention", "monitor", "audit", "parked")
ELSEWHERE = {
    "README.md": "test_pages.py",
    "docs/tutorial.md": "here",
    "docs/how-to/write-a-projection.md": "here",
    "docs/how-to/back-up.md": "test_back_up.py, which holds that it runs every block",
}
SHOWN = {
    "docs/how-to/embed.md": ["py"],
    "docs/how-to/retention.md": ["crontab", "ini", "ini"],
}
"""Blocks in other languages: a function that is called below, and files of other programs, whose commands are run."""
SQLITE3 = """#!{python}
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]):
    print(*row, sep="|")
"""
"""SQLite's shell, as far as the pages use it: not every machine has it."""

Amid = Callable[[], AbstractContextManager[Any]]


def terminal_of(page: str, backend: Backend, url: str) -> Terminal:
    """Return what there is to know of a guide's `console` blocks."""
    sqlite = isinstance(backend, SQLiteBackend)
    amid: dict[str, Amid] = {}
    ends: dict[str, int] = {}
    match page:
        case "operate":
            amid = {
                "tiu projector status": partial(claude_tiu.connect, url),
                "tiu projector rebuild": partial(tampered, backend, "projects", "name", "Tampered"),
            }
            ends = {"tiu projector rebuild": 1}
            if not sqlite:
                amid["tiu migrate roles"] = partial(logins, url, "billing_service", "billing_projector")
        case "audit":
            amid = {"tiu audit verify": partial(tampered, backend, "tasks", "real_progress", 75.0)}
            ends = {"tiu audit verify": 1}
        case "parked":
            ends = {"tiu projector parked retry": 1}  # nothing has been mended
        case "access":
            ends = {"tiu doctor": 1}  # there is no such host
    only_there = ("tiu migrate roles", "psql") if sqlite else ("sqlite3",)
    return Terminal(amid, ends, ("pip install", *only_there))


@contextmanager
def tampered(backend: Backend, table: str, column: str, value: str | float) -> Iterator[None]:
    """Let one value of a table be another."""
    ((key, was),) = backend.on_reads(f"SELECT id, {column} FROM {table} LIMIT 1")
    change = f"UPDATE {table} SET {column} = ? WHERE id = ?"
    backend.on_reads(change, value, key)
    yield
    with claude_tiu.connect(backend.url, project=False) as tiu:
        tiu.discard_rebuild()
    backend.on_reads(change, was, key)


@contextmanager
def logins(url: str, *names: str) -> Iterator[None]:
    """Let there be roles that log in; they go again, with those of ours."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE ROLE {name} LOGIN")
        yield
        for name in names:
            connection.execute(f"DROP ROLE {name}")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Backend, str, str]:
    """A new, empty database, its URL for `$DB`, and a `$PATH` with the programs that go with it."""
    path = environment()["PATH"]
    if request.param == "sqlite":
        shell = tmp_path / "bin" / "sqlite3"
        shell.parent.mkdir()
        shell.write_text(SQLITE3.format(python=sys.executable))
        shell.chmod(0o700)
        return SQLiteBackend(tmp_path / "app.db"), "sqlite:///app.db", f"{shell.parent}:{path}"
    url: str = request.getfixturevalue("pg_empty")
    return PostgreSQLBackend(url), url, f"{path}:{find_clients(url)}"


@pytest.mark.parametrize("page", ON_BOTH)
def test_a_guide_runs(page: str, place: tuple[Backend, str, str], tmp_path: Path) -> None:
    backend, url, path = place
    terminal = terminal_of(page, backend, backend.url)
    assert run_page(HOW_TO / f"{page}.md", tmp_path, terminal, DB=url, PATH=path) > 2


@pytest.mark.parametrize("page", ON_SQLITE)
def test_a_guide_without_a_server_runs(page: str, tmp_path: Path) -> None:
    terminal = terminal_of(page, SQLiteBackend(tmp_path / "app.db"), "")
    assert run_page(HOW_TO / f"{page}.md", tmp_path, terminal) > 0


def test_the_tutorial_runs_in_order(tmp_path: Path) -> None:
    assert run_page(DOCS / "tutorial.md", tmp_path, cold=True) > 10


def test_the_pages_that_explain_run(tmp_path: Path) -> None:
    explained = sorted((DOCS / "explanation").glob("*.md"))
    for number, page in enumerate(explained):
        folder = tmp_path / str(number)
        folder.mkdir()
        run_page(page, folder)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_projection_that_is_copied_out_of_the_page_works_is_rebuilt_and_verified(
    store: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = HOW_TO / "write-a-projection.md"
    (tmp_path / "board.py").write_text(blocks_of(page)[0].text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "board", raising=False)
    url = "sqlite:///app.db" if store == "sqlite" else str(request.getfixturevalue("pg_empty"))
    assert run_page(page, tmp_path, DB=url) == 6
    sys.modules.pop("board", None)


def test_commands_in_a_transaction_of_the_services_own_run_as_shown(pg_url: str) -> None:
    (block,) = [block for block in blocks_of(HOW_TO / "embed.md") if block.language == "py"]
    names: dict[str, Any] = {name: getattr(claude_tiu, name) for name in ("AddTask", "CreateProject")}
    names |= {"psycopg": psycopg, "url": pg_url, "order_id": 7, "user_id": uid("user"), "project_id": uid("project")}
    with psycopg.connect(pg_url, autocommit=True) as orders, claude_tiu.connect(pg_url) as tiu:
        orders.execute("CREATE TABLE orders (id integer, state text)")
        orders.execute("INSERT INTO orders VALUES (7, 'new')")
        tiu.execute(create_user(user_id=uid("user")))
        exec(compile(block.text, "embed.md", "exec"), names | {"tiu": tiu})  # noqa: S102 - the page's own code is tested
        found = orders.execute("SELECT state, t.name FROM orders, tasks t").fetchall()
    assert found == [("planned", "Deliver it")]


def test_no_block_is_left_out() -> None:
    run = {f"docs/how-to/{page}.md" for page in (*ON_SQLITE, *ON_BOTH)} | ELSEWHERE.keys()
    others: dict[str, list[str]] = {}
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]:
        name = str(page.relative_to(ROOT))
        languages = [block.language for block in blocks_of(page)]
        if name.startswith(("docs/explanation/", "docs/reference/")):
            assert name.startswith("docs/explanation/") or not {*languages} & {*RUN}, name
        elif languages:
            assert name in run, f"no test runs the blocks of {name}"
        others[name] = [language for language in languages if language not in (*RUN, "text", "json")]
    assert {name: found for name, found in others.items() if found} == SHOWN


def test_commands_in_files_of_other_programs_are_those_that_are_run() -> None:
    blocks = blocks_of(HOW_TO / "retention.md")
    run = "\n".join(block.text for block in blocks if block.language == "sh")
    for block in blocks:
        for line in block.text.splitlines():
            if block.language in ("crontab", "ini") and "/tiu " in line:
                assert "tiu " + line.split("/tiu ")[1].split(" --json")[0] in run
