"""The projector: reads events in batches, folds what they mean, writes it with its checkpoint in one transaction.

Any number may run at once: a batch is written only if the checkpoint still stands where it was read, so nothing is
ever done twice, and one that lost the race goes on from where the other came to.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..projections.fold import Step
from ..projections.parking import Parking
from ..projections.projection import Projection
from ..projections.running_state import RunningState
from .batches import Batches, seldom_collecting
from .errors import (
    CheckpointMoved,
    CheckpointRefused,
    ProjectionFailed,
    StoreUnavailable,
    WaitTimeout,
)
from .event_hash import NO_EVENT
from .event_store import READ_BYTES, Listener, Log, LogEvent
from .parking import NOTHING, Discarding, Known, LeftOut, ParkedUnit, Sieve, known_of, reason_of, writes_of
from .read_store import Checkpoint, ReadStore
from .unit_replay import UnitReplay
from .unparking import Anew, aligned, ask, discarded, refused, require_projected, retried

BATCH_SIZE = 5_000
"""The most events of a batch; at the end of the log it has what is there."""
POLL_SECONDS = 1.0
"""How long to trust in being woken, before looking."""
RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lag:
    """How far a projection is behind its log."""

    projection: str
    position: int
    last_position: int
    parked: int = 0
    """How many units are parked: their events wait, however far the others are."""
    parked_since: datetime | None = None
    """Since when the first of them is."""

    @property
    def behind(self) -> int:
        """How many events are yet to be projected."""
        return self.last_position - self.position


@dataclass(frozen=True)
class Standing:
    """Where a projection's stored checkpoint stands, fit or not."""

    lag: Lag
    refused: CheckpointRefused | None
    """Why no projector goes on from it."""

    @property
    def behind(self) -> int:
        """How many events are yet to be projected: all of them, where the tables must be rebuilt."""
        return self.lag.last_position if self.refused else self.lag.behind


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
    ) -> None:
        self._events = events
        self._reads = reads
        self._projection = projection
        self._batch_size = batch_size
        self._state = RunningState(projection.tables, reads.rows, reads.children)
        self._batches = Batches(projection, self._state)
        self._sieve = Sieve(events, reads, projection)
        self._parks = parks and projection.parking is not None
        self._tell = log.error
        self._before: Checkpoint | None = None
        self._loaded = False
        self._stepping = threading.Lock()
        self._moved = threading.Condition()
        self._failure: Exception | None = None

    @property
    def position(self) -> int:
        """The position up to which this projector knows the tables to have come."""
        return self._before.position if self._before else 0

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
        checkpoint = self._reads.checkpoint(self._projection.name)
        refused = None
        try:
            self.check(checkpoint)
        except CheckpointRefused as error:
            refused = error
        last = self._events.max_notification_id() or 0
        since = [unit.since for unit in self.parked()]
        position = checkpoint.position if checkpoint else 0
        return Standing(Lag(self._projection.name, position, last, len(since), min(since, default=None)), refused)

    def _load(self) -> None:
        checkpoint = self._reads.checkpoint(self._projection.name)
        self.check(checkpoint)
        self._state.clear()
        self._sieve.load(anew=checkpoint is None or checkpoint.position == 0)
        with self._moved:
            self._before, self._loaded = checkpoint, True
            self._moved.notify_all()

    def check(self, checkpoint: Checkpoint | None) -> None:
        """Raise CheckpointRefused where a checkpoint does not fit the event store or the projection."""
        if checkpoint is None:
            return
        name = self._projection.name
        if checkpoint.version != self._projection.version:
            raise CheckpointRefused(
                f"the tables of {name} were made by version {checkpoint.version} of the projection, this is version "
                f"{self._projection.version}: run `tiu projector rebuild`",
                projection=name,
            )
        if checkpoint.epoch != self._events.epoch:
            raise CheckpointRefused(
                f"the tables of {name} were made from another event store: run `tiu projector rebuild`", projection=name
            )
        if checkpoint.position and self._events.hash_at(checkpoint.position) != checkpoint.event_hash:
            raise CheckpointRefused(_another_history(name, checkpoint.position), projection=name)

    def step(self) -> int:
        """Project one batch, and return how many events it had; 0 at the end of the log.

        Raises CheckpointRefused, ProjectionFailed (the tables then stand before the event that it names) or
        StoreUnavailable.
        """
        with self._stepping:
            if not self._loaded:
                self._load()
            if self._sieve.parked:
                self._retry_asked()
            events = self._events.read(self.position, self._batch_size)
            if not events and self._reads.checkpoint(self._projection.name) != self._before:
                self._load()  # another projector went on, or the tables were emptied
                events = self._events.read(self.position, self._batch_size)
            if not events:
                return 0
            try:
                self._project_narrowing(events)
            except BaseException:
                self._loaded = False
                raise
            return len(events)

    def _project_narrowing(self, events: list[LogEvent]) -> None:
        """Project events; those that cannot be projected together, by halves: what stands before the one that fails is
        not held up by it."""
        try:
            self._project(events)
        except CheckpointMoved:
            self._load()
        except (ProjectionFailed, Discarding) as failure:
            self._load()
            if len(events) == 1:
                self._pass(events[0], failure)
                return
            middle = len(events) // 2
            self._project_narrowing(events[:middle])
            if self.position == events[middle - 1].position:  # nobody else went on meanwhile
                self._project_narrowing(events[middle:])

    def _pass(self, event: LogEvent, failure: ProjectionFailed | Discarding) -> None:
        """Go past an event that is not projected as others are."""
        if isinstance(failure, Discarding):
            self._leave_out(event, failure.left_out)
        elif self._parks:
            self._park(event, failure)
        else:
            raise failure

    def _project(self, events: list[LogEvent]) -> None:
        last, keys = events[-1], self._keys_of(events)
        try:
            steps, after = self._fold(events, keys, self._before)
            self._reads.apply(self._projection.name, self._before, steps, after)
        except (CheckpointRefused, StoreUnavailable, CheckpointMoved, Discarding):
            self._loaded = False
            raise
        except Exception as error:
            self._loaded = False
            if self._reads.checkpoint(self._projection.name) != self._before:  # it read what another had moved on
                raise CheckpointMoved(
                    f"the checkpoint of {self._projection.name} has moved", projection=self._projection.name
                ) from error
            raise ProjectionFailed(
                f"{self._projection.name} stopped at position {last.position} ({last.topic}): {reason_of(error)}",
                position=last.position,
                topic=last.topic,
            ) from error
        self._written(after)

    def _fold(
        self, events: list[LogEvent], keys: dict[UUID, bytes], before: Checkpoint | None
    ) -> tuple[list[Step], Checkpoint]:
        """Return what a batch behind a checkpoint comes to, and the checkpoint behind it."""
        if before and events[0].previous_hash != before.event_hash:
            raise CheckpointRefused(_another_history(self._projection.name, before.position))
        steps = self._batches.fold(self._sieve.sift(events) if self._sieve.active else events, keys)
        return self._sieve.completed(steps), self._behind(events[-1], before)

    def _behind(self, event: LogEvent, before: Checkpoint | None, *, made_again: bool = False) -> Checkpoint:
        """Return the checkpoint behind an event; where rows are `made_again`, none that is remembered counts."""
        generation = (before.generation if before else 1) + made_again
        return Checkpoint(self._projection.version, self._events.epoch, event.position, event.hash, generation)

    def _park(self, event: LogEvent, failure: ProjectionFailed) -> None:
        """Let the unit of an event wait, which could not be projected."""
        unit = self._sieve.park(event, reason_of(failure.__cause__ or failure))
        after = self._behind(event, self._before)
        try:
            self._reads.apply(self._projection.name, self._before, [self._sieve.writes()], after)
        except CheckpointMoved:
            self._load()
            return
        self._tell("parked the %s %s at position %s (%s): %s", unit.kind, unit.unit_id, *unit[2:5])
        self._written(after)

    @property
    def _parking(self) -> Parking:
        if self._projection.parking is None:
            raise ValueError(f"{self._projection.name} does not say how it parks")
        return self._projection.parking

    def _leave_out(self, event: LogEvent, left_out: LeftOut) -> None:
        """Take up an event that discards others."""
        anew = discarded(self._events, self._parking, self._sieve.known, left_out, self.position)
        self._make_again(anew, self._behind(event, self._before, made_again=True))

    def _retry_asked(self) -> None:
        """Try again what somebody has asked for."""
        known = known_of(self._reads, self._parking)
        asked = [unit.unit_id for unit in known.parked.values() if unit.retry]
        if asked:
            self._load()
            self._make_again_here(retried(self._sieve.known, asked))

    def _make_again_here(self, anew: Anew) -> None:
        """Replay units where the tables stand."""
        if self._before is not None:
            self._make_again(anew, self._before._replace(generation=self._before.generation + 1))

    def _make_again(self, anew: Anew, after: Checkpoint) -> None:
        """Replay units, and write what that makes with the checkpoint `after`. Where the database refuses it, what was
        parked stays so; raises ProjectionFailed where it was not."""
        parking, before = self._parking, self._sieve.known
        replay = UnitReplay(
            self._events, self._reads, self._projection, parking, anew.units, self.position, self._project_all
        )
        try:
            self._put(replay.between(before, anew.known), after)
        except ProjectionFailed as error:
            if not anew.units <= before.parked.keys():
                raise
            self._put([writes_of(parking, before, refused(before, anew, reason_of(error)))], after)
        self._load()

    def _put(self, steps: list[Step], after: Checkpoint) -> None:
        with suppress(CheckpointMoved):  # then another projector went on, and does it
            self._reads.apply(self._projection.name, self._before, steps, after)

    def _project_all(self, events: Log, reads: ReadStore) -> None:
        replaying = Projector(events, reads, self._projection, parks=True)
        replaying._tell = log.debug  # what it parks waited before
        while replaying.step():
            pass

    def parked(self) -> list[ParkedUnit]:
        """Return the units that are parked in the stored tables, the first parked first."""
        if self._projection.parking is None:
            return []
        known = known_of(self._reads, self._projection.parking)
        return sorted(known.parked.values(), key=lambda unit: unit.position)

    def ask_retry(self, unit_ids: Collection[UUID]) -> set[UUID]:
        """Ask whichever projector is at work to try units again, or all; return which. Raises NotParked."""
        return ask(self._reads, self._projection, unit_ids)

    def begin_with(self, known: Known) -> None:
        """Park in empty tables, before the first event, what is parked in others."""
        parking = self._projection.parking
        parked = {id_: unit for id_, unit in known.parked.items() if parking and id_ not in parking.everybodys}
        if parking and parked:
            first = Checkpoint(self._projection.version, self._events.epoch, 0, NO_EVENT)
            writes = writes_of(parking, NOTHING, Known(parked, {}))
            self._reads.apply(self._projection.name, None, [writes], first)
            self._loaded = False

    def align(self, known: Known) -> None:
        """Park and leave out what other tables of the same position do."""
        with self._stepping:
            if self._projection.parking is None:
                return
            self._load()
            anew = aligned(self._projection.parking, self._sieve.known, known)
            if anew is not None:
                self._make_again_here(anew)

    def _keys_of(self, events: list[LogEvent]) -> dict[UUID, bytes]:
        return self._events.keys({event.key_id for event in events if event.key_id})

    def _written(self, after: Checkpoint) -> None:
        self._state.trim()
        with self._moved:
            self._before = after
            self._moved.notify_all()

    def hurry(self, stop: Callable[[], bool] = lambda: False, progress: Callable[[int], None] | None = None) -> int:
        """Project as long as whole batches wait, or until `stop`, and return how many events that were.

        The next batch is read, and the last one written, while one is folded. Where anything goes wrong, what was
        written stays, and the next `step` tells what it was. What `progress` raises ends it.
        """
        done = 0
        with self._stepping, seldom_collecting(), ThreadPoolExecutor(2, "tiu-projector-io") as pool:
            try:
                for written in self._written_batches(pool, stop):
                    done += written
                    if progress:
                        progress(written)
            except BaseException:
                self._loaded = False
                raise
        return done

    def _written_batches(self, pool: ThreadPoolExecutor, stop: Callable[[], bool]) -> Iterator[int]:
        """Yield how many events each batch had that was written; end at the first that is not."""
        try:
            if not self._loaded:
                self._load()
            for written, after in self._pipeline(pool, stop):
                self._written(after)
                yield written
        except Exception as error:  # noqa: BLE001 - it comes again where it is told properly
            self._loaded = False
            log.debug("projector goes on step by step: %s", error)

    def _pipeline(self, pool: ThreadPoolExecutor, stop: Callable[[], bool]) -> Iterator[tuple[int, Checkpoint]]:
        """Yield how many events each batch had, and its checkpoint, once it is written."""
        before = self._before
        writing: tuple[Future[None], int, Checkpoint] | None = None
        reading = pool.submit(self._read, self.position)
        full = True
        while full:
            events, keys = reading.result()
            full = self._more_may_wait(events) and not stop()
            if full:
                reading = pool.submit(self._read, events[-1].position)
            if events:
                steps, after = self._fold(events, keys, before)
                if writing:
                    yield _done(*writing)
                written = pool.submit(self._reads.apply, self._projection.name, before, steps, after)
                writing, before = (written, len(events), after), after
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
            self._reads.reset(self._projection)
            self._failure = None
            self._load()

    def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Project all there is, and return how many events that were; `progress` is told of each batch."""
        total = 0
        while done := self.hurry(progress=progress) or self._told(self.step(), progress):
            total += done
        return total

    @staticmethod
    def _told(done: int, progress: Callable[[int], None] | None) -> int:
        if done and progress:
            progress(done)
        return done

    def run(self, listener: Listener, stop: threading.Event) -> None:
        """Project until told to stop (set `stop`, wake `listener`). A store that is away is waited for.

        Raises CheckpointRefused or ProjectionFailed.
        """
        try:
            while not stop.is_set():
                try:
                    done = self.step()
                    if done == 0:
                        listener.wait(POLL_SECONDS)
                    elif done == self._batch_size:
                        self.hurry(stop.is_set)
                except StoreUnavailable as error:
                    log.warning("projector waits for its store: %s", error)
                    self._loaded = False
                    stop.wait(RETRY_SECONDS)
        except Exception as error:
            self._end(error)
            raise
        self._end(WaitTimeout("the projector was stopped"))

    def _end(self, reason: Exception) -> None:
        """Tell those that wait that nothing more comes."""
        with self._moved:
            self._failure = reason
            self._moved.notify_all()

    def wait_for(self, position: int, timeout: float) -> None:
        """Wait, while `run` runs in another thread, until the tables have the event at `position`.

        Raises EventParked where they have come past it without it, WaitTimeout, or what stopped the projector.
        """
        with self._moved:
            self._moved.wait_for(lambda: self.position >= position or self._failure, timeout)
            if self.position < position:
                raise self._failure or WaitTimeout(
                    f"the read tables stand at position {self.position}, not at {position}, after {timeout} s",
                    position=self.position,
                )
        if parked := {**self._sieve.parked}:
            require_projected(self._events, self._parking, parked, position)


def _done(written: Future[None], count: int, after: Checkpoint) -> tuple[int, Checkpoint]:
    """Wait for a batch to be written."""
    written.result()
    return count, after


def _another_history(projection: str, position: int) -> str:
    return (
        f"the tables of {projection} were made from a longer or another history than the event store now holds "
        f"(up to position {position}): run `tiu projector rebuild`"
    )


def poll_for(position: int, timeout: float, lag: Callable[[], Lag]) -> None:
    """Wait for another process's projector to come to `position`. Raises WaitTimeout."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while (now := lag().position) < position:
        if time.monotonic() > deadline:
            raise WaitTimeout(
                f"the read tables stand at position {now}, not at {position}, after {timeout} s: is one running?",
                position=now,
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
