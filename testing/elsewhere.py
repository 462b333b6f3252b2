"""Another process, whose clock and hash seed are its own: what is projected there must be the same.

`main` answers what comes to its standard input: (where modules are, the projection's module and name, events) pickled,
with the tables that they make.
"""

from __future__ import annotations

import atexit
import datetime
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from ..domain.messages import Recorded
from ..projections.projection import Projection
from .exact import exactly
from .memory import Memory
from .rows import BrokenProjection, Projected

REAL = datetime.datetime
REAL_DATE = datetime.date
YEARS = 100


class LikeReal(type):
    """Every real time, or date, is an instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])


class LaterTime(REAL, metaclass=LikeReal):
    """A clock that is a hundred years ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        now: Any = REAL.now(tz)
        return now.replace(year=now.year + YEARS)  # type: ignore[no-any-return]


class LaterDate(REAL_DATE, metaclass=LikeReal):
    """A calendar that is a hundred years ahead."""

    @classmethod
    def today(cls) -> Self:
        today: Any = REAL_DATE.today()
        return today.replace(year=today.year + YEARS)  # type: ignore[no-any-return]


def set_clocks_ahead(*packages: str) -> None:
    """Give the code of some packages another clock, wherever it looks for one."""
    real = time.time
    time.time = lambda: real() + YEARS * 365 * 86_400
    for name, module in list(sys.modules.items()):
        if name.startswith(packages) and module is not None:
            for attribute, later in (("datetime", LaterTime), ("date", LaterDate)):
                if vars(module).get(attribute) in (REAL, REAL_DATE):
                    vars(module)[attribute] = later


class Elsewhere:
    """The other process."""

    def __init__(self) -> None:
        seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and nothing of what is tested
            [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        atexit.register(self.close)

    def tables(self, module: str, name: str, events: Sequence[Recorded]) -> str:
        """Return the tables that a module's projection makes of events there, exactly. Raises BrokenProjection."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        with self._lock:
            path = [str(Path(folder).absolute()) for folder in sys.path]
            pickle.dump((path, module, name, list(events)), asked)
            asked.flush()
            told, broken = pickle.load(answers)  # noqa: S301 - of a process of our own
        if broken is not None:
            raise BrokenProjection(f"in another process: {broken}")
        found: str = told
        return found

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@cache
def elsewhere() -> Elsewhere:
    """Return the other process of this one."""
    return Elsewhere()


def name_of(projection: Projection) -> tuple[str, str]:
    """Return the module and the name by which a projection can be imported. Raises ValueError where there is none."""
    for module, loaded in list(sys.modules.items()):
        for name, value in list(getattr(loaded, "__dict__", {}).items()):
            if value is projection and module != "__main__":
                return module, name
    raise ValueError(
        f"{projection.name} cannot be imported in another process: define it at the top level of a module, or give "
        "another_process=False"
    )


def main() -> None:
    """Answer until there is nothing more to answer."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # what a handler prints is no answer
    while True:
        try:
            sys.path[:], module, name, events = pickle.load(asked)  # noqa: S301 - of the process that started this one
        except EOFError:
            return
        pickle.dump(_answer(module, name, events), answers)
        answers.flush()


def _answer(module: str, name: str, events: Sequence[Recorded]) -> tuple[str | None, str | None]:
    try:
        projection, memory = _found(module, name)
        memory.put_back()
        return exactly(replayed(projection, events).by_key()), None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return None, f"{type(error).__name__}: {error}"


@cache
def _found(module: str, name: str) -> tuple[Projection, Memory]:
    found: Projection = getattr(import_module(module), name)
    set_clocks_ahead(*{getattr(handler, "__module__", module) for handler in found.handlers.values()})
    return found, Memory(found.handlers.values())


def replayed(projection: Projection, events: Sequence[Recorded]) -> Projected:
    """Return a projection's tables as events make them, one after the other, in memory."""
    projected = Projected(projection)
    for recorded in events:
        projected.take(recorded)
    return projected
