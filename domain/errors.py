"""The refusals of the domain: each names its rule, the ids and the values it was about.

A refused command stores nothing. `code` is the rule's name and part of the public face; `details` is JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


class TiuError(Exception):
    """The base of every error that claude-tiu raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = {name: str(value) if not _is_json(value) else value for name, value in details.items()}

    def as_json(self) -> dict[str, Any]:
        """Return {"code", "message", "details"}, ready for JSON."""
        return {"code": self.code, "message": self.message, "details": self.details}


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | list | dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a command: the field (dotted path), what is wrong, and the value as it was given."""

    field: str
    message: str
    value: str | None = None

    def __str__(self) -> str:
        given = f" (given {self.value})" if self.value is not None else ""
        return f"{self.field}: {self.message}{given}" if self.field else f"{self.message}{given}"


MOST_FAULTS = 100


class InvalidCommand(TiuError):
    """Bad input at the command's door; `faults` lists all of them: the first 100, and how many more there are."""

    code = "invalid_command"

    def __init__(self, command: str | None, faults: Sequence[Fault]) -> None:
        if len(faults) > MOST_FAULTS:
            more = len(faults) - MOST_FAULTS
            faults = [*faults[:MOST_FAULTS], Fault("", f"and {more:,} more faults")]
        said = "; ".join(map(str, faults))
        message = f"{command}: {said}" if command else said
        super().__init__(message, command=command, faults=[asdict(fault) for fault in faults])
        self.faults = tuple(faults)


class Refused(TiuError):
    """A well-formed command that the rules do not allow now."""

    code = "refused"


class NotFound(Refused):
    """An id that names nothing of the kind."""

    code = "not_found"


class AlreadyExists(Refused):
    """A new id that something has already."""

    code = "already_exists"


class WrongStatus(Refused):
    """The status does not allow the command (docs/reference/commands.md has the table)."""

    code = "wrong_status"


class UnmetDependencies(Refused):
    """A task whose 'blocks' or 'requires' dependencies are not all completed may not come into progress; nor may a
    step of a workflow run before those that it depends on are."""

    code = "unmet_dependencies"


class NothingReady(Refused):
    """No task of the project is ready that the agent may be given, under what it asked for."""

    code = "nothing_ready"


class NotAssigned(Refused):
    """The agent does not hold the task: it never did, or its claim has run out, or somebody else has taken the task out
    of progress."""

    code = "not_assigned"


class NothingOverdue(Refused):
    """No assignment's deadline has passed."""

    code = "nothing_overdue"


class DependencyCycle(Refused):
    """A dependency that would close a cycle, of any length and over any type."""

    code = "dependency_cycle"


class DuplicateDependency(Refused):
    """Each pair of tasks depends once."""

    code = "duplicate_dependency"


class OutsideProject(Refused):
    """Dependencies, assessments and issues stay inside their project."""

    code = "outside_project"


class NotUnique(Refused):
    """A value that must be unique in the whole store, and is taken (a user name, an email, an issue's id)."""

    code = "not_unique"


class LimitReached(Refused):
    """More than a bound allows: of a number, or of what two commands bring together."""

    code = "limit_reached"


class EmptyWorkflow(Refused):
    """A workflow without steps has nothing to run, and may not be activated."""

    code = "empty_workflow"


class NoOwner(Refused):
    """A template that nobody owns is public: there is nobody to keep it for."""

    code = "no_owner"


class OpenWork(Refused):
    """A project in which an assignment or a validation run is open may not be archived."""

    code = "open_work"


class PrivateTemplate(Refused):
    """A template that is not public is for its owner's projects alone."""

    code = "private_template"


class StaleVersion(Refused):
    """The stream is not at the command's expected_version."""

    code = "stale_version"


class Expired(Refused):
    """A session can neither start at or behind its own end, nor be ended once that has come."""

    code = "expired"


class CommandIdReused(Refused):
    """A command_id seen before with other content, or a unit of which only some command_ids are known."""

    code = "command_id_reused"
