"""Metrics for Prometheus, of one connection: `pip install 'claude-tiu[prometheus]'`.

A scrape never raises and never waits for long: where the database does not answer, `claude_tiu_up` is 0, and what only
the database knows is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Lock
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..domain.errors import Refused
from ..domain.registry import EVENTS as KNOWN
from .async_tiu import AsyncTiu
from .checkpoints import Standing
from .consumers import SubscriptionStatus
from .errors import MissingExtra, TablesDiffer
from .event_store import Stored
from .observing import Append, Batch, Delivering, Execution, Observer, Rebuilding, name_of
from .tiu import Tiu

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

SCRAPE_SECONDS = 5.0
"""How long a scrape waits for the database: less than Prometheus waits for a scrape (10 s by default)."""

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of durations, in seconds."""
MANY = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
"""Bounds of numbers."""


class Kept(NamedTuple):
    """A metric: what it says, its labels, and of a histogram the bounds of its buckets."""

    kind: Literal["gauge", "counter", "histogram"]
    says: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


COMMANDS = "claude_tiu_commands_total"
COMMAND_SECONDS = "claude_tiu_command_duration_seconds"
REFUSALS = "claude_tiu_refusals_total"
EVENTS = "claude_tiu_events_appended_total"
APPEND_SECONDS = "claude_tiu_append_duration_seconds"
APPEND_UNITS = "claude_tiu_append_group_units"
BATCH_SECONDS = "claude_tiu_projector_batch_duration_seconds"
BATCH_EVENTS = "claude_tiu_projector_batch_events"
FAILED_BATCHES = "claude_tiu_projector_failed_batches_total"
REBUILDS = "claude_tiu_rebuilds_total"
DELIVERIES = "claude_tiu_subscription_deliveries_total"
DELIVERY_SECONDS = "claude_tiu_subscription_delivery_duration_seconds"

OF_PROJECTION, OF_SUBSCRIPTION = ("projection",), ("subscription",)
METRICS = {
    "claude_tiu_up": Kept("gauge", "1 where the database answers, 0 where it does not."),
    "claude_tiu_log_position": Kept("gauge", "Position of the last event."),
    "claude_tiu_checkpoint_position": Kept(
        "gauge", "Position up to which the projection's tables have come.", OF_PROJECTION
    ),
    "claude_tiu_projector_lag_events": Kept(
        "gauge", "Events yet to be projected; all, where the checkpoint is refused.", OF_PROJECTION
    ),
    "claude_tiu_projector_parked_units": Kept(
        "gauge", "Units whose events wait, because one could not be projected.", OF_PROJECTION
    ),
    "claude_tiu_projector_parked_since_seconds": Kept(
        "gauge", "Since when the first of them is parked (Unix time); 0 where none is.", OF_PROJECTION
    ),
    "claude_tiu_checkpoint_refused": Kept(
        "gauge", "1 where the projection's tables must be rebuilt, else 0.", OF_PROJECTION
    ),
    "claude_tiu_projector_active": Kept(
        "gauge", "1 where this connection's projector is the active one, 0 where it stands by.", OF_PROJECTION
    ),
    "claude_tiu_projector_stopped": Kept(
        "gauge", "1 where this connection's projector stopped at a failure, else 0.", OF_PROJECTION
    ),
    "claude_tiu_subscription_lag_events": Kept(
        "gauge", "Events that the subscription has yet to look at.", OF_SUBSCRIPTION
    ),
    "claude_tiu_subscription_active": Kept(
        "gauge", "1 where some process consumes the subscription, 0 where none does.", OF_SUBSCRIPTION
    ),
    "claude_tiu_subscription_refused": Kept(
        "gauge", "1 where no consumer goes on from the subscription's checkpoint, else 0.", OF_SUBSCRIPTION
    ),
    "claude_tiu_pool_size": Kept("gauge", "Connections of this process's pool (PostgreSQL)."),
    "claude_tiu_pool_available": Kept("gauge", "Those of them that are idle (PostgreSQL)."),
    "claude_tiu_pool_requests_waiting": Kept("gauge", "Callers that wait for one (PostgreSQL)."),
    COMMANDS: Kept(
        "counter",
        "Commands by what became of them: accepted, repeated (stored before), refused, contended, failed.",
        ("command", "outcome"),
    ),
    COMMAND_SECONDS: Kept(
        "histogram", "How long commands took; several at once under `several`, where they differ.", ("command",), FAST
    ),
    REFUSALS: Kept("counter", "Units of commands that were refused, by the error's code.", ("refusal",)),
    EVENTS: Kept("counter", "Events that were appended.", ("topic",)),
    APPEND_SECONDS: Kept("histogram", "How long each caller's append took, with what it waited for others.", (), FAST),
    APPEND_UNITS: Kept("histogram", "How many units were stored in one transaction.", (), MANY),
    BATCH_SECONDS: Kept("histogram", "How long a batch took to be folded and written.", OF_PROJECTION, FAST),
    BATCH_EVENTS: Kept("histogram", "How many events a batch had.", OF_PROJECTION, MANY),
    FAILED_BATCHES: Kept("counter", "Batches that could not be projected as a whole, or written.", OF_PROJECTION),
    REBUILDS: Kept("counter", "Rebuilds by outcome: swapped, differing, failed.", ("projection", "outcome")),
    DELIVERIES: Kept(
        "counter",
        "Events that were delivered: done (the next was asked for), or broken_off (it is delivered again).",
        ("subscription", "outcome"),
    ),
    DELIVERY_SECONDS: Kept(
        "histogram", "How long it took until the next delivery was asked for.", OF_SUBSCRIPTION, FAST
    ),
}
GAUGES = [name for name, kept in METRICS.items() if kept.kind == "gauge"]
Stands = tuple[list[Standing], list[SubscriptionStatus]]
Values = dict[str, dict[str, float]]
"""Of each gauge its value, by projection or subscription; under no name, where it is of none."""


class Counted(Observer):
    """Counts and measures what it is told of."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Histogram

        self._metrics: list[Counter | Histogram] = []

        def histogram(name: str) -> Callable[..., Histogram]:
            kept = METRICS[name]
            metric = Histogram(name, kept.says, kept.labels, buckets=kept.bounds, registry=None)
            self._metrics.append(metric)
            return cache(metric.labels) if kept.labels else lambda: metric

        def counter(name: str) -> Callable[..., Counter]:
            kept = METRICS[name]
            metric = Counter(name, kept.says, kept.labels, registry=None)
            self._metrics.append(metric)
            return cache(metric.labels)

        # Each gives what counts for some labels: there are few, and to look for them costs as much as to count.
        self._commands, self._command_seconds = counter(COMMANDS), histogram(COMMAND_SECONDS)
        self._refusals, self._events = counter(REFUSALS), counter(EVENTS)
        self._append_seconds, self._append_units = histogram(APPEND_SECONDS)(), histogram(APPEND_UNITS)()
        self._batch_seconds, self._batch_events = histogram(BATCH_SECONDS), histogram(BATCH_EVENTS)
        self._failed_batches, self._rebuilds = counter(FAILED_BATCHES), counter(REBUILDS)
        self._deliveries, self._delivery_seconds = counter(DELIVERIES), histogram(DELIVERY_SECONDS)

    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics:
            yield from metric.collect()

    def executed(self, execution: Execution, begun: Any) -> None:
        took, became = _seconds(execution), execution.became
        names = [name_of(type(command)) for command in execution.commands]
        for name in names:
            self._commands(name, became).inc()
        if names:
            self._command_seconds(names[0] if len({*names}) == 1 else "several").observe(took)
        if isinstance(execution.error, Refused):
            self._refusals(execution.error.code).inc()
        for append in execution.tells:
            self.appended(append)

    def appended(self, append: Append) -> None:
        for unit, outcome in zip(append.units, append.outcomes, strict=False):
            if isinstance(outcome, Stored):
                for event in unit.events:
                    self._events(event.topic if event.topic in KNOWN else "unknown").inc()
        for _ in range(append.callers or 1):
            self._append_seconds.observe(_seconds(append))
        if append.led:
            self._append_units.observe(append.group)

    def projected(self, batch: Batch) -> None:
        if batch.error is not None:
            self._failed_batches(batch.projection).inc()
            return
        self._batch_seconds(batch.projection).observe(_seconds(batch))
        self._batch_events(batch.projection).observe(batch.events)

    def delivering(self, delivering: Delivering) -> Callable[[], None]:
        began = perf_counter()

        def end() -> None:
            self._deliveries(delivering.subscription, "done" if delivering.done else "broken_off").inc()
            self._delivery_seconds(delivering.subscription).observe(perf_counter() - began)

        return end

    def rebuilt(self, rebuilding: Rebuilding) -> None:
        outcome = "failed"
        if isinstance(rebuilding.error, TablesDiffer):
            outcome = "differing"
        elif rebuilding.error is None:
            outcome = "swapped"
        self._rebuilds(rebuilding.projection, outcome).inc()


class TiuCollector:
    """What a registry asks at each scrape."""

    def __init__(self, tiu: Tiu, wait: float = SCRAPE_SECONDS) -> None:
        self._tiu = tiu
        self._wait = wait
        self._lock = Lock()
        self._reader = ThreadPoolExecutor(1, "tiu-metrics")
        self._reading: Future[Stands] | None = None
        self.counted = Counted()

    def describe(self) -> Iterator[Metric]:
        """Yield every metric, the gauges without a value: nothing is asked of the database."""
        for name in GAUGES:
            yield _gauge(name)
        yield from self.counted.collect()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        for name, values in {**self._of_the_database(), **self._of_this_process()}.items():
            yield _gauge(name, values)
        yield from self.counted.collect()

    def _of_the_database(self) -> Values:
        try:
            standings, subscriptions = self._read().result(self._wait)
        except Exception:  # noqa: BLE001 - whatever it is, a scrape says so by claude_tiu_up
            return {"claude_tiu_up": {"": 0}}
        found: Values = {
            "claude_tiu_up": {"": 1},
            "claude_tiu_log_position": {"": max(standing.lag.last_position for standing in standings)},
        }
        for standing in standings:
            lag, since = standing.lag, standing.lag.parked_since
            for name, value in {
                "claude_tiu_checkpoint_position": lag.position,
                "claude_tiu_projector_lag_events": standing.behind,
                "claude_tiu_projector_parked_units": lag.parked,
                "claude_tiu_projector_parked_since_seconds": since.timestamp() if since else 0,
                "claude_tiu_checkpoint_refused": bool(standing.refused),
            }.items():
                found.setdefault(name, {})[lag.projection] = value
        found["claude_tiu_subscription_lag_events"] = {status.name: status.behind for status in subscriptions}
        found["claude_tiu_subscription_active"] = {status.name: bool(status.active) for status in subscriptions}
        found["claude_tiu_subscription_refused"] = {status.name: bool(status.refused) for status in subscriptions}
        return found

    def _read(self) -> Future[Stands]:
        """Read in a thread of its own, so that a scrape need not wait for its end; one at a time, however many ask."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = self._reader.submit(self._stands)
            return self._reading

    def _stands(self) -> Stands:
        return [side.projector.standing() for side in self._tiu.sides.values()], self._tiu.subscriptions()

    def _of_this_process(self) -> Values:
        projectors = {name: side.projector for name, side in self._tiu.sides.items()}
        values: Values = {
            "claude_tiu_projector_active": {name: found.active for name, found in projectors.items()},
            "claude_tiu_projector_stopped": {name: found.failure is not None for name, found in projectors.items()},
        }
        if pool := self._tiu.monitor.pool():
            values["claude_tiu_pool_size"] = {"": pool.size}
            values["claude_tiu_pool_available"] = {"": pool.available}
            values["claude_tiu_pool_requests_waiting"] = {"": pool.requests_waiting}
        return values


def _seconds(told: Execution | Append | Batch) -> float:
    """Return how long something took: no less than nothing, though the clock may have been set back meanwhile."""
    return max(0, told.ended - told.began) / 1e9


def _gauge(name: str, values: Mapping[str, float] = MappingProxyType({})) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    gauge = GaugeMetricFamily(name, METRICS[name].says, labels=METRICS[name].labels)
    for of, value in values.items():
        gauge.add_metric([of] if METRICS[name].labels else [], value)
    return gauge


def without_prometheus() -> MissingExtra:
    return MissingExtra("metrics need prometheus-client: pip install 'claude-tiu[prometheus]'")


def register_metrics(tiu: Tiu | AsyncTiu, registry: CollectorRegistry | None = None) -> TiuCollector:
    """Register the metrics of a connection, with prometheus_client's default registry if none is given.

    What the connection does is counted from now on. Unregister what is returned when the connection is closed. Raises
    MissingExtra without the extra `prometheus`, and ValueError where the registry has a connection's metrics already.
    """
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        raise without_prometheus() from None
    sync = tiu.sync if isinstance(tiu, AsyncTiu) else tiu
    collector = TiuCollector(sync)
    untyped: Any = collector  # it has what a Collector has; that base class is in the extra
    (REGISTRY if registry is None else registry).register(untyped)
    sync.observing.add(collector.counted)
    return collector
