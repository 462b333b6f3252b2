"""Command handling: load what a decision needs, decide, append under guards; decide again if anything moved.

A unit is one command, or several that are stored together or not at all.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from ..domain.errors import CommandIdReused, Refused
from ..domain.messages import Command
from .ahead import Ahead, load_ahead
from .attempts import Attempt, make_together
from .decision import Answer, Request, created_id, prepare, read_named
from .errors import Contended, KeyMissing, StoreUnavailable
from .event_store import Conflict, EventStore, Outcome, Stored, Taken, Unit
from .mapper import decode
from .observing import Append, Executed, Execution
from .streams import Reading, Stream, StreamCache
from .together import Together

ATTEMPTS = 6
"""How often a unit is decided where what it rests on moves; the last time under the ordering lock, when nothing can."""
PAUSE_SECONDS = 0.001
TURNS = 64


class _Moved(Exception):
    """What an attempt rested on has moved."""

    def __init__(self, stream_id: UUID | None) -> None:
        self.stream_id = stream_id


class _FirstAnswers(dict[UUID, Answer]):
    """Of commands that were stored before."""


@dataclass(slots=True)
class _Transaction:
    """What was written in an exclusive store, before its transaction ends."""

    streams: dict[UUID, Stream] = field(default_factory=dict)
    units: list[Unit] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


class Executor:
    """Executes commands against an event store. Thread-safe."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._cache = StreamCache(incarnation=store.incarnation)
        self._turns = [threading.Lock() for _ in range(TURNS)]
        """Each of the streams whose hash it is: those of this process that lost a race for one take turns."""
        self._excluding = threading.Lock()
        self._together = Together[Attempt](partial(make_together, store), timeout=store.timeout)

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands as one unit: all are stored, in one commit, or none is.

        Raises Refused (of the first command that is; that a unique value is taken is found last), Contended or
        StoreUnavailable. A unit whose commit was lost sight of is found again by its command_ids, never stored twice.
        """
        return self._store.observing.execute(commands, self._execute)

    def _execute(self, commands: Sequence[Command], execution: Execution | None) -> Executed:
        correlation_id = None if execution is None else execution.correlation_id
        ahead = self._load_ahead(commands)
        try:
            requests = [prepare(command, correlation_id) for command in commands]
            return self._decided(requests, execution, ahead)
        finally:
            if ahead is not None:
                ahead.close()

    def _load_ahead(self, commands: Sequence[Command]) -> Ahead | None:
        """Ask for what one command names, where nobody works beside it: that of several threads is loaded together,
        later."""
        if len(commands) != 1 or not self._together.deserted:
            return None
        return load_ahead(self._store, self._present_cache(), commands[0])

    def _decided(self, requests: Sequence[Request], execution: Execution | None, ahead: Ahead | None) -> Executed:
        """Decide requests until what they rest on stands still, and store what was decided."""
        distinct = _distinct(requests) if len(requests) > 1 else requests
        exclusive = any(request.command.exclusive for request in distinct)
        retried = any(request.retried for request in distinct)
        lost = False
        turn = self._turn(distinct)
        attempts = 0
        while attempts < ATTEMPTS:
            try:
                with turn:
                    if exclusive or attempts == ATTEMPTS - 1:
                        answers = self._attempt_exclusively(distinct, execution, retried=retried)
                    else:
                        answers = self._attempt(self._store, distinct, execution, retried=retried, ahead=ahead)
            except StoreUnavailable:
                self._cache.clear()  # what comes back may be a store restored from before
                if lost:
                    raise
                lost = retried = True
            except _Moved as moved:
                attempts += 1
                turn = self._turns[hash(moved.stream_id) % TURNS]
                if attempts > 1:  # the first time, others are hardly faster again
                    time.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempts))  # noqa: S311 - spreads retries
            else:
                return _executed(requests, answers, attempts + 1)
        raise Contended(f"what the command rests on moved {ATTEMPTS} times; try again")

    def execute_exclusively(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands as one unit, decided once, while nobody else can store anything. Raises as `execute`."""
        return self._store.observing.execute(commands, self._execute_exclusively)

    def _execute_exclusively(self, commands: Sequence[Command], execution: Execution | None) -> Executed:
        correlation_id = None if execution is None else execution.correlation_id
        requests = [prepare(command, correlation_id) for command in commands]
        retried = any(request.retried for request in requests)
        return _executed(requests, self._attempt_exclusively(_distinct(requests), execution, retried=retried), 1)

    def _turn(self, requests: Sequence[Request]) -> AbstractContextManager[Any]:
        """Return what a unit waits for before its first attempt: its turn, where others race for its stream now."""
        stream_id = requests[0].stream_id if requests else None
        turn = self._turns[hash(stream_id) % TURNS]
        return turn if stream_id is not None and turn.locked() else nullcontext()

    def _attempt_exclusively(
        self, requests: Sequence[Request], execution: Execution | None, *, retried: bool
    ) -> dict[UUID, Answer]:
        """Decide and append in one transaction that holds the ordering lock: nobody else moves anything meanwhile.

        Where any command is exclusive, one after the other: each finds in the write-side tables what those before it
        did. What rested on a stale state is decided again at once, on streams as they stand. One at a time of this
        process waits for the lock; what the commands name is read before it is held.
        """
        exclusive = any(request.command.exclusive for request in requests)
        answers: dict[UUID, Answer] = {}
        transaction, began = _Transaction(), time.time_ns()
        with self._excluding:
            read_named(Reading(self._store, self._present_cache()), requests)
            with self._store.exclusive() as store:
                if retried and (known := _known(store, requests)) is not None:
                    return known
                for part in [[request] for request in requests] if exclusive else [requests]:
                    try:
                        answers |= self._attempt(store, part, execution, transaction)
                    except _Moved:
                        answers |= self._attempt(store, part, execution, transaction, trusted=False)
        self._cache.put(transaction.streams)
        if transaction.units and execution is not None:
            units, outcomes = transaction.units, transaction.outcomes
            append = Append(units, 1, began, time.time_ns(), outcomes, len(units), led=True)
            execution.note(append, tells=True)
        return answers

    def _present_cache(self) -> StreamCache:
        """Return the cache; an empty one where the database has crashed since: what it had may be gone."""
        incarnation = self._store.incarnation
        if self._cache.incarnation != incarnation:
            self._cache = StreamCache(incarnation=incarnation)
        return self._cache

    def _require_unmoved(self, reading: Reading, cache: StreamCache) -> None:
        """Raise _Moved where anything that was read has moved, or may have been lost in a crash."""
        moved = reading.moved()
        if moved or self._present_cache() is not cache:
            raise _Moved(next(iter(moved or reading.seen), None))

    def _attempt(
        self,
        store: EventStore,
        requests: Sequence[Request],
        execution: Execution | None,
        transaction: _Transaction | None = None,
        *,
        retried: bool = False,
        trusted: bool = True,
        ahead: Ahead | None = None,
    ) -> dict[UUID, Answer]:
        """Return the answers by command_id. Raises Refused, or _Moved where something moved meanwhile.

        A refusal is given only if nothing that it rests on has. In an exclusive store, `transaction` is what it has
        written; what is not stored yet does not come into the cache. `ahead` was loaded for this attempt.
        """
        if transaction is None:
            attempt = self._made(requests, execution, ahead)
        else:
            attempt = self._made_in(store, requests, transaction, trusted)
        reading, cache = attempt.reading, attempt.cache
        if (error := attempt.error) is not None:
            if isinstance(error, Refused | KeyMissing):
                if retried and (known := _known(store, requests)) is not None:
                    return known
                # A key that is gone may be that of one who was forgotten since the streams were read.
                if isinstance(error, KeyMissing) or not reading.of_one_moment:
                    self._require_unmoved(reading, cache)
            raise error
        match attempt.outcome:
            case Stored(first_position):
                return {
                    command_id: Answer(id_, version, first_position + number - 1)
                    for command_id, (id_, version, number) in attempt.decided.items()
                }
            case Taken(reservation):
                self._require_unmoved(reading, cache)  # else it may be refused for another reason
                raise attempt.decision.taken(reservation)
            case Conflict(stream_id):  # and with it whatever else was read before it moved
                self._require_unmoved(reading, cache)
                raise _Moved(stream_id)
            case _:
                known = _known(store, requests)
                if known is None:
                    raise _Moved(requests[0].command_id)
                return known

    def _made(self, requests: Sequence[Request], execution: Execution | None, ahead: Ahead | None) -> Attempt:
        """Make an attempt: together with those of other threads, unless they might have to wait long for it."""
        cache = self._present_cache()
        if len(requests) == 1 and not (requests[0].aggregate.grows or requests[0].command.personal):
            attempt = Attempt(self._store, cache, requests, ahead=ahead, loads=False)
            try:
                self._together.do(attempt, key=requests[0].stream_id, size=len(requests[0].content))
            finally:
                if execution is not None:
                    execution.note(attempt.appended, tells=attempt.tells)
            if attempt.made:
                return attempt
        attempt = Attempt(self._store, cache, requests, ahead=ahead)
        attempt.decide()
        if attempt.error is None:
            try:
                attempt.append()
            finally:
                if execution is not None:
                    execution.note(attempt.appended, tells=attempt.tells)
            attempt.keep()
        return attempt

    def _made_in(
        self, store: EventStore, requests: Sequence[Request], transaction: _Transaction, trusted: bool
    ) -> Attempt:
        """Make an attempt in an exclusive store."""
        attempt = Attempt(store, self._present_cache(), requests, transaction.streams, exclusive=True, trusted=trusted)
        attempt.decide()
        if attempt.error is None:
            units = attempt.append()
            if isinstance(attempt.outcome, Stored):
                transaction.streams.update(attempt.decision.written)
                transaction.units += units
                transaction.outcomes.append(attempt.outcome)
        return attempt


def _executed(requests: Sequence[Request], answers: dict[UUID, Answer], attempts: int) -> Executed:
    return Executed([answers[request.command_id] for request in requests], isinstance(answers, _FirstAnswers), attempts)


def _known(store: EventStore, requests: Sequence[Request]) -> _FirstAnswers | None:
    """Return the first answers of commands that are stored already; None where none is.

    Raises CommandIdReused where some are and some are not, or where one had other content.
    """
    asked = {request.command_id: request for request in requests}
    digests: dict[UUID, bytes] = {}  # made when found: by then another may have made the person, with a key
    answers = _FirstAnswers()
    first_streams: dict[UUID, UUID] = {}
    for command_id, digest, stream_id, version, topic, state, position in store.trace(list(asked)):
        if command_id not in digests:
            digests[command_id] = asked[command_id].known_digest(store)
        if digest != digests[command_id]:
            raise _reused(command_id)
        first = answers.get(command_id) or Answer(created_id(decode(topic, state, stream_id, version), stream_id), 0, 0)
        own = first_streams.setdefault(command_id, stream_id) == stream_id
        answers[command_id] = Answer(first.id, version if own else first.version, position)
    if answers:
        store.flush()  # an answer is given for good
    if answers and len(answers) < len(asked):
        unknown = [str(command_id) for command_id in asked if command_id not in answers]
        raise CommandIdReused(
            f"of these {len(asked)} commands, {len(answers)} are stored already: a unit is retried whole",
            unknown=unknown,
        )
    return answers or None


def _distinct(requests: Sequence[Request]) -> list[Request]:
    """Leave out what is a retry of a command in the same unit. Raises CommandIdReused where its content differs."""
    by_id: dict[UUID, Request] = {}
    for request in requests:
        if by_id.setdefault(request.command_id, request).content != request.content:
            raise _reused(request.command_id)
    return list(by_id.values())


def _reused(command_id: UUID) -> CommandIdReused:
    return CommandIdReused(f"command_id {command_id} was used before, with other content", command_id=command_id)
