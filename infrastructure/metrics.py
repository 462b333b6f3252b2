"""Gauges for Prometheus, of one connection: `pip install 'claude-tiu[prometheus]'`.

A scrape never raises and never waits for long: where the database does not answer, `claude_tiu_up` is 0, and what only
the database knows is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..projections.read_model import READ_MODEL
from .checkpoints import Standing
from .errors import MissingExtra
from .tiu import Tiu

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

SCRAPE_SECONDS = 5.0
"""How long a scrape waits for the database: less than Prometheus waits for a scrape (10 s by default)."""

GAUGES = {
    "claude_tiu_up": "1 where the database answers, 0 where it does not.",
    "claude_tiu_log_position": "Position of the last event.",
    "claude_tiu_checkpoint_position": "Position up to which the projection's tables have come.",
    "claude_tiu_projector_lag_events": "Events yet to be projected; all, where the checkpoint is refused.",
    "claude_tiu_projector_parked_units": "Units whose events wait, because one could not be projected.",
    "claude_tiu_projector_parked_since_seconds": "Since when the first of them is parked (Unix time); 0 where none is.",
    "claude_tiu_checkpoint_refused": "1 where the projection's tables must be rebuilt, else 0.",
    "claude_tiu_projector_active": "1 where this connection's projector is the active one, 0 where it stands by.",
    "claude_tiu_projector_stopped": "1 where this connection's projector stopped at a failure, else 0.",
    "claude_tiu_pool_size": "Connections of this process's pool.",
    "claude_tiu_pool_available": "Those of them that are idle.",
    "claude_tiu_pool_requests_waiting": "Callers that wait for one.",
}
OF_A_PROJECTION = ("claude_tiu_checkpoint", "claude_tiu_projector")
Values = dict[str, float]


class TiuCollector:
    """What a registry asks at each scrape."""

    def __init__(self, tiu: Tiu, wait: float = SCRAPE_SECONDS) -> None:
        self._tiu = tiu
        self._wait = wait
        self._lock = Lock()
        self._reader = ThreadPoolExecutor(1, "tiu-metrics")
        self._reading: Future[Standing] | None = None

    def describe(self) -> Iterator[Metric]:
        """Yield every gauge without a value: nothing is asked of the database."""
        for name in GAUGES:
            yield _gauge(name)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges as they are now."""
        for name, value in {**self._of_the_database(), **self._of_this_process()}.items():
            yield _gauge(name, value)

    def _of_the_database(self) -> Values:
        try:
            standing = self._read().result(self._wait)
        except Exception:  # noqa: BLE001 - whatever it is, a scrape says so by claude_tiu_up
            return {"claude_tiu_up": 0}
        since = standing.lag.parked_since
        return {
            "claude_tiu_up": 1,
            "claude_tiu_log_position": standing.lag.last_position,
            "claude_tiu_checkpoint_position": standing.lag.position,
            "claude_tiu_projector_lag_events": standing.behind,
            "claude_tiu_projector_parked_units": standing.lag.parked,
            "claude_tiu_projector_parked_since_seconds": since.timestamp() if since else 0,
            "claude_tiu_checkpoint_refused": bool(standing.refused),
        }

    def _read(self) -> Future[Standing]:
        """Read in a thread of its own, so that a scrape need not wait for its end; one at a time, however many ask."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = self._reader.submit(self._tiu.projector.standing)
            return self._reading

    def _of_this_process(self) -> Values:
        values: Values = {
            "claude_tiu_projector_active": self._tiu.projector.active,
            "claude_tiu_projector_stopped": self._tiu.projector.failure is not None,
        }
        if pool := self._tiu.monitor.pool():
            values["claude_tiu_pool_size"] = pool.size
            values["claude_tiu_pool_available"] = pool.available
            values["claude_tiu_pool_requests_waiting"] = pool.requests_waiting
        return values


def _gauge(name: str, value: float | None = None) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    labels = {"projection": READ_MODEL.name} if name.startswith(OF_A_PROJECTION) else {}
    gauge = GaugeMetricFamily(name, GAUGES[name], labels=list(labels))
    if value is not None:
        gauge.add_metric(list(labels.values()), value)
    return gauge


def register_metrics(tiu: Tiu, registry: CollectorRegistry | None = None) -> TiuCollector:
    """Register the gauges of a connection, with prometheus_client's default registry if none is given.

    Unregister what is returned when the connection is closed. Raises MissingExtra without the extra `prometheus`, and
    ValueError where the registry has the gauges of a connection already.
    """
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        raise MissingExtra("metrics need prometheus-client: pip install 'claude-tiu[prometheus]'") from None
    collector = TiuCollector(tiu)
    untyped: Any = collector  # it has what a Collector has; that base class is in the extra
    (REGISTRY if registry is None else registry).register(untyped)
    return collector
