"""A connection that has done something of everything that is measured."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from uuid import uuid4

from claude_tiu import CompleteTask, CreateProject, StoreUnavailable, TaskAdded, Tiu, TiuError
from tests.support.history import USER, create_user, plan, work
from tests.support.stores import append, event


def keep_busy(tiu: Tiu) -> None:
    """Have commands accepted, repeated, refused and failed; project; park a unit; rebuild, and fail to."""
    tiu.execute_all([*plan()])
    for command in islice(work(), 8):
        tiu.execute(command)
    retried = CreateProject(user_id=USER, name="Payroll", command_id=uuid4())
    tiu.execute_all([retried])
    tiu.execute_all([retried])
    with suppress(TiuError):
        tiu.execute(create_user())
    with suppress(TiuError):
        tiu.execute(CompleteTask(task_id=uuid4()))
    _fail(tiu)
    append(tiu.events, event(topic="nobody.knows.v1"))
    tiu.catch_up()
    for _ in tiu.subscribe("mails", TaskAdded, until_end=True):
        pass
    with suppress(ZeroDivisionError):
        tiu.rebuild(progress=_break)
    tiu.rebuild()


def _break(_: object) -> None:
    raise ZeroDivisionError


def _fail(tiu: Tiu) -> None:
    """Have a command fail as it does where the database is away."""
    stored = tiu.events.append

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    tiu.events.append = away  # type: ignore[method-assign,assignment]
    with suppress(StoreUnavailable):
        tiu.execute(create_user("nobody"))
    tiu.events.append = stored  # type: ignore[method-assign]
