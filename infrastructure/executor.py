"""Command handling: load what a decision needs, decide, append under guards; decide again if anything moved.

A unit is one command, or several that are stored together or not at all.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from uuid import UUID

from ..domain.errors import CommandIdReused, Refused
from ..domain.messages import Command
from .decision import Answer, Decision, Request, created_id, prepare
from .errors import Contended, KeyMissing, StoreUnavailable
from .event_store import Conflict, EventStore, Known, Stored, Taken
from .mapper import decode
from .streams import Stream, StreamCache, load_stream

ATTEMPTS = 20
"""How often a unit is decided before its command is told that others are always faster."""
CACHED_ATTEMPTS = 5
"""How often it is decided on what the cache has: each attempt may come upon one more stream there that had moved."""
PAUSE_SECONDS = 0.002


class _Moved(Exception):
    """What an attempt rested on has moved."""

    def __init__(self, stream_ids: Sequence[UUID]) -> None:
        self.stream_ids = stream_ids


class Executor:
    """Executes commands against an event store. Thread-safe."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._cache = StreamCache()
        self._retrying = threading.Lock()
        self._excluding = threading.Lock()

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        """Execute commands as one unit: all are stored, in one commit, or none is.

        Raises Refused (of the first command that is; that a unique value is taken is found last), Contended or
        StoreUnavailable. A unit whose commit was lost sight of is found again by its command_ids, never stored twice.
        """
        requests = [prepare(command) for command in commands]
        distinct = _distinct(requests)
        lost = raced = False
        for attempt in range(ATTEMPTS):
            try:
                with self._retrying if raced else nullcontext():  # those that lost a race do not race each other
                    answers = self._attempt(distinct, cached=attempt < CACHED_ATTEMPTS)
            except StoreUnavailable:
                self._cache.clear()  # what comes back may be a store restored from before
                if lost:
                    raise
                lost = True
                continue
            if answers is not None:
                return [answers[request.command_id] for request in requests]
            raced = True
            time.sleep(random.uniform(0, PAUSE_SECONDS * 2 ** min(attempt, 6)))  # noqa: S311 - spreads retries
        raise Contended(f"other writers moved what the command rests on, {ATTEMPTS} times; try again")

    def _attempt(self, requests: Sequence[Request], *, cached: bool) -> dict[UUID, Answer] | None:
        """Return the answers by command_id, or None where something moved meanwhile."""
        if self._cache.incarnation != self._store.incarnation:
            self._cache = StreamCache(incarnation=self._store.incarnation)
        try:
            if any(request.command.exclusive for request in requests):
                return self._attempt_exclusively(requests)
            return self._attempt_on(self._store, requests, cached=cached)
        except _Moved as moved:
            self._cache.drop(moved.stream_ids)
            return None

    def _attempt_exclusively(self, requests: Sequence[Request]) -> dict[UUID, Answer]:
        """Decide and append one command after the other, in one transaction that holds the ordering lock.

        So each finds in the write-side tables what those before it did. One that rested on a stale state is decided
        again at once, on streams as they stand: nobody else moves them now. One at a time of this process waits for
        the lock.
        """
        answers: dict[UUID, Answer] = {}
        streams: dict[UUID, Stream] = {}
        with self._excluding, self._store.exclusive() as store:
            if (known := _known(store, requests)) is not None:
                return known
            for request in requests:
                try:
                    answers |= self._attempt_on(store, [request], streams)
                except _Moved as moved:
                    self._cache.drop(moved.stream_ids)
                    answers |= self._attempt_on(store, [request], streams, cached=False)
        self._cache.put(streams)
        return answers

    def _attempt_on(
        self,
        store: EventStore,
        requests: Sequence[Request],
        written: dict[UUID, Stream] | None = None,
        *,
        cached: bool = True,
    ) -> dict[UUID, Answer]:
        """Return the answers by command_id. Raises Refused, or _Moved where something moved meanwhile.

        States come from the cache (if `cached`) where it has them: the guards find out, at the append, whether they
        had moved. A refusal is given only if nothing that it rests on has. In an exclusive store, `written` are the
        streams as its transaction has left them; what is not stored yet does not come into the cache.
        """

        cache = self._cache

        def load(stream_id: UUID) -> Stream:
            if written and stream_id in written:
                return written[stream_id]
            return cache.get(store, stream_id) if cached else load_stream(store, stream_id)

        decision = Decision(store, load, exclusive=written is not None)
        try:
            decided = {request.command_id: decision.decide(request) for request in requests}
        except (Refused, KeyMissing):  # a key that is gone may be that of one who was forgotten meanwhile
            if written is None and (known := _known(store, requests)) is not None:
                return known
            if moved := _moved(store, decision.seen):
                raise _Moved(moved) from None
            raise
        unit = replace(decision.unit(), incarnation=cache.incarnation)
        (outcome,) = store.append([unit]) if requests else (Stored(0),)
        match outcome:
            case Stored(first_position):
                if written is None:
                    cache.put(decision.streams)
                else:
                    written.update(decision.streams)
                return {
                    command_id: answer._replace(position=first_position + answer.position - 1)
                    for command_id, answer in decided.items()
                }
            case Taken(reservation):
                raise decision.taken(reservation)
            case Conflict(stream_id):  # and with it whatever else was read before it moved
                raise _Moved([stream_id, *_moved(store, decision.seen)])
            case Known():
                known = _known(store, requests)
                if known is None:
                    raise _Moved([])
                return known


def _known(store: EventStore, requests: Sequence[Request]) -> dict[UUID, Answer] | None:
    """Return the first answers of commands that are stored already; None where none is.

    Raises CommandIdReused where some are and some are not, or where one had other content.
    """
    asked = {request.command_id: request for request in requests}
    digests: dict[UUID, bytes] = {}  # made when found: by then another may have made the person, with a key
    answers: dict[UUID, Answer] = {}
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


def _moved(store: EventStore, seen: Mapping[UUID, int]) -> list[UUID]:
    """Return which streams are no longer at the version at which they were read."""
    newest = {stream_id: store.select_events(stream_id, desc=True, limit=1) for stream_id in seen}
    return [id_ for id_, events in newest.items() if (events[0].originator_version if events else 0) != seen[id_]]


def _distinct(requests: Sequence[Request]) -> list[Request]:
    """Leave out what is a retry of a command in the same unit. Raises CommandIdReused where its content differs."""
    by_id: dict[UUID, Request] = {}
    for request in requests:
        if by_id.setdefault(request.command_id, request).content != request.content:
            raise _reused(request.command_id)
    return list(by_id.values())


def _reused(command_id: UUID) -> CommandIdReused:
    return CommandIdReused(f"command_id {command_id} was used before, with other content", command_id=command_id)
