"""How `tiu` is called: everything is documented, and whoever calls it wrongly is told so in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from claude_tiu.domain.registry import COMMANDS, command_schema
from claude_tiu.infrastructure.cli.app import app
from tests.cli.running import done, refused, tiu
from tests.cli.story import PROJECT

WITHOUT_DATABASE = {"schema", "audit check"}
Verb = tuple[str, Any]


def verbs(command: Any, name: str = "") -> Iterator[Verb]:
    """Yield every verb and every group of verbs, by its full name."""
    for part, inner in getattr(command, "commands", {}).items():
        full = f"{name} {part}".strip()
        yield full, inner
        yield from verbs(inner, full)


EVERY: dict[str, Any] = dict(verbs(typer.main.get_command(app)))
LEAVES = {name: command for name, command in EVERY.items() if not hasattr(command, "commands")}


def test_the_verbs_are_these() -> None:
    assert sorted(LEAVES) == [
        "apply",
        "audit as-of",
        "audit chain",
        "audit check",
        "audit export",
        "audit history",
        "audit seal",
        "audit verify",
        "demo",
        "doctor",
        "migrate down",
        "migrate roles",
        "migrate status",
        "migrate up",
        "privacy forget-again",
        "privacy forgotten",
        "projector parked discard",
        "projector parked list",
        "projector parked retry",
        "projector rebuild",
        "projector run",
        "projector status",
        "retention run",
        "schema",
        "show dashboard",
        "show indexes",
        "show issues",
        "show metrics",
        "show ready",
        "show search",
        "show sizes",
        "show slow",
        "subscriptions list",
        "subscriptions remove",
        "subscriptions rewind",
        "subscriptions skip",
    ]


@pytest.mark.parametrize("verb", EVERY)
def test_a_verb_its_arguments_and_its_options_are_documented(verb: str) -> None:
    command = EVERY[verb]

    assert (command.help or "").strip()
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize("verb", LEAVES)
def test_a_verb_takes_json_and_a_database(verb: str) -> None:
    options = {option for parameter in LEAVES[verb].params for option in parameter.opts}

    assert "--json" in options
    assert ("--db" in options) == (verb not in WITHOUT_DATABASE)


@pytest.mark.parametrize("verb", ["", *EVERY])
def test_help_is_printed(verb: str) -> None:
    ran = done(*verb.split(), "--help")

    assert ran.out.startswith(f"Usage: tiu {verb}".strip())
    assert "--help" in ran.out


@pytest.mark.parametrize("group", ["", *sorted(set(EVERY) - set(LEAVES))])
def test_a_list_of_verbs_says_what_each_does_in_a_whole_sentence(group: str) -> None:
    listed = done(*group.split(), "--help").out.partition("Commands:\n")[2].splitlines()

    inner = {name.removeprefix(group).strip() for name in EVERY if name.rpartition(" ")[0] == group}
    assert {line.split()[0] for line in listed} == inner
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("verb", ["", "show", "migrate", "projector"])
def test_a_group_alone_shows_how_it_is_used(verb: str) -> None:
    ran = tiu(*verb.split())

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Usage: tiu")


@pytest.mark.parametrize(
    "arguments",
    [
        ("dance",),
        ("--version",),
        ("--json",),
        ("show", "dance"),
        ("show", "ready"),
        ("show", "metrics"),
        ("show", "ready", "no uuid"),
        ("show", "ready", ""),
        ("show", "ready", PROJECT, PROJECT),
        ("show", "metrics", "[bold]\x1b\n"),
        ("show", "dashboard", "extra"),
        ("show", "dashboard", "--limit", "0"),
        ("show", "dashboard", "--limit", "many"),
        ("show", "dashboard", "--limit", "1000001"),
        ("show", "dashboard", "--limit"),
        ("show", "issues", "--hours", "nan"),
        ("show", "issues", "--hours", "inf"),
        ("show", "issues", "--hours", "-1"),
        ("show", "issues", "--dance"),
        ("show", "sizes", "--limit", "0"),
        ("doctor", "nurse"),
        ("apply",),
        ("apply", "-", "-"),
        ("schema", "AddTask", "StartTask"),
        ("migrate", "up", "--db"),
        ("migrate", "down", "011", "012"),
        ("migrate", "sideways"),
        ("projector", "run", "--once=3"),
        ("projector", "run", "--once", "--metrics", "9464"),
    ],
    ids=ascii,
)
def test_a_wrong_call_is_told_in_one_line(arguments: tuple[str, ...]) -> None:
    assert refused(*arguments, status=2).endswith("see --help\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_schema_prints_a_commands_schema(name: str) -> None:
    expected = command_schema(name)

    assert done("schema", name, "--json").json == expected
    assert expected["properties"]["command"] == {"const": name}


def test_schema_prints_one_for_people_too() -> None:
    ran = done("schema", "AddTask")

    assert len(ran.lines) > 10
    assert json.loads(ran.out) == command_schema("AddTask")


def test_schema_without_a_name_prints_all() -> None:
    assert done("schema", "--json").json == {name: command_schema(name) for name in COMMANDS}

    table = done("schema")
    named = [row.split()[0] for row in table.rows if row[: table.column("what")].strip()]
    assert named == list(COMMANDS)
    assert all(len(line.rstrip()) <= 80 for line in table.lines)


@pytest.mark.parametrize("name", ["Nothing", "addtask", "", "[bold]", "\udcff", "x" * 10_000])
def test_schema_of_no_command_is_refused(name: str) -> None:
    line = refused("schema", name)

    assert "unknown" in line
    assert len(line) < 300


def test_a_file_that_cannot_be_read_is_refused(shared: Any) -> None:
    assert "No such file" in refused("apply", "missing.jsonl", "--db", shared.url)
    assert "directory" in refused("apply", ".", "--db", shared.url)
