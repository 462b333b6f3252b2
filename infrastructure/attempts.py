"""Attempts to execute commands: decided on what was read, and appended. Those of many threads are made together, which
costs each of them one wait, where loading, and appending, by itself costs two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from .ahead import Ahead
from .decision import Answer, Decision, Request, find_named, read_named
from .errors import ConnectionClosed, StoreUnavailable
from .event_store import EventStore, Outcome, Stored, Unit
from .observing import Append
from .streams import EMPTY, Lack, Reading, Stream, StreamCache, Unread, load_streams


class Attempt:
    """One attempt to execute a unit of commands, and what became of it.

    States in the cache are `trusted` to be the present ones: the guards find out, at the append, whether they had
    moved. `written` is what was written before in the transaction at hand, if it is an `exclusive` one; what is `ahead`
    is waited for when the attempt begins to read.
    """

    __slots__ = (
        "_ahead",
        "_exclusive",
        "_named",
        "_store",
        "appended",
        "cache",
        "decided",
        "decision",
        "error",
        "outcome",
        "reading",
        "requests",
        "tells",
    )

    decision: Decision

    def __init__(
        self,
        store: EventStore,
        cache: StreamCache,
        requests: Sequence[Request],
        written: Mapping[UUID, Stream] | None = None,
        *,
        exclusive: bool = False,
        trusted: bool = True,
        loads: bool = True,
        ahead: Ahead | None = None,
    ) -> None:
        self._store = store
        self._exclusive = exclusive
        self.cache = cache
        self.requests = requests
        self.reading = Reading(store, cache, written, trusted=trusted, loads=loads)
        self._ahead = ahead
        self._named = False
        """What the commands name has been read."""
        self.decided: dict[UUID, Answer] = {}
        """The answers by command_id; their positions count within the unit."""
        self.error: Exception | None = None
        """Why nothing was decided."""
        self.outcome: Outcome | None = None
        self.appended: Append | None = None
        """How it is appended, perhaps with others, where anybody observes; one of these `tells` of it."""
        self.tells = False

    @property
    def made(self) -> bool:
        return self.outcome is not None or self.error is not None

    def lack(self) -> Lack | None:
        """Return what must be loaded before it is worth while to decide."""
        self._take_ahead()
        self._named = True
        return find_named(self.reading, self.requests)

    def _take_ahead(self) -> None:
        if self._ahead is not None:
            self.reading.take(self._ahead.streams(self.cache))
            self._ahead = None

    def decide(self) -> None:
        """Decide the commands, or keep the error that says why not. Raises Unread."""
        try:
            if not self._named:
                self._take_ahead()
                read_named(self.reading, self.requests)
                self._named = True
            self.decision = Decision(self._store, self.reading, exclusive=self._exclusive)
            self.decided = {request.command_id: self.decision.decide(request) for request in self.requests}
        except Unread:
            raise
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits for it
            self.error = error

    def unit(self) -> Unit:
        return self.decision.unit(self.cache.incarnation)

    def append(self) -> Sequence[Unit]:
        """Append what was decided by itself, and return it; no command is stored at once."""
        units = [self.unit()] if self.requests else []
        if not units:
            self.outcome = Stored(0)
        elif self._store.observing.observers:
            self.appended, self.tells = Append(units, 1), True
            (self.outcome,) = self._store.append(units, self.appended)
        else:
            (self.outcome,) = self._store.append(units)
        return units

    def keep(self) -> None:
        """Have the cache keep what was stored."""
        if isinstance(self.outcome, Stored):
            self.cache.put(self.decision.written)


def make_together(store: EventStore, attempts: Sequence[Attempt]) -> None:
    """Make attempts that do not load: all they need is loaded together, what they decide is appended in one commit. One
    alone loads as it decides: to find out first what it lacks costs a sixth of its computing.

    Where that fails for another reason than that the store is not there, those that were not made are left to be made
    each by itself, so that only who is at fault is told.
    """
    if len(attempts) == 1:
        attempts[0].reading.loads = True  # there is nobody to load with
    try:
        _decide(store, attempts)
        if decided := [attempt for attempt in attempts if attempt.error is None]:
            _append(store, decided)
    except (StoreUnavailable, ConnectionClosed):
        raise
    except Exception:
        if len(attempts) == 1:
            raise
        for attempt in attempts:
            attempt.appended = None


def _decide(store: EventStore, attempts: Sequence[Attempt]) -> None:
    """Load what they name in one call, and decide each; what some lack then is loaded too, and those decided again."""
    if len(attempts) > 1:
        _load(store, [(attempt, lack) for attempt in attempts if (lack := attempt.lack())])
    while attempts:
        lacking: list[tuple[Attempt, Lack]] = []
        for attempt in attempts:
            try:
                attempt.decide()
            except Unread as unread:
                lacking.append((attempt, unread.lack))
        _load(store, lacking)
        attempts = [attempt for attempt, _ in lacking]


def _load(store: EventStore, lacking: Sequence[tuple[Attempt, Lack]]) -> None:
    if not lacking:
        return
    wanted = {stream_id: EMPTY for _, lack in lacking for stream_id in lack.stream_ids}
    of_last = {stream_id for _, lack in lacking for stream_id in lack.of_last}
    loaded = load_streams(store, wanted, of_last)
    for attempt, lack in lacking:
        attempt.reading.take({stream_id: loaded[stream_id] for stream_id in lack.stream_ids})


def _append(store: EventStore, attempts: Sequence[Attempt]) -> None:
    units = [attempt.unit() for attempt in attempts]
    if store.observing.observers:
        appended, attempts[0].tells = Append(units, len(attempts)), True
        for attempt in attempts:
            attempt.appended = appended
        outcomes = store.append(units, appended)
    else:
        outcomes = store.append(units)
    for attempt, outcome in zip(attempts, outcomes, strict=True):
        attempt.outcome = outcome
        attempt.keep()
