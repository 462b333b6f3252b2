"""docs/reference says what the code says."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from claude_tiu.domain.registry import COMMANDS, EVENTS
from claude_tiu.infrastructure.cli.app import app
from claude_tiu.infrastructure.settings import Settings
from claude_tiu.projections.tables import PRIVATE_TABLES, READ_TABLES
from tests.docs.generate_reference import NULLABLE, PAGES, REFERENCE
from tests.docs.meanings import FIELDS, SETTINGS, TABLES


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run `python -m tests.docs.generate_reference`"


def test_every_reference_page_is_generated() -> None:
    assert {path.name for path in REFERENCE.glob("*")} == set(PAGES)


def test_every_meaning_is_of_something_that_is_there() -> None:
    fields = {name for model in (*COMMANDS.values(), *EVENTS.values()) for name in model.model_fields}
    tables = {table.name: table for table in (*READ_TABLES, *PRIVATE_TABLES)}
    assert set(FIELDS) == fields
    assert set(SETTINGS) == set(Settings.model_fields)
    assert set(TABLES) == set(tables)
    assert [pair for pair in NULLABLE if pair[1] not in tables[pair[0]].columns] == []


def verbs(command: Any) -> list[Any]:
    inner = getattr(command, "commands", None)
    return [command] if inner is None else [verb for sub in inner.values() for verb in verbs(sub)]


def test_every_verb_and_every_option_is_described() -> None:
    found = verbs(typer.main.get_command(app))
    assert [verb.name for verb in found if not verb.help] == []
    assert [(verb.name, p.name) for verb in found for p in verb.params if not p.help] == []


def test_every_verb_has_json() -> None:
    found = verbs(typer.main.get_command(app))
    assert [verb.name for verb in found if not any("--json" in p.opts for p in verb.params)] == []
