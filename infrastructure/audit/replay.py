"""Replaying events into read tables of their own: a new SQLite file, that nothing depends on.

Whatever store the events are in, and whichever of them they are: a log is replayed as a projector would read it. A
replay that does not come to its end leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ...projections.projection import Projection, Table
from ...projections.read_model import READ_MODEL
from ..event_store import EventStore, Log
from ..projector import BATCH_SIZE, Projector
from ..read_store import ReadStore
from ..rebuild import RebuildProgress, Tell
from ..sqlite.bulk import BulkConnections, complete, stripped, things_of_migrations
from ..sqlite.connections import Connections, make_file, open_database, translated
from ..sqlite.generations import CurrentFile, Files
from ..sqlite.images import fill
from ..sqlite.read_only import ReadOnlyConnections
from ..sqlite.read_store import SQLiteReadStore

TIMEOUT = 60.0
"""How long one of our connections waits for another of ours, in seconds."""
CACHE_KIB = 24 << 10
"""Of each connection, and again of each sort that makes an index."""
SIDES = ("", "-wal", "-shm", "-journal")


class Replayed:
    """Read tables as the events of a log make them, in a file. A context manager; the file stays when it is closed."""

    def __init__(self, path: Path, events: int, position: int) -> None:
        self.path = path
        self.events = events
        """How many events they are made of."""
        self.position = position
        """That of the last of these events; 0 where there was none."""
        self.files = CurrentFile(lambda: path, lambda file: ReadOnlyConnections(file, timeout=TIMEOUT))
        self.reads: ReadStore = SQLiteReadStore(self.files)
        """Over the tables; it reads, and refuses to write."""

    def close(self) -> None:
        """Let every connection go."""
        self.reads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def last_flushed(events: EventStore) -> int:
    """Return the position of the log's last event, which is on disk by now, as all before it are: no crash undoes
    what is told of them."""
    position = events.max_notification_id() or 0
    events.flush()
    return position


def replay(
    log: Log,
    path: Path,
    *,
    projection: Projection = READ_MODEL,
    indexed: bool = True,
    sharing: Collection[Table] = (),
    trim: Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
    parks: bool = False,
    tell: Tell | None = None,
) -> Replayed:
    """Replay the events of a log into the read tables of a new file, and return what stands there.

    Not `indexed`, the tables have their keys alone: no other index, no text search, no triggers; references are not
    checked. In tables that are `sharing`, rows may have the same unique values. `trim` are statements that delete what
    is not wanted of the rows. What cannot be projected is parked, if it `parks`, as a projector does. Memory is
    bounded, whatever the log has. `tell` is told of every batch; what it raises ends it.
    Raises FileExists, ProjectionFailed, StoreUnavailable.
    """
    tell = tell or (lambda _: None)
    with loading(log, path, projection, sharing=sharing, batch_size=batch_size, parks=parks) as (loader, files):
        events, position = _load(loader, log, tell)
        del loader
        files.let_go()  # and the memory that loading took
        with files.writing() as connection:
            for statement in trim:
                connection.execute(statement)
        if indexed:
            with files.reading() as connection:
                complete(connection, projection, things_of_migrations(projection), tell)
    with _removed_on_error(path):
        _make_whole(path)
    return Replayed(path, events, position)


@contextmanager
def loading(
    log: Log,
    path: Path,
    projection: Projection,
    *,
    sharing: Collection[Table] = (),
    batch_size: int = BATCH_SIZE,
    parks: bool = False,
    store: Callable[[Files], ReadStore] = SQLiteReadStore,
) -> Iterator[tuple[Projector, CurrentFile]]:
    """Make read tables in a new file, without indexes, and give what loads a log into them, as far as the log goes.

    Nothing stays of it where anything is raised.
    """
    make_file(path)
    with _removed_on_error(path):
        _make_tables(path, projection, sharing)
        with closing(CurrentFile(lambda: path, _opened)) as files:
            yield Projector(log, store(files), projection, batch_size=batch_size, parks=parks), files


def _opened(path: Path) -> Connections:
    return BulkConnections(path, timeout=TIMEOUT, synchronous="OFF", cache_kib=CACHE_KIB)


def _make_tables(path: Path, projection: Projection, sharing: Collection[Table]) -> None:
    with closing(open_database(path, timeout=TIMEOUT, synchronous="OFF")) as connection, translated(path):
        fill(connection, stripped(projection, sharing))
        connection.execute("PRAGMA journal_mode = WAL")


def _load(loader: Projector, log: Log, tell: Tell) -> tuple[int, int]:
    """Replay all of a log; return how many events that were, and the position of the last."""
    end = log.max_notification_id() or 0

    def told(_: int) -> None:
        tell(RebuildProgress("loading", loader.position, end))

    return loader.catch_up(told), loader.position


def _make_whole(path: Path) -> None:
    """Bring all of it into the one file, which needs no log beside it to be read."""
    with closing(open_database(path, timeout=TIMEOUT, synchronous="OFF")) as connection, translated(path):
        connection.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for side in SIDES:
            path.with_name(path.name + side).unlink(missing_ok=True)
        raise
