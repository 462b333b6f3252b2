"""A project: its statuses × its commands, and who may have one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from claude_tiu.domain.agenda import ASSIGNMENT, COMPLETED_PROJECT, OPEN_RUN
from claude_tiu.domain.errors import AlreadyExists, NotFound, OpenWork, WrongStatus
from claude_tiu.domain.messages import Command, Event
from claude_tiu.domain.project import (
    PROJECT,
    ArchiveProject,
    CompleteProject,
    CreateProject,
    FailProject,
    ProjectArchived,
    ProjectCompleted,
    ProjectCreated,
    ProjectFailed,
    ProjectReactivated,
    ProjectRestored,
    ReactivateProject,
    RestoreProject,
)
from tests.domain.given import (
    AT,
    EARLIER,
    NEW_ID,
    NOBODY,
    OTHER_PROJECT_ID,
    PROJECT_ID,
    RUN_ID,
    USER_ID,
    Entry,
    given,
    project,
    world,
)

CREATED = ProjectCreated(
    occurred_at=EARLIER, user_id=USER_ID, name="Billing", description=None, configuration={}, metadata={}
)
HISTORY: dict[str, list[Event]] = {
    "active": [CREATED],
    "completed": [CREATED, ProjectCompleted(occurred_at=EARLIER)],
    "failed": [CREATED, ProjectFailed(occurred_at=EARLIER, reason=None)],
    "archived": [CREATED, ProjectArchived(occurred_at=EARLIER)],
}
STATUSES = tuple(HISTORY)

COMPLETE = CompleteProject(project_id=PROJECT_ID)
FAIL = FailProject(project_id=PROJECT_ID, reason="no money")
REACTIVATE = ReactivateProject(project_id=PROJECT_ID)
ARCHIVE = ArchiveProject(project_id=PROJECT_ID)
RESTORE = RestoreProject(project_id=PROJECT_ID)
COMMANDS: tuple[Command, ...] = (COMPLETE, FAIL, REACTIVATE, ARCHIVE, RESTORE)

COMPLETED = ProjectCompleted(occurred_at=AT)
FAILED = ProjectFailed(occurred_at=AT, reason="no money")
REACTIVATED = ProjectReactivated(occurred_at=AT)
ARCHIVED = ProjectArchived(occurred_at=AT)
RESTORED = ProjectRestored(occurred_at=AT)

ALLOWED: dict[tuple[str, type[Command]], tuple[Event, str]] = {
    ("active", CompleteProject): (COMPLETED, "completed"),
    ("active", FailProject): (FAILED, "failed"),
    ("completed", ReactivateProject): (REACTIVATED, "active"),
    ("failed", ReactivateProject): (REACTIVATED, "active"),
    ("active", ArchiveProject): (ARCHIVED, "archived"),
    ("completed", ArchiveProject): (ARCHIVED, "archived"),
    ("failed", ArchiveProject): (ARCHIVED, "archived"),
    ("archived", RestoreProject): (RESTORED, "active"),
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
    when = given(PROJECT, HISTORY[status]).when(command)
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


@pytest.mark.parametrize("status", ["active", "completed", "failed"])
@pytest.mark.parametrize("kinds", [[ASSIGNMENT], [OPEN_RUN], [ASSIGNMENT, OPEN_RUN]], ids=" and ".join)
def test_a_project_in_which_work_is_open_is_not_archived(status: str, kinds: list[str]) -> None:
    entries = tuple(Entry(kind, RUN_ID, PROJECT_ID, EARLIER) for kind in kinds)
    before = given(PROJECT, HISTORY[status], reads=replace(world(), agenda=entries))
    refusal = before.when(ARCHIVE).then_refused(OpenWork, id=PROJECT_ID, open=kinds)
    assert all(kind.replace("_", " ") in refusal.message for kind in kinds)


def test_what_is_open_in_another_project_or_only_due_keeps_none_from_it() -> None:
    entries = (
        Entry(OPEN_RUN, RUN_ID, OTHER_PROJECT_ID, EARLIER),
        Entry(COMPLETED_PROJECT, PROJECT_ID, PROJECT_ID, EARLIER),
    )
    given(PROJECT, HISTORY["completed"], reads=replace(world(), agenda=entries)).when(ARCHIVE).then([ARCHIVED])


def test_what_is_open_is_asked_exclusively() -> None:
    """No guard holds it: a run that starts leaves the project's stream alone."""
    assert ArchiveProject.exclusive


def test_a_restored_project_is_as_it_was_but_active() -> None:
    events = [*HISTORY["completed"], ARCHIVED, RESTORED]
    assert given(PROJECT, events).when(COMPLETE).then([COMPLETED]) == project("completed")
    assert given(PROJECT, events).state == project("active")
