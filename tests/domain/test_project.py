"""A project: its statuses × its commands, and who may have one."""

from __future__ import annotations

from itertools import product

import pytest

from claude_tiu.domain.errors import AlreadyExists, NotFound, WrongStatus
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.project import (
    PROJECT,
    CompleteProject,
    CreateProject,
    FailProject,
    ProjectCompleted,
    ProjectCreated,
    ProjectFailed,
    ProjectReactivated,
    ReactivateProject,
)
from tests.domain.given import AT, EARLIER, NEW_ID, NOBODY, PROJECT_ID, USER_ID, given, project

CREATED = ProjectCreated(
    occurred_at=EARLIER, user_id=USER_ID, name="Billing", description=None, configuration={}, metadata={}
)
HISTORY: dict[str, list[Event]] = {
    "active": [CREATED],
    "completed": [CREATED, ProjectCompleted(occurred_at=EARLIER)],
    "failed": [CREATED, ProjectFailed(occurred_at=EARLIER, reason=None)],
}
STATUSES = (*HISTORY, "archived")

COMPLETE = CompleteProject(project_id=PROJECT_ID)
FAIL = FailProject(project_id=PROJECT_ID, reason="no money")
REACTIVATE = ReactivateProject(project_id=PROJECT_ID)
COMMANDS: tuple[Command, ...] = (COMPLETE, FAIL, REACTIVATE)

COMPLETED = ProjectCompleted(occurred_at=AT)
FAILED = ProjectFailed(occurred_at=AT, reason="no money")
REACTIVATED = ProjectReactivated(occurred_at=AT)

ALLOWED: dict[tuple[str, type[Command]], tuple[Event, str]] = {
    ("active", CompleteProject): (COMPLETED, "completed"),
    ("active", FailProject): (FAILED, "failed"),
    ("completed", ReactivateProject): (REACTIVATED, "active"),
    ("failed", ReactivateProject): (REACTIVATED, "active"),
}
"""The domain rules' table; all else is refused."""


def test_the_table_knows_every_command_of_a_project() -> None:
    assert {type(command) for command in COMMANDS} == set(PROJECT.commands) - {CreateProject}


@pytest.mark.parametrize(
    ("status", "command"),
    list(product(STATUSES, COMMANDS)),
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_statuses_and_commands(status: str, command: Command) -> None:
    """No event archives a project yet: that status is given as a state."""
    before = given(PROJECT, HISTORY[status]) if status in HISTORY else given(PROJECT, state=project(status))
    when = before.when(command)
    if allowed := ALLOWED.get((status, type(command))):
        event, after = allowed
        assert when.then([event]).status == after
    else:
        when.then_refused(WrongStatus, id=PROJECT_ID, status=status, command=type(command).__name__)


def test_a_user_creates_an_active_project() -> None:
    command = CreateProject(
        project_id=PROJECT_ID,
        user_id=USER_ID,
        name="Billing",
        description="Invoices",
        configuration={"lang": "py"},
        metadata={"team": 7},
    )
    created = ProjectCreated(
        occurred_at=AT,
        user_id=USER_ID,
        name="Billing",
        description="Invoices",
        configuration={"lang": "py"},
        metadata={"team": 7},
    )
    assert given(PROJECT).when(command).then([created]) == project("active")


def test_a_new_id_may_be_left_out() -> None:
    command = CreateProject(user_id=USER_ID, name="Billing")
    given(PROJECT).when(command).then([CREATED.model_copy(update={"occurred_at": AT})])
    assert command.stamped(at=AT, command_id=NEW_ID, new_id=NEW_ID).project_id == NEW_ID


def test_a_project_keeps_the_id_and_the_time_that_it_was_given() -> None:
    command = CreateProject(project_id=PROJECT_ID, user_id=USER_ID, name="Billing", occurred_at=EARLIER)
    given(PROJECT).when(command).then([CREATED])
    assert command.stamped(at=AT, command_id=NEW_ID, new_id=NEW_ID).project_id == PROJECT_ID


def test_a_project_belongs_to_a_user_that_exists() -> None:
    given(PROJECT).when(CreateProject(user_id=NOBODY, name="Billing")).then_refused(NotFound, id=NOBODY)


@pytest.mark.parametrize("status", STATUSES)
def test_an_id_is_given_once_whatever_the_status(status: str) -> None:
    command = CreateProject(project_id=PROJECT_ID, user_id=USER_ID, name="Billing")
    given(PROJECT, state=project(status)).when(command).then_refused(AlreadyExists, id=PROJECT_ID)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_what_does_not_exist_takes_no_command(command: Command) -> None:
    given(PROJECT).when(command).then_refused(NotFound, id=PROJECT_ID)


def test_a_refused_command_names_the_statuses_that_would_do() -> None:
    refusal = given(PROJECT, [CREATED]).when(REACTIVATE).then_refused(WrongStatus)
    assert refusal.details["allowed"] == ["completed", "failed"]
    assert refusal.message == f"ReactivateProject: project {PROJECT_ID} is active, and should be completed or failed"
