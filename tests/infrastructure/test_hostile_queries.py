"""Every question of the read side, asked of texts that mean something to a database, and with them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import pytest

from claude_tiu import connect
from claude_tiu.infrastructure.errors import InvalidQuery
from claude_tiu.infrastructure.queries import Queries
from tests.support.every_table import PROJECT, USER, WORKFLOW_RUN
from tests.support.history import START, uid
from tests.support.spoiling import tell_spoiled
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend

TEXT = '\';DROP TABLE x;--%s :n $1 ? \\ "q" {0} <b>&amp;]]> \x1b[2J\x07\r\n\x9b1m\u202eR\u2066\u200b\ufeff\u2028é𝄞 '
ASKED: dict[str, list[dict[str, Any]]] = {
    "dashboard": [{"user_id": USER}],
    "projects": [{}],
    "project": [{"project_id": PROJECT}],
    "user_id": [{"username": f"{TEXT}ada"}, {"username": TEXT}],
    "tasks": [{"project_id": PROJECT}],
    "ready_tasks": [{"project_id": PROJECT}],
    "validation_issues": [{"until": START + timedelta(days=9), "within": timedelta(days=9)}],
    "reports": [{"project_id": PROJECT}],
    "open_issues": [{"project_id": PROJECT}],
    "assignments": [{"project_id": PROJECT}],
    "file_content": [{"project_id": PROJECT, "file_path": TEXT}],
    "metrics": [
        {"project_id": uid("other project"), "metric_name": f"{TEXT}velocity"},
        {"project_id": PROJECT, "metric_name": TEXT},
    ],
    "counts": [{"project_id": PROJECT}],
    "cleanup_log": [{}],
    "workflow_run": [{"run_id": WORKFLOW_RUN}],
    "ready_steps": [{"run_id": WORKFLOW_RUN}],
    "search_projects": [{"text": "drop table"}, {"text": TEXT}, {"text": '* OR NEAR(a b) "x" AND -é ^y:z'}],
    "search_files": [{"text": "drop table"}, {"text": TEXT}],
}


def texts(value: Any) -> list[str]:
    """Every text in a row or in JSON, keys too."""
    if is_dataclass(value):
        return [text for field in fields(value) for text in texts(getattr(value, field.name))]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def test_none_is_forgotten() -> None:
    assert {name for name in vars(Queries) if not name.startswith("_")} == ASKED.keys()


def test_every_answer_is_the_same_on_both_stores_and_has_the_texts_as_they_were_given(
    sqlite: SQLiteBackend, postgresql: PostgreSQLBackend
) -> None:
    answers: list[dict[str, Any]] = []
    stores: tuple[Backend, ...] = (sqlite, postgresql)
    for backend in stores:
        tell_spoiled(backend, lambda _, before, __: TEXT + before)
        with connect(backend.url, project=False) as tiu:
            answers.append(
                {f"{name} {way}": getattr(tiu.read, name)(**way) for name, ways in ASKED.items() for way in ways}
            )
    one, other = answers
    found = 0
    for asked, rows in one.items():
        assert rows == other[asked], asked
        ours = [text for text in texts(rows) if "DROP" in text]
        assert [text for text in ours if TEXT not in text] == [], asked
        found += len(ours)
    assert found > 50
    assert [way for way in ("search_projects", "search_files") if not one[f"{way} {ASKED[way][0]}"]] == []


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 1_001])
def test_what_no_database_could_look_for_is_refused_alike(backend: Backend, text: str) -> None:
    with connect(backend.url, project=False) as tiu:
        for ask in (tiu.read.search_projects, tiu.read.search_files):
            with pytest.raises(InvalidQuery):
                ask(text)
        if len(text) < 1_000:
            for asked in (lambda: tiu.read.user_id(text), lambda: tiu.read.metrics(PROJECT, text)):
                with pytest.raises(InvalidQuery):
                    asked()
