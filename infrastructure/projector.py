"""The projector: reads events in batches, folds what they mean, writes it with its checkpoint in one transaction.

Of any number that run, one holds the lease (leases.py) and projects; the others stand by. A batch is written only if
the checkpoint still stands where it was read, under the tenure in which it was: nothing is ever done twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

from ..projections.fold import Step
from ..projections.projection import Projection
from .at_once import AtOnce
from .batches import Batches, seldom_collecting
from .checkpoints import Lag, Standing, another_history, require_fit
from .errors import (
    CheckpointMoved,
    CheckpointRefused,
    ConnectionClosed,
    LeaseLost,
    ProjectionFailed,
    StoreUnavailable,
    WaitTimeout,
)
from .event_store import READ_BYTES, EventStore, Listener, Log, LogEvent
from .leases import Lease
from .logs import fields
from .observing import Batch, Observing, begun
from .parking import Discarding, Known, ParkedUnit, known_of, reason_of
from .projected import Projected
from .read_store import Checkpoint, ReadStore
from .setting_aside import SettingAside
from .unparking import ask, require_projected

BATCH_SIZE = 5_000
"""The most events of a batch; at the end of the log it has what is there."""
POLL_SECONDS = 1.0
"""How long to trust in being woken, before looking."""
RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


class Projector:
    """Keeps the tables of one projection in step with an event store.

    What it cannot project it `parks`, if it shall and the projection says how, and goes on with the rest; else it
    stops.
    """

    def __init__(
        self,
        events: Log,
        reads: ReadStore,
        projection: Projection,
        *,
        batch_size: int = BATCH_SIZE,
        parks: bool = False,
        observing: Observing | None = None,
    ) -> None:
        self._observing = observing or Observing()
        self._tables = Projected(events, reads, projection)
        self._aside = SettingAside(self._tables, self._project_all, parks=parks)
        self._events = events
        self._projection = projection
        self._batch_size = batch_size
        self._batches = Batches(projection, self._tables.state)
        self._stepping = threading.Lock()
        self._failure: Exception | None = None
        self._lease: Lease | None = None
        self._role: bool | None = None
        """Whether it was told to be active."""
        self._looked = 0.0

    @property
    def name(self) -> str:
        """The name of its projection."""
        return self._projection.name

    @property
    def position(self) -> int:
        """The position up to which this projector knows the tables to have come."""
        return self._tables.position

    @property
    def failure(self) -> Exception | None:
        """What `run` stopped at; None while it runs, and where it was told to stop."""
        return None if isinstance(self._failure, WaitTimeout) else self._failure

    def lag(self) -> Lag:
        """Return how far the stored checkpoint is behind the log; an unfit checkpoint is refused."""
        standing = self.standing()
        if standing.refused:
            raise standing.refused
        return standing.lag

    def standing(self) -> Standing:
        """Return how far the stored checkpoint is behind the log, and whether it would be refused."""
        checkpoint = self._tables.stored()
        refused = None
        try:
            self.check(checkpoint)
        except CheckpointRefused as error:
            refused = error
        last = self._events.max_notification_id() or 0
        since = [unit.since for unit in self.parked()]
        position = checkpoint.position if checkpoint else 0
        return Standing(Lag(self._projection.name, position, last, len(since), min(since, default=None)), refused)

    def check(self, checkpoint: Checkpoint | None) -> None:
        """Raise CheckpointRefused where a checkpoint does not fit the event store or the projection."""
        require_fit(checkpoint, self._projection, self._events)

    def step(self) -> int:
        """Project one batch, and return how many events it had; 0 at the end of the log.

        Raises CheckpointRefused, ProjectionFailed (the tables then stand before the event that it names) or
        StoreUnavailable.
        """
        with self._stepping:
            if not self._tables.loaded:
                self._tables.load()
            if self._tables.sieve.parked:
                self._aside.retry_asked()
            events = self._events.read(self.position, self._batch_size)
            if not events and self._tables.stored() != self._tables.checkpoint:
                self._tables.load()  # another projector went on, or the tables were emptied
                events = self._events.read(self.position, self._batch_size)
            if not events:
                return 0
            try:
                self._project_narrowing(events)
            except BaseException:
                self._tables.loaded = False
                raise
            return len(events)

    def _project_narrowing(self, events: list[LogEvent]) -> None:
        """Project events; those that cannot be projected together, by halves: what stands before the one that fails is
        not held up by it."""
        try:
            with self._observing.batch(self._projection, self._events, events):
                self._project(events)
        except CheckpointMoved:
            self._tables.load()
        except CheckpointRefused:
            if self._tables.stored() == self._tables.checkpoint:
                raise
            self._tables.load()  # a crash of the database has taken what is remembered here, and its events
        except (ProjectionFailed, Discarding) as failure:
            self._tables.load()
            if len(events) == 1:
                self._aside.take(events[0], failure)
                return
            middle = len(events) // 2
            self._project_narrowing(events[:middle])
            if self.position == events[middle - 1].position:  # nobody else went on meanwhile
                self._project_narrowing(events[middle:])

    def _project(self, events: list[LogEvent]) -> None:
        last, keys = events[-1], self._keys_of(events)
        try:
            steps, after = self._fold(events, keys, self._tables.checkpoint)
            self._tables.write(self._tables.checkpoint, steps, after)
        except (CheckpointRefused, StoreUnavailable, CheckpointMoved, LeaseLost, Discarding):
            self._tables.loaded = False
            raise
        except Exception as error:
            self._tables.loaded = False
            if self._tables.stored() != self._tables.checkpoint:  # it read what another had moved on
                raise CheckpointMoved(
                    f"the checkpoint of {self._projection.name} has moved", projection=self._projection.name
                ) from error
            raise ProjectionFailed(
                f"{self._projection.name} stopped at position {last.position} ({last.topic}): {reason_of(error)}",
                position=last.position,
                topic=last.topic,
            ) from error
        self._tables.written(after)

    def _fold(
        self, events: list[LogEvent], keys: dict[UUID, bytes], before: Checkpoint | None
    ) -> tuple[list[Step], Checkpoint]:
        """Return what a batch behind a checkpoint comes to, and the checkpoint behind it."""
        if before and events[0].previous_hash != before.event_hash:
            raise another_history(self._projection.name, before.position)
        steps = self._batches.fold(self._tables.sieve.sift(events) if self._tables.sieve.active else events, keys)
        return self._tables.sieve.completed(steps), self._tables.behind(events[-1], before)

    def _project_all(self, events: Log, reads: ReadStore) -> None:
        replaying = Projector(events, reads, self._projection, parks=True)
        replaying._aside.tell = log.debug  # what it parks waited before
        while replaying.step():
            pass

    def parked(self) -> list[ParkedUnit]:
        """Return the units that are parked in the stored tables, the first parked first."""
        if self._projection.parking is None:
            return []
        known = known_of(self._tables.reads, self._projection.parking)
        return sorted(known.parked.values(), key=lambda unit: unit.position)

    def ask_retry(self, unit_ids: Collection[UUID]) -> set[UUID]:
        """Ask whichever projector is at work to try units again, or all; return which. Raises NotParked."""
        return ask(self._tables.reads, self._projection, unit_ids)

    def begin_with(self, known: Known) -> None:
        """Park in empty tables, before the first event, what is parked in others."""
        self._aside.begin_with(known)

    def align(self, known: Known) -> None:
        """Park and leave out what other tables of the same position do."""
        with self._stepping:
            self._aside.align(known)

    def _keys_of(self, events: list[LogEvent]) -> dict[UUID, bytes]:
        return self._events.keys({event.key_id for event in events if event.key_id})

    def hurry(self, stop: Callable[[], bool] = lambda: False, progress: Callable[[int], None] | None = None) -> int:
        """Project as long as whole batches wait, or until `stop`, and return how many events that were.

        Where a server does it, the next batch is read and the last one written while one is folded. Where anything goes
        wrong, what was written stays, and the next `step` tells what it was. What `progress` raises ends it.
        """
        done = 0
        io = ThreadPoolExecutor(2, "tiu-projector-io") if self._tables.reads.waits else AtOnce()
        with self._stepping, seldom_collecting(), io as pool:
            try:
                for written in self._written_batches(pool, stop):
                    done += written
                    if progress:
                        progress(written)
            except BaseException:
                self._tables.loaded = False
                raise
        return done

    def _written_batches(self, pool: Executor, stop: Callable[[], bool]) -> Iterator[int]:
        """Yield how many events each batch had that was written; end at the first that is not."""
        try:
            if not self._tables.loaded:
                self._tables.load()
            for batch, after in self._pipeline(pool, stop):
                self._tables.written(after)
                self._observing.projected(batch)
                yield batch.events
        except Exception as error:  # noqa: BLE001 - it comes again where it is told properly
            self._tables.loaded = False
            extra = fields("projector.step_by_step", projection=self.name, error=error)
            log.debug("projector goes on step by step: %s", error, extra=extra)

    def _pipeline(self, pool: Executor, stop: Callable[[], bool]) -> Iterator[tuple[Batch, Checkpoint]]:
        """Yield each batch, and its checkpoint, once it is written."""
        before = self._tables.checkpoint
        writing: tuple[Future[None], Batch, Checkpoint] | None = None
        reading = pool.submit(self._read, self.position)
        full = True
        while full:
            events, keys = reading.result()
            full = self._more_may_wait(events) and not stop()
            if full:
                reading = pool.submit(self._read, events[-1].position)
            if events:
                batch = begun(self._projection, self._events, events)
                steps, after = self._fold(events, keys, before)
                if writing:
                    yield _done(*writing)
                written = pool.submit(self._tables.write, before, steps, after)
                writing, before = (written, batch, after), after
        if writing:
            yield _done(*writing)

    def _more_may_wait(self, events: list[LogEvent]) -> bool:
        """Whether a batch has as many events, or as many bytes, as are read at once."""
        return len(events) == self._batch_size or sum(len(event.state) for event in events) >= READ_BYTES

    def _read(self, after: int) -> tuple[list[LogEvent], dict[UUID, bytes]]:
        events = self._events.read(after, self._batch_size)
        return events, self._keys_of(events)

    def reset(self) -> None:
        """Empty the tables; the next steps, of whichever projector, fill them again from the first event."""
        with self._stepping:
            self._tables.reads.reset(self._projection)
            self._failure = None
            self._tables.load()

    def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Project all there is, and return how many events that were; `progress` is told of each batch."""
        total = 0
        while done := self.hurry(progress=progress) or self._told(self.step(), progress):
            total += done
        return total

    def catch_up_in(self, lease: Lease, progress: Callable[[int], None] | None = None) -> int:
        """Catch up where the lease can be had, which stays held until `leave`; else do nothing. Raises as `step`."""
        self._lease = lease
        try:
            return self.catch_up(progress) if self._holds_lease() else 0
        except LeaseLost:
            self.leave()
            return 0

    @staticmethod
    def _told(done: int, progress: Callable[[int], None] | None) -> int:
        if done and progress:
            progress(done)
        return done

    def run(
        self,
        listener: Listener,
        stop: threading.Event,
        lease: Lease | None = None,
        told: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Project until told to stop (set `stop`, wake `listener`), while the lease is held: else stand by.

        A store that is away is waited for. `told` is told whether it is active, when that changes, before the first
        batch. Raises CheckpointRefused, StoreReplaced or ProjectionFailed; the lease is given up whatever ends it.
        """
        self._lease, self._failure, self._role = lease, None, None
        self._tell_moved()
        ended: Exception = WaitTimeout("the projector was stopped")
        try:
            while not stop.is_set():
                try:
                    if not self._holds_lease(told):
                        self._stand_by(listener, stop)
                    elif not (done := self.step()):
                        self._look_at_the_store()
                        listener.wait(POLL_SECONDS)
                    elif done == self._batch_size:
                        self.hurry(stop.is_set)
                except LeaseLost as error:
                    extra = fields("projector.stands_by", projection=self.name, error=error)
                    log.warning("projector stands by: %s", error, extra=extra)
                    self.leave()
                except StoreUnavailable as error:
                    extra = fields("projector.waits", projection=self.name, error=error)
                    log.warning("projector waits for its store: %s", error, extra=extra)
                    self._tables.loaded = False
                    stop.wait(RETRY_SECONDS)
        except Exception as error:
            ended = error
            raise
        finally:
            self.leave()
            self._end(ended)

    def _holds_lease(self, told: Callable[[bool], None] = lambda _: None) -> bool:
        """Whether this projector is the active one; it takes the lease where it can. Raises LeaseLost."""
        lease = self._lease
        if lease is None:
            return True
        if lease.fence is not None:
            lease.keep()
            return True
        if acquired := lease.acquire():
            self._tables.loaded, self._tables.tenure = False, lease.fence
        if self._role is not acquired:
            self._role = acquired
            told(acquired)
        self._tell_moved()
        return acquired

    def _look_at_the_store(self) -> None:
        """Now and then: events that come show by themselves whether they go on from the checkpoint. Raises
        CheckpointRefused, StoreReplaced."""
        if time.monotonic() - self._looked > POLL_SECONDS:
            self._looked = time.monotonic()
            if isinstance(self._events, EventStore):
                self._events.require_same()
            self.check(self._tables.checkpoint)

    def _stand_by(self, listener: Listener, stop: threading.Event) -> None:
        """Wait until it is worth trying for the lease again."""
        until = time.monotonic() + (self._lease.pause if self._lease else 0)
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            listener.pause(left)

    def leave(self) -> None:
        """Give the lease up, if it is held."""
        if self._lease is not None:
            with suppress(StoreUnavailable, ConnectionClosed):
                self._lease.give_up()
            self._tables.loaded, self._tables.tenure = False, None
            self._tell_moved()

    @property
    def active(self) -> bool:
        """Whether this projector holds a lease, as far as it knows."""
        return self._lease is not None and self._lease.fence is not None

    @property
    def _is_here(self) -> bool:
        """Whether it is this projector that projects: without a lease, it does."""
        return self._lease is None or self.active

    def _tell_moved(self) -> None:
        with self._tables.moved:
            self._tables.moved.notify_all()

    def _end(self, reason: Exception) -> None:
        """Tell those that wait that nothing more comes."""
        with self._tables.moved:
            self._failure = reason
            self._tables.moved.notify_all()

    def wait_for(self, position: int, timeout: float) -> None:
        """Wait, while `run` runs in another thread, until the tables have the event at `position`, whoever brings it.

        Raises EventParked where they have come past it without it, WaitTimeout, or what stopped the projector.
        """
        deadline, pauses = time.monotonic() + timeout, _pauses()
        while True:
            come = self._has_come(position, deadline)
            try:
                reached = self._stands_at(come) if come or not self._is_here else self._tables.position
                if reached >= position:
                    parked = {**self._tables.sieve.parked} if come else {unit.unit_id: unit for unit in self.parked()}
                    break
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
            else:
                if time.monotonic() > deadline:
                    raise WaitTimeout(
                        f"the read tables stand at position {reached}, not at {position}, after {timeout} s",
                        position=reached,
                    )
            time.sleep(next(pauses))
        if parked:
            require_projected(self._events, self._aside.parking, parked, position)

    def _stands_at(self, come: bool) -> int:
        """Return where the stored tables stand: a crash of the server may have taken what was written last, and unless
        this projector has `come` there they may be another's. Raises CheckpointRefused."""
        checkpoint = self._tables.stored()
        if not come:
            self.check(checkpoint)
        return checkpoint.position if checkpoint else 0

    def _has_come(self, position: int, deadline: float) -> bool:
        """Wait while this projector is the active one; return whether it has come to a position. Raises what stopped
        it."""
        with self._tables.moved:
            self._tables.moved.wait_for(
                lambda: self.position >= position or self._failure or not self._is_here,
                max(deadline - time.monotonic(), 0),
            )
            if self.position < position and self._failure:
                raise self._failure
            return self.position >= position


def _done(written: Future[None], batch: Batch, after: Checkpoint) -> tuple[Batch, Checkpoint]:
    """Wait for a batch to be written."""
    written.result()
    return batch, after


def poll_for(position: int, timeout: float, lag: Callable[[], Lag]) -> None:
    """Wait for another process's projector to come to `position`. Raises WaitTimeout."""
    deadline, pauses = time.monotonic() + timeout, _pauses()
    while (now := lag().position) < position:
        if time.monotonic() > deadline:
            raise WaitTimeout(
                f"the read tables stand at position {now}, not at {position}, after {timeout} s: is one running?",
                position=now,
            )
        time.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    """Yield for how long to wait before looking again: short at first."""
    pause = 0.002
    while True:
        yield pause
        pause = min(pause * 1.5, 0.1)
