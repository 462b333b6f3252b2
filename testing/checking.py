"""Whether a projection's tables are the same whatever happens to its projector, found out with drawn histories."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any, NamedTuple, cast
from uuid import UUID

import hypothesis
from hypothesis import strategies as st

from ..domain.errors import TiuError
from ..infrastructure.own import require_good
from ..infrastructure.projector import Projector
from ..infrastructure.read_store import Checkpoint, ReadStore
from ..infrastructure.sqlite.scratch import Scratch
from ..projections.fold import Step
from ..projections.projection import Projection, Row, Table
from ..projections.read_model import READ_MODEL
from .elsewhere import elsewhere, name_of
from .exact import exactly
from .histories import ANY, Plan, fewest_first, told
from .histories import histories as any_histories
from .history import History
from .log import HistoryLog
from .memory import Memory
from .operations import OPERATIONS, InMemory
from .rows import BrokenProjection, Projected, fitting
from .stores import tables_on

SETTINGS = hypothesis.settings(
    hypothesis.settings.get_profile("default"),
    max_examples=50,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
)
CRASHES = ("before", "within", "after")


class Batch(NamedTuple):
    """A batch that the projector takes: of how many events, and where it crashes: before it is written, within the
    transaction, or when it is written and nobody knows."""

    size: int = 1
    crash: str | None = None


EVERYTHING = (Batch(1, "before"), Batch(1, "after"), Batch(1, "before"), Batch(2, "within"), Batch(2))


def batches() -> st.SearchStrategy[list[Batch]]:
    """Return a strategy for what happens to a projector; the last goes on to the end of the log."""
    sizes = st.sampled_from([1, 2, 3, 5, 1_000])
    return st.lists(st.builds(Batch, sizes, st.sampled_from([None, *CRASHES])), max_size=6)


def check_projection(
    projection: Projection,
    *,
    histories: st.SearchStrategy[History] | None = None,
    operations: Mapping[str, InMemory] | None = None,
    url: str | None = None,
    another_process: bool = True,
    settings: hypothesis.settings | None = None,
) -> None:
    """Check that a projection's tables are what its events make, whatever happens to the projector.

    Of each history (any, if no strategy is given) the tables are made in memory, one event after the other, strictly;
    then in a database, in batches split anywhere, by a projector that crashes before, within and after its writes, and
    so is given events again; then anew from the first event, in one batch and one by one, as it is when those are
    forgotten who will be; then in another process, with another clock and hash seed. All must be the same, value by
    value. `operations` say what the projection's named operations do, in memory. The database is SQLite in memory, or
    the one of a URL: PostgreSQL, migrated with the projection; all that its tables hold there is lost.

    Raises BrokenProjection with the smallest history that was found; BadProjection for one that no store would take;
    and ValueError where it is to be imported in another process, and is not at the top level of a module.
    """
    if projection.name != READ_MODEL.name:
        require_good([projection])
    named = name_of(projection) if another_process else None
    with closing(_Check(projection, operations or OPERATIONS, named, url)) as check:
        try:
            if histories is None:
                check.each_command_alone()
            check.drawn(any_histories() if histories is None else histories, settings or SETTINGS)
        except BrokenProjection as broken:
            raise check.smallest(broken) from broken.__cause__


class _Check:
    """One projection, and the tables in which it is tried."""

    def __init__(
        self,
        projection: Projection,
        operations: Mapping[str, InMemory],
        named: tuple[str, str] | None,
        url: str | None,
    ) -> None:
        self._projection, self._operations, self._named, self._url = projection, operations, named, url
        self._memory = Memory(projection.handlers.values())
        self._opened = ExitStack()
        self._reads = self._tables()
        self._happens: Sequence[Batch] = ()

    def _tables(self) -> ReadStore:
        self._opened.close()
        if self._url is not None:
            return self._opened.enter_context(tables_on(self._url, self._projection))
        return self._opened.enter_context(closing(Scratch(self._projection)))

    def close(self) -> None:
        self._opened.close()

    def each_command_alone(self) -> None:
        """Try each command, with what it needs before it: those that come to the fewest events first."""
        for kind in fewest_first(ANY):
            self.one(told([Plan(kind)]), EVERYTHING)

    def drawn(self, histories: st.SearchStrategy[History], settings: hypothesis.settings) -> None:
        """Try histories that are drawn."""

        @hypothesis.settings(settings, report_multiple_bugs=False)
        @hypothesis.given(history=histories, happens=batches())
        def holds(history: History, happens: list[Batch]) -> None:
            self.one(history, happens)

        holds()

    def smallest(self, broken: BrokenProjection) -> BrokenProjection:
        """Return how the projection breaks with the first few events of a history already, if it does."""
        history = broken.history or History()
        for length in range(len(history.events)):
            try:
                self.one(History(history.events[:length]), self._happens)
            except BrokenProjection as smaller:
                return smaller
        return broken

    def one(self, history: History, happens: Sequence[Batch]) -> None:
        """Raise BrokenProjection where the tables of a history are not always the same."""
        try:
            self._holds(history, happens)
        except Exception as error:  # noqa: BLE001 - whatever a projection raises, it is told with its history
            self._happens = happens
            broken = error if isinstance(error, BrokenProjection) else _failed(error)
            broken.history = history
            raise broken from broken.__cause__

    def _holds(self, history: History, happens: Sequence[Batch]) -> None:
        expected = self._in_memory(history)
        if self._named is not None:
            there = elsewhere().tables(*self._named, history.events)
            if there != exactly(expected):
                raise BrokenProjection(
                    "in another process, with another clock and hash seed, its tables are different:\n"
                    f"here:  {exactly(expected)}\nthere: {there}"
                )
        log = HistoryLog(history)
        self._made_anew(log, [Batch(1)] * len(history.events), expected, "one event after the other")
        self._made_anew(log, (), expected, "all in one batch")
        if happens:
            self._made_anew(log, happens, expected, f"in {[*happens]}")
        if log.forgotten:
            self._made_anew(HistoryLog(history, keys_gone=True), (), expected, "rebuilt after persons were forgotten")

    def _in_memory(self, history: History) -> dict[str, Any]:
        self._memory.put_back()
        projected = Projected(self._projection, self._operations)
        for recorded in history.events:
            projected.take(recorded)
        return projected.by_key()

    def _made_anew(self, log: HistoryLog, batches: Sequence[Batch], expected: dict[str, Any], what: str) -> None:
        self._memory.put_back()
        self._empty()
        store = _Crashing(self._reads)
        try:
            for size, crash in batches:
                store.crash = crash
                try:
                    Projector(log, cast(ReadStore, store), self._projection, batch_size=size).step()
                except Crashed:
                    self._memory.put_back()
            store.crash = None
            Projector(log, cast(ReadStore, store), self._projection).catch_up()
        except TiuError as error:
            raise BrokenProjection(f"it cannot be projected {what}: {error}") from error
        found = {table.name: rows_of(self._reads, table) for table in self._projection.tables}
        if exactly(found) != exactly(expected):
            raise BrokenProjection(f"its tables differ, {what}:\n" + "\n".join(differences(expected, found)))

    def _empty(self) -> None:
        try:
            self._reads.reset(self._projection)
        except Exception:  # rows that refer to each other otherwise than the tables are in order
            if self._url is not None:
                raise
            self._reads = self._tables()


def _failed(error: Exception) -> BrokenProjection:
    broken = BrokenProjection(f"{type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


class Crashed(BaseException):
    """The process is gone: nobody catches it."""


class _Torn(list[Step]):
    """Steps of which the first is written, and the process is gone."""

    def __iter__(self) -> Iterator[Step]:
        for step in super().__iter__():
            yield step
            break
        raise Crashed


class _Crashing:
    """A read store whose process is gone at its next write, where it is told so."""

    def __init__(self, reads: ReadStore) -> None:
        self._reads = reads
        self.crash: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reads, name)

    def apply(self, projection: str, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        if self.crash == "before":
            raise Crashed
        self._reads.apply(projection, before, _Torn(steps) if self.crash == "within" else steps, after)
        if self.crash == "after":
            raise Crashed


def rows_of(reads: ReadStore, table: Table) -> dict[str, Row]:
    """Return every row of a table as it is stored, by key, in Python's terms."""
    found = reads.query(f"SELECT {table.key} AS id FROM {table.name}", {})
    keys: Collection[UUID] = [UUID(str(row["id"])) for row in found]
    rows = reads.rows(table, keys)
    return {str(row[table.key]): {name: fitting(table, name, row[name]) for name in row} for row in rows}


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each row that is not as expected."""
    for table, rows in expected.items():
        for key in sorted(rows.keys() | found[table].keys()):
            wanted, there = rows.get(key), found[table].get(key)
            if exactly(wanted) != exactly(there):
                yield f"  {table} {key}: expected {wanted}, found {there}"
