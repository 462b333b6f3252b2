"""Texts that mean something to a database, a terminal, a page or a reader, in every text field of every command: they
come back from every verb as they were given, and no terminal obeys them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.color import ColorSystem

from claude_tiu import connect
from claude_tiu.domain.registry import COMMANDS
from claude_tiu.infrastructure.cli import output
from claude_tiu.infrastructure.cli.app import app
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from tests.cli.conftest import lasting
from tests.cli.running import tiu
from tests.support import every_table
from tests.support.history import uid
from tests.support.spoiling import has_text, tell_spoiled
from tests.support.stores import BACKENDS, Backend, append, event

EVIL = (
    "';DROP TABLE x;--%s :n $1 \\ [bold]b[/] :joy: <b>&amp;]]> \x1b[2J\x1b[38;5;199mE\x07\b\r\v\x7f\x9b1m"
    "\u202eR\u2066\u200b\ufeff\u2028\U000e0001\u061cé𝄞"
)
"""Its terminal colours are 199, which nothing of ours is."""
STYLE = re.compile(r"\x1b\[(?!38;5;199)[0-9;]*m")
"""What a style of ours writes to a terminal."""


def verbs(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every verb that there is."""
    command = command or typer.main.get_command(app)
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from verbs(inner, (*path, name))
    else:
        yield " ".join(path)


def calls(project: str, run: str, parked: str, folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """How each verb is called; those that change something come last."""
    bundle, page = folder / "evil.zip", folder / "evil.html"
    bad = folder / "bad.jsonl"
    bad.write_text(
        f"{json.dumps({'command': EVIL})}\n{json.dumps({'command': 'StartTask', 'task_id': EVIL, EVIL: 1})}\n{EVIL}"
    )
    key = folder / "key"
    return {
        "schema": [(), ("AddTask",), (EVIL,)],
        "doctor": [()],
        "migrate status": [()],
        "projector status": [()],
        "show dashboard": [(), ("--user", uid("user")), ("--user", EVIL)],
        "show issues": [("--until", "2026-03-05T00:00:00Z", "--hours", 100)],
        "show ready": [(project,)],
        "show metrics": [(project, f"{EVIL}velocity"), (project, EVIL)],
        "show search": [("DROP TABLE",), (EVIL,)],
        "show sizes": [()],
        "show slow": [()],
        "show indexes": [()],
        "audit history": [
            (project, "--all", "--limit", 500),
            (uid("user"),),
            (uid("agent ada"),),
            (uid("template"),),
            ("--correlation", "evil/1"),
            ("--correlation", EVIL),
            (project, "--all", "--tree"),
        ],
        "audit as-of": [
            ("--position", 90),
            ("--position", 90, "--sql", "SELECT name, description, metadata FROM projects"),
            ("--position", 90, "--sql", f'SELECT 1 AS "{EVIL}"'),
            ("--position", 90, "--sql", EVIL),
            ("--position", 90, "--out", folder / "as-of.db"),
        ],
        "audit verify": [()],
        "audit chain": [()],
        "audit seal": [("--new-key", key), ("--key", key)],
        "audit export": [("--project", project, "--out", bundle, "--report", page)],
        "audit check": [(bundle,), (EVIL,)],
        "privacy forgotten": [()],
        "privacy forget-again": [(bad,)],
        "projector parked list": [()],
        "projector parked retry": [("--all",)],
        "projector parked discard": [(parked, "--reason", EVIL), (EVIL, "--reason", EVIL)],
        "apply": [(bad,), (EVIL,)],
        "subscriptions list": [()],
        "subscriptions rewind": [("mails", 1), (EVIL, 1)],
        "subscriptions skip": [("mails", 2), (EVIL, 2)],
        "subscriptions remove": [("mails",), (EVIL,)],
        "projector run": [("--once",)],
        "projector rebuild": [("--accept",)],
        "retention run": [("--dry-run",), ()],
        "migrate roles": [("--print",)],
        "migrate down": [()],
        "migrate up": [()],
    }


NO_DATABASE = {"schema", "audit check"}
ELSEWHERE = {"demo": "it makes a database of its own, of texts of ours"}


@pytest.fixture(scope="module", params=BACKENDS)
def evil(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with lasting(request, tmp_path_factory) as backend:
        told = tell_spoiled(backend, lambda _, before, __: EVIL + before)
        assert {name for name in COMMANDS if has_text(name)} <= told
        append(backend.events(), event(uid("evil topic"), topic=EVIL, correlation_id="evil/1", actor=EVIL))
        Projector(backend.events(), backend.reads(), READ_MODEL, parks=True).catch_up()
        with connect(backend.url, project=False) as tiu_:
            next(iter(tiu_.subscribe("mails")))
        yield backend


def test_no_verb_is_forgotten(tmp_path: Path) -> None:
    assert {*verbs()} == {*calls("", "", "", tmp_path), *ELSEWHERE}


def test_no_terminal_obeys_a_text_and_json_gives_it_back(
    evil: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(output.console, "_force_terminal", True)
    monkeypatch.setattr(output.console, "_color_system", ColorSystem.TRUECOLOR)
    found: list[str] = []
    shown = 0
    for verb, ways in calls(str(every_table.PROJECT), str(every_table.RUN), str(uid("evil topic")), tmp_path).items():
        for way in ways:
            for form in [(), ("--json",)]:
                where = () if verb in NO_DATABASE else ("--db", evil.url)
                ran = tiu(*verb.split(), *way, *where, *form)
                told = f"{verb} {way} {form}"
                assert ran.status in (0, 1, 2), told
                for stream in (ran.out, ran.err, caplog.text):
                    if unseen := {c for c in STYLE.sub("", stream) if not c.isprintable() and c != "\n"}:
                        found.append(f"{told}: {unseen}: {stream!a:.3000}")
                caplog.clear()
                if (form and ran.status == 0 and "--print" not in way) or verb == "apply":
                    shown += sum(given_back(json.loads(line), told) for line in ran.out.splitlines())
    assert found == []
    assert shown > 100
    page = (tmp_path / "evil.html").read_text(encoding="utf-8")
    assert {c for c in page if not c.isprintable() and c != "\n"} == set()
    assert "DROP TABLE" in page
    assert "&lt;b&gt;&amp;amp;]]&gt;" in page
    assert "<b>&amp;]]>" not in page


def given_back(value: Any, where: str, key: str = "") -> int:
    """Check every text in JSON in which one of ours is, and return how many there are."""
    match value:
        case dict():
            return sum(given_back(name, where) + given_back(inner, where, name) for name, inner in value.items())
        case list():
            return sum(given_back(inner, where, key) for inner in value)
        case str() if value.startswith(('{"', '["')):  # JSON of SQLite's, as --sql finds it
            return given_back(json.loads(value), where, key)
        case str() if "DROP TABLE" in value and key not in IN_WORDS:
            assert EVIL in value, (where, key, value)
            return 1
    return 0


IN_WORDS = {"sentence", "message", "reason", "value", "field", "fault"}
"""What tells of a text in a sentence may show it escaped, or shortened."""
