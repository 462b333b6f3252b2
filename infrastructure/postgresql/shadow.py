"""The tables beside the live ones, on PostgreSQL: in a schema of their own, of the live tables' names.

Its connections find the tables of that schema first: every statement that is for the live tables does for these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import sql
from psycopg.types.string import StrDumper

from ...projections.fold import Step
from ...projections.projection import Projection, Table
from ...projections.read_model import NAME
from ..comparable import ComparableRow
from ..comparison import Comparison, DatabaseComparison, Side, alike_statement, differing_statement
from ..errors import RebuildRefused, StoreUnavailable, TablesBusy
from ..read_store import Checkpoint
from ..rebuild import RebuildProgress, Shadow, Tell, broken
from ..sql import for_psycopg, statements
from .connections import Connection, Connections, connect, shown, translated
from .read_store import PostgreSQLReadStore
from .standing import row_of

SQL = {name: for_psycopg(statement) for name, statement in statements("postgresql/shadow.sql").items()}
T = TypeVar("T")
OUR_TRIGGERS = ["trigger_check_circular_dependency"]
FORM = ["column", "check"]
"""What tables have from the beginning."""
EVERYTHING = [*FORM, "constraint", "index", "trigger"]

HOLD_SECONDS = 30.0
"""How long to wait for the batch that the live projector is writing."""
UPKEEP_SECONDS = 10.0
"""How long to wait for an autovacuum, or for another change of the tables' form: nobody is held up meanwhile."""
LOCK_SECONDS = 0.7
"""How long to wait for readers: new ones wait meanwhile. Shorter than a server waits before it looks for deadlocks."""
LOCK_ATTEMPTS = 20
PAUSE_SECONDS = 1.0
OUTWAIT_SECONDS = 60.0


class LeftForTheEnd(NamedTuple):
    """A constraint or an index that a table beside lacks while it is loaded."""

    table: str
    kind: str
    name: str
    column: str | None
    """What an index is of, if it is one column; what refers to another table, of a foreign key."""
    statement: str


class PostgreSQLShadow(Shadow):
    """It holds up to four connections: one keeps others out, and swaps; two load, and make indexes; one compares."""

    def __init__(self, url: str, projection: Projection, *, timeout: float) -> None:
        self._url = url
        self._projection = projection
        self._holder = connect(url)
        self._holder.adapters.register_dumper(str, StrDumper)  # as text, and not as what the server takes it for
        with translated(url):
            self._holder.execute(SQL["unlimited"])
            whose = {"whose": "" if projection.name == NAME else f"_{projection.name}"}
            live, shadow = self._holder.execute(SQL["current_schema"], whose).fetchall()[0]
        self._names = {
            "live": live,
            "shadow": shadow,
            "tables": [table.name for table in projection.tables],
            "projection": projection.name,
        }
        self._connections = Connections(url, max_size=2, timeout=timeout, recycle=86_400.0, prepare=self._prepare)
        self._indexes = LazyIndexes()
        self.reads = _LoadingStore(self._connections, self._indexes)

    def _prepare(self, connection: Connection) -> None:
        connection.execute(SQL["unlimited"])
        connection.execute(SQL["loading"], self._names)

    def abandoned(self) -> bool:
        with translated(self._url):
            return self._is_there() and not self._value("locked")

    def _value(self, statement: str, **parameters: Any) -> Any:
        row = self._holder.execute(SQL[statement], self._names | parameters).fetchone()
        return row[0] if row else None

    def _is_there(self) -> bool:
        ours = self._value("schema")
        if ours is False:
            raise RebuildRefused(f"the schema {self._names['shadow']} is not of a rebuild: rename it, or drop it")
        return bool(ours)

    @contextmanager
    def alone(self) -> Iterator[None]:
        with translated(self._url):
            if not self._value("lock"):
                raise RebuildRefused(f"{shown(self._url)}: another rebuild is at work")
            yield

    def check(self) -> None:
        found = self._holder.execute(SQL["in_the_way"], self._names | {"triggers": OUR_TRIGGERS}).fetchall()
        if found:
            told = "; ".join(f"{table}: {what}" for table, what in found)
            raise RebuildRefused(
                f"the live tables cannot be replaced, because of what depends on them ({told}): drop it, and make it "
                "again afterwards",
                in_the_way=[[table, what] for table, what in found],
            )

    def stands(self) -> bool:
        if not self._is_there() or self._unlike(FORM):
            return False
        self._plan()
        return True

    def _unlike(self, kinds: Sequence[str]) -> list[str]:
        with self._holder.transaction(force_rollback=True):  # of what the next statement sets
            self._holder.execute(SQL["bare_names"])
            found = self._holder.execute(SQL["unlike"], self._names | {"kinds": list(kinds)}).fetchall()
        return [f"{kind} {name} of {table}" for table, kind, name in found]

    def make(self) -> None:
        try:
            with self._holder.transaction():
                self._drop()
                self._run_made("make")
        except psycopg.errors.InsufficientPrivilege as error:
            raise RebuildRefused(
                f"a rebuild makes the schema {self._names['shadow']}, which this role may not do: "
                f"{error.diag.message_primary}"
            ) from None
        self._plan()
        for table in self._projection.tables:
            if table.private:
                with self._connections.using() as connection, connection.cursor() as cursor:
                    self._indexes.make_all(cursor, table.name)

    def _plan(self) -> None:
        planned, made, statistics = (
            self._holder.execute(SQL[name], self._names).fetchall() for name in ("left_for_the_end", "made", "analyze")
        )
        self._indexes.plan([LeftForTheEnd(*row) for row in planned], made, [statement for (statement,) in statistics])

    def _run_made(self, name: str, **parameters: Any) -> None:
        """Run the statements that a query makes of the catalogue."""
        for (statement,) in self._holder.execute(SQL[name], self._names | parameters).fetchall():
            if statement is not None:
                self._holder.execute(statement.encode())

    def finish(self, tell: Tell) -> None:
        """References are made one by one: each locks two tables, and needs the key of the other."""
        self._plan()
        left, done = self._indexes.left(), 0
        tell(RebuildProgress("indexing", done, len(left)))

        def made(one: LeftForTheEnd) -> None:
            nonlocal done
            done += 1
            self._indexes.made |= {(one.table, one.name)}
            tell(RebuildProgress("indexing", done, len(left)))

        at_once([one for one in left if one.kind != "reference"], self._connections, build, then=made)
        with self._connections.using() as connection, connection.cursor() as cursor:
            for one in left:
                if one.kind == "reference":
                    build(cursor, one)
                    made(one)
        at_once(self._indexes.statistics, self._connections, analyze)

    @contextmanager
    def held(self) -> Iterator[Checkpoint | None]:
        with self._holder.transaction():
            yield self._hold()

    def _hold(self) -> Checkpoint | None:
        self._patience(HOLD_SECONDS, HOLD_SECONDS)
        try:
            row = self._holder.execute(SQL["lock_checkpoint"], self._names).fetchone()
            if row is None:
                self._holder.execute(SQL["lock_checkpoints"])
                row = self._holder.execute(SQL["checkpoint"], self._names).fetchone()
        except psycopg.errors.LockNotAvailable:
            raise TablesBusy(f"the live projector has held its checkpoint for {HOLD_SECONDS:g} s") from None
        return None if row is None else Checkpoint(*row)

    @contextmanager
    def comparison(self) -> Iterator[Comparison]:
        with translated(self._url), connect(self._url) as connection:
            connection.execute(SQL["unlimited"])
            connection.execute(SQL["comparing"])
            for (statement,) in connection.execute(SQL["sample"], self._names).fetchall():
                connection.execute(statement.encode())
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                both_positions = self._value("both_positions").encode()
                live, rebuilt = connection.execute(both_positions).fetchall()[0]  # the snapshot is taken here
                if live != rebuilt:
                    raise StoreUnavailable(f"the tables to compare stand at {live} and at {rebuilt}")
                yield PostgreSQLComparison(connection, self._names["live"], self._names["shadow"])

    def outwait(self) -> float:
        """A snapshot is of one moment, and what a table's name leads to is not: in place of the live tables, whoever
        reads with an older one would see these as far as they had come then."""
        began = time.monotonic()
        waited_for = set(self._holder.execute(SQL["snapshots"]).fetchall())
        while left := waited_for & set(self._holder.execute(SQL["snapshots"]).fetchall()):
            if time.monotonic() - began > OUTWAIT_SECONDS:
                raise _busy(sorted({pid for pid, _ in left}), OUTWAIT_SECONDS)
            time.sleep(0.01)
        return time.monotonic() - began

    def swap(self, bring: Callable[[Checkpoint | None], None]) -> None:
        for attempt in range(1, LOCK_ATTEMPTS + 1):
            try:
                with self._holder.transaction():
                    bring(self._hold())
                    self._replace()
                return
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
                if attempt == LOCK_ATTEMPTS:
                    pids = [pid for (pid,) in self._holder.execute(SQL["holders"], self._names).fetchall()]
                    raise _busy(pids, LOCK_ATTEMPTS * (LOCK_SECONDS + PAUSE_SECONDS)) from None
                time.sleep(PAUSE_SECONDS)
            except psycopg.errors.DependentObjectsStillExist as error:
                raise RebuildRefused(f"the live tables cannot be dropped: {error.diag.message_detail}") from None

    def _replace(self) -> None:
        """The order is that of the live projector: its checkpoint first, then tables."""
        self._patience(UPKEEP_SECONDS, UPKEEP_SECONDS)
        self._run_made("lock_against_upkeep")
        self._run_made("as_granted")
        if unlike := self._unlike(EVERYTHING):
            raise RebuildRefused(
                f"the live tables have changed their form since the others were made beside them "
                f"({', '.join(unlike)}): rebuild again"
            )
        self.check()
        self._patience(LOCK_SECONDS, LOCK_SECONDS)
        self._run_made("lock_against_all")
        self._patience(LOCK_SECONDS, 0)
        self._run_made("replace")

    def _patience(self, lock: float, statement: float) -> None:
        """Say how many seconds to wait for a lock, and for all of a statement."""
        milliseconds = {"lock": _milliseconds(lock), "statement": _milliseconds(statement)}
        self._holder.execute(SQL["patience"], milliseconds)

    def drop(self) -> bool:
        with self._holder.transaction():
            return self._drop()

    def _drop(self) -> bool:
        if not self._is_there():
            return False
        self._run_made("drop")
        return True

    def close(self) -> None:
        self._connections.close()
        self._holder.close()


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _busy(pids: Sequence[int], seconds: float) -> TablesBusy:
    sessions = ", ".join(map(str, pids)) or "unknown"
    return TablesBusy(
        f"others have read the live tables for longer than {seconds:g} s (sessions {sessions}): end them, or rebuild "
        "again later; what is loaded stays beside the live tables",
        sessions=list(pids),
    )


class LazyIndexes:
    """The indexes of tables that are being loaded: each is made when it is first needed, most at the end.

    Those of one column that refers to another table are what set operations find their rows by.
    """

    def __init__(self) -> None:
        self._planned: list[LeftForTheEnd] = []
        self.statistics: list[str] = []
        """The statements that gather them."""
        self.made: frozenset[tuple[str, str]] = frozenset()
        """(table, name) of those that are there."""

    def plan(
        self, planned: Iterable[LeftForTheEnd], made: Iterable[tuple[str, str]], statistics: Iterable[str]
    ) -> None:
        """Say what there is to make, what is made of it, and the statements that gather statistics."""
        self._planned, self.made, self.statistics = list(planned), frozenset(made), list(statistics)

    def left(self) -> list[LeftForTheEnd]:
        """Return what is not made yet, in the order to make it."""
        return [one for one in self._planned if (one.table, one.name) not in self.made]

    def will_change(self, cursor: psycopg.Cursor[Any], table: str) -> None:
        """Be ready for stored rows to be updated or deleted by their key."""
        self.make(cursor, [one for one in self.left() if one.kind == "key" and one.table == table])

    def will_operate(self, cursor: psycopg.Cursor[Any]) -> None:
        """Be ready for a set operation."""
        references = {(one.table, one.column) for one in self._planned if one.kind == "reference"}
        found_by = [one for one in self.left() if one.kind == "index" and (one.table, one.column) in references]
        if wanted := [*(one for one in self.left() if one.kind == "key"), *found_by]:
            self.make(cursor, wanted)
            for statement in self.statistics:
                analyze(cursor, statement)

    def make_all(self, cursor: psycopg.Cursor[Any], table: str) -> None:
        self.make(cursor, [one for one in self.left() if one.table == table and one.kind != "reference"])

    def make(self, cursor: psycopg.Cursor[Any], wanted: Sequence[LeftForTheEnd]) -> None:
        for one in wanted:
            build(cursor, one)
            self.made |= {(one.table, one.name)}


def build(cursor: psycopg.Cursor[Any], one: LeftForTheEnd) -> None:
    """Make a constraint or an index. Raises ProjectionFailed where the rows break it."""
    try:
        cursor.execute(one.statement.encode())
    except psycopg.IntegrityError:  # what it says may be personal
        raise broken(one.name, one.table) from None


def analyze(cursor: psycopg.Cursor[Any], statement: str) -> None:
    """Gather the statistics of a table."""
    cursor.execute(statement.encode())


def at_once(
    wanted: Sequence[T],
    connections: Connections,
    work: Callable[[psycopg.Cursor[Any], T], None],
    then: Callable[[T], None] = lambda _: None,
) -> None:
    """Do work on two connections at once, in order, and `then` here, as each piece is done.

    What either raises ends all of it: a statement that runs meanwhile is cancelled.
    """
    left, done = iter(wanted), SimpleQueue[T | BaseException]()
    taking = Lock()

    def take() -> T | None:
        with taking:
            return next(left, None)

    def go_on(connection: Connection) -> None:
        try:
            with connection.cursor() as cursor:
                while (one := take()) is not None:
                    work(cursor, one)
                    done.put(one)
        except BaseException as error:  # noqa: BLE001 - raised below
            done.put(error)

    with ExitStack() as stack:
        ours = [stack.enter_context(connections.using()) for _ in range(2)]
        threads = stack.enter_context(ThreadPoolExecutor(len(ours), "tiu-rebuild"))
        for connection in ours:
            threads.submit(go_on, connection)
        try:
            for _ in wanted:
                one = done.get()
                if isinstance(one, BaseException):
                    raise one
                then(one)
        except BaseException:
            left = iter(())
            for connection in ours:
                connection.cancel()
            raise


class _LoadingStore(PostgreSQLReadStore):
    def __init__(self, connections: Connections, indexes: LazyIndexes) -> None:
        super().__init__(connections, indexes)
        self._lazy = indexes

    def apply(self, projection: str, before: Checkpoint | None, steps: Sequence[Step], after: Checkpoint) -> None:
        made = self._lazy.made
        try:
            super().apply(projection, before, steps, after)
        except BaseException:
            self._lazy.made = made  # what was made in this transaction is not
            raise


class PostgreSQLComparison(DatabaseComparison):
    """Of the tables of two schemas, over a connection inside a transaction."""

    def __init__(self, connection: Connection, live: str, rebuilt: str) -> None:
        self._connection = connection
        self._schemas = {"live": _quoted(live), "rebuilt": _quoted(rebuilt)}

    @staticmethod
    def _unlike(table: Table) -> str:
        rows = (", ".join(f"{side}.{column}" for column in table.columns) for side in "lr")
        return "ROW({})::record *<> ROW({})::record".format(*rows)  # byte by byte: 0.0 is not -0.0

    def _alike(self, table: Table) -> bool:
        statement = alike_statement(table.name, table.key, **self._schemas, unlike=self._unlike(table))
        return bool(self._connection.execute(for_psycopg(statement).encode()).fetchall()[0][0])

    def _differing(self, table: Table, limit: int) -> tuple[int, list[Any]]:
        unlike = self._unlike(table)
        statement = differing_statement(table.name, table.key, **self._schemas, unlike=unlike, full_join=True)
        found = self._connection.execute(for_psycopg(statement).encode(), {"limit": limit}).fetchall()
        return (found[0][0], [key for _, key in found]) if found else (0, [])

    def _row(self, side: Side, table: Table, key: Any) -> ComparableRow | None:
        return row_of(self._connection, table, key, self._schemas[side])


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
