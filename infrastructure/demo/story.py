"""A facts file as the story of a project: units of commands, each to be stored wholly or not at all.

Pure: the same facts make the same commands, ids included, so telling a story again stores nothing new.

A directory of Python files is a task; a revision that touches it claims a share of its progress, the last one completes
it; a month's first revision is followed by a validation run, which assesses every task by its files without findings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count
from uuid import UUID, uuid5

from ... import (
    AddTask,
    AssessTask,
    ClaimProgress,
    Command,
    CompleteRun,
    CompleteTask,
    CreateProject,
    CreateUser,
    ReportIssue,
    StartRun,
    StartTask,
)
from ...domain.values import Severity
from .facts import Change, Deletion, Facts, Finding, Revision, directory_of, is_python

Unit = list[Command]

DEMO = UUID("6f1c5e0e-7d0b-5b62-9a53-0f4f5a7a3c11")
"""The namespace of all ids that the demo makes."""
USERNAME = "demo"
USER_ID = uuid5(DEMO, f"user:{USERNAME}")
EMAIL = "demo@example.invalid"
PASSWORD_HASH = "$argon2id$v=19$m=65536,t=3,p=4$ZGVtby1kZW1vLWRlbW8$bm9ib2R5LWtub3dzLXRoaXMtcGFzc3dvcmQ"  # noqa: S105
MAX_UNIT = 1_000
"""How many commands at most a validation run's units have."""
SEVERITY: Mapping[str, Severity] = {"placeholder": "medium", "empty_function": "low"}


def create_user(facts: Facts) -> CreateUser:
    """Return the command that creates the user whom the demo's projects belong to."""
    return CreateUser(
        command_id=uuid5(project_id(facts), "command:user"),
        occurred_at=facts.revisions[0].at,
        user_id=USER_ID,
        username=USERNAME,
        email=EMAIL,
        password_hash=PASSWORD_HASH,
    )


def project_id(facts: Facts) -> UUID:
    """Return the id of the project of a facts file: the same content under the same name is the same project."""
    return uuid5(uuid5(DEMO, facts.sha256), f"project:{facts.name}")


def units(facts: Facts, user_id: UUID) -> Iterator[list[Unit]]:
    """Yield the units of each revision of a project of a user, in order."""
    story = Story(facts, user_id)
    for revision in facts.revisions:
        yield list(story.tell(revision))


def percent(part: int, whole: int) -> float:
    """Return 100 x part / whole, rounded to 2 decimals; 100 of nothing is all of it."""
    return round(100 * part / whole, 2) if whole else 100.0


class Story:
    """What is known when the story has been told up to a revision."""

    def __init__(self, facts: Facts, user_id: UUID) -> None:
        self._user_id = user_id
        self._name = facts.name
        self._project_id = project_id(facts)
        self._names = task_names(facts.revisions)
        self._touches = Counter(name for revision in facts.revisions for name in self._touched(revision))
        """task -> how many revisions touch it, in the whole story."""
        self._touched_so_far: Counter[str] = Counter()
        self._findings: dict[str, tuple[Finding, ...]] = {}
        """Python file that exists now -> what is to be found in it."""
        self._months: set[tuple[int, int]] = set()
        self._commands = count()
        self._tasks: dict[str, UUID] = {}
        """task -> its id, once it was added."""

    def tell(self, revision: Revision) -> Iterator[Unit]:
        """Yield the units of the next revision: its claims, and those of a validation run if it is a month's first."""
        created = [self._create_project(revision.at)] if not self._months else []
        self._apply(revision)
        if claims := [*created, *self._claims(revision)]:
            yield claims
        month = (revision.at.year, revision.at.month)
        if month not in self._months:
            self._months.add(month)
            yield from self._run(revision.at)

    def _id(self) -> UUID:
        """Return the next command_id."""
        return uuid5(self._project_id, f"command:{next(self._commands)}")

    def _create_project(self, at: datetime) -> Command:
        return CreateProject(
            command_id=self._id(),
            occurred_at=at,
            project_id=self._project_id,
            user_id=self._user_id,
            name=self._name,
        )

    def _touched(self, revision: Revision) -> set[str]:
        return {directory_of(change.path) for change in revision.files} & self._names

    def _apply(self, revision: Revision) -> None:
        for change in last_of_each_path(revision.files).values():
            if is_python(change.path):
                if change.status == "D":
                    self._findings.pop(change.path, None)
                else:
                    self._findings[change.path] = change.findings

    def _claims(self, revision: Revision) -> Iterator[Command]:
        at = revision.at
        for name in sorted(self._touched(revision)):
            if name not in self._tasks:
                task_id = self._tasks[name] = uuid5(self._project_id, f"task:{name}")
                yield AddTask(
                    command_id=self._id(), occurred_at=at, task_id=task_id, project_id=self._project_id, name=name
                )
                yield StartTask(command_id=self._id(), occurred_at=at, task_id=task_id)
            task_id = self._tasks[name]
            self._touched_so_far[name] += 1
            done, all_ = self._touched_so_far[name], self._touches[name]
            if done == all_:
                yield CompleteTask(command_id=self._id(), occurred_at=at, task_id=task_id)
            else:
                yield ClaimProgress(command_id=self._id(), occurred_at=at, task_id=task_id, claimed=percent(done, all_))

    def _run(self, at: datetime) -> Iterator[Unit]:
        """Yield a validation run, in units of at most MAX_UNIT commands."""
        unit: Unit = []
        for command in self._run_commands(at):
            unit.append(command)
            if len(unit) == MAX_UNIT:
                yield unit
                unit = []
        if unit:
            yield unit

    def _run_commands(self, at: datetime) -> Iterator[Command]:
        run_id = uuid5(self._project_id, f"run:{at.year}-{at.month:02}")
        yield StartRun(
            command_id=self._id(),
            occurred_at=at,
            run_id=run_id,
            project_id=self._project_id,
            validation_type="scheduled",
        )
        yield from self._assessments(run_id, at)
        for path in sorted(self._findings):
            for index, finding in enumerate(self._findings[path]):
                yield self._report(run_id, at, path, index, finding)
        dirty = sum(1 for findings in self._findings.values() if findings)
        yield CompleteRun(
            command_id=self._id(),
            occurred_at=at,
            run_id=run_id,
            quality_score=percent(len(self._findings) - dirty, len(self._findings)),
            quality_metrics={
                "files": len(self._findings),
                "files_with_findings": dirty,
                "findings": sum(map(len, self._findings.values())),
            },
        )

    def _assessments(self, run_id: UUID, at: datetime) -> Iterator[Command]:
        files = Counter(map(directory_of, self._findings))
        clean = Counter(directory_of(path) for path, findings in self._findings.items() if not findings)
        for name in sorted(self._tasks):
            yield AssessTask(
                command_id=self._id(),
                occurred_at=at,
                run_id=run_id,
                task_id=self._tasks[name],
                authenticity=percent(clean[name], files[name]),
            )

    def _report(self, run_id: UUID, at: datetime, path: str, index: int, finding: Finding) -> Command:
        return ReportIssue(
            command_id=self._id(),
            occurred_at=at,
            run_id=run_id,
            issue_id=uuid5(run_id, f"issue:{index}:{path}"),
            task_id=self._tasks[directory_of(path)],
            issue_type=finding.type,
            severity=SEVERITY[finding.type],
            description=f"{finding.type} at {path}:{finding.line}",
            file_path=path,
            line_number=finding.line,
        )


def last_of_each_path(changes: Iterable[Change | Deletion]) -> Mapping[str, Change | Deletion]:
    """Return path -> its change: of a path that is listed twice the last counts."""
    return {change.path: change for change in changes}


def task_names(revisions: Iterable[Revision]) -> frozenset[str]:
    """Return the directories that ever hold a Python file."""
    return frozenset(
        directory_of(path)
        for revision in revisions
        for path, change in last_of_each_path(revision.files).items()
        if change.status != "D" and is_python(path)
    )
