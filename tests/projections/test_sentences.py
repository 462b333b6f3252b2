"""Every event means something in words, in one plain sentence that holds nothing personal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from claude_tiu.domain.project_file import ProjectFile
from claude_tiu.domain.project_state import Project
from claude_tiu.domain.registry import AGGREGATE_OF, EVENTS
from claude_tiu.domain.task import Task
from claude_tiu.projections.sentences import SENTENCES, number, sentence
from tests.domain.golden import EXAMPLES

TOPICS = sorted(EVENTS)
PROJECT = UUID(int=1)
STATES: dict[str, Any] = {
    "task": Task(PROJECT, "Parser", "high"),
    "project": Project(UUID(int=2), "Billing", "active"),
    "project_file": ProjectFile(PROJECT, "src/a.py", "created"),
}


def test_no_event_of_the_registry_lacks_a_sentence() -> None:
    assert set(SENTENCES) == set(EVENTS.values())


@pytest.mark.parametrize("known", [True, False], ids=["state known", "state unknown"])
@pytest.mark.parametrize("topic", TOPICS)
def test_it_is_one_sentence(topic: str, known: bool) -> None:
    event = EXAMPLES[topic]
    said = sentence(event, STATES.get(AGGREGATE_OF[type(event)].name) if known else None)
    assert said[0].isupper() or said[0].isdigit()
    assert said.endswith(".")
    assert not said.endswith("..")
    assert "\n" not in said
    assert "None" not in said


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if EVENTS[topic].personal])
def test_nothing_personal_is_said(topic: str) -> None:
    event = EXAMPLES[topic]
    for name in event.personal:
        assert str(getattr(event, name)) not in sentence(event, None)


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("task.progress_claimed.v1", '33.333333 % of task "Parser" was claimed.'),
        ("task.completed.v1", 'Task "Parser" was declared completed, which claims 100 %.'),
        ("project.archived.v1", 'Project "Billing" was archived.'),
        ("project_file.modified.v1", 'File "src/a.py" was given other content: 16 bytes.'),
        ("project_file.validated.v1", 'File "src/a.py" passed its validation: 99.5 %.'),
        ("validation_run.completed.v1", "The validation run was completed: quality 70 %; 2 assessments took effect."),
        ("user.forgotten.v1", "The user was forgotten: the key of what is personal was destroyed."),
        ("retention.ran.v1", "Retention ran over the read tables."),
    ],
)
def test_it_names_what_the_event_is_about(topic: str, said: str) -> None:
    event = EXAMPLES[topic]
    assert sentence(event, STATES.get(AGGREGATE_OF[type(event)].name)) == said


@pytest.mark.parametrize(
    ("value", "read"), [(60.0, "60"), (0.1 + 0.2, "0.30000000000000004"), (-0.5, "-0.5"), (1e300, "1e+300"), (7, "7")]
)
def test_a_number_is_exact_and_has_no_empty_decimals(value: float, read: str) -> None:
    assert number(value) == read
