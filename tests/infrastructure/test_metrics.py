"""The metrics for Prometheus: what they say, and that a scrape never raises and never waits for long."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from claude_tiu import (
    ClaimNextTask,
    CreateProject,
    MissingExtra,
    NotFound,
    NotUnique,
    RegisterAgent,
    StartTask,
    Tiu,
    UserCreated,
    aconnect,
    connect,
    register_metrics,
)
from claude_tiu.infrastructure.metrics import GAUGES, METRICS, TiuCollector
from claude_tiu.infrastructure.settings import Settings
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.board import BOARD, migrate
from tests.support.history import PROJECT, create_user, plan
from tests.support.patience import PATIENCE
from tests.support.stores import Backend, PostgreSQLBackend, append, event

POOL = {"claude_tiu_pool_size", "claude_tiu_pool_available", "claude_tiu_pool_requests_waiting"}
PROCESS = {"claude_tiu_up", "claude_tiu_projector_active", "claude_tiu_projector_stopped"}


def scraped(collector: TiuCollector) -> dict[str, float]:
    """Return the gauges that have a value."""
    found = (sample for metric in collector.collect() if metric.type == "gauge" for sample in metric.samples)
    return {sample.name: sample.value for sample in found}


def parked(found: dict[str, float]) -> tuple[float, float]:
    """How many units are parked, and since when the first is."""
    return found["claude_tiu_projector_parked_units"], found["claude_tiu_projector_parked_since_seconds"]


def until(found: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not found() and time.monotonic() < deadline:
        time.sleep(0.02)
    return found()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


@pytest.fixture
def tiu(backend: Backend) -> Iterator[Tiu]:
    with connect(backend.url, project=False) as connection:
        yield connection


def test_lag_and_positions(tiu: Tiu, registry: CollectorRegistry) -> None:
    register_metrics(tiu, registry)

    def values() -> list[float | None]:
        labels = {"projection": READ_MODEL.name}
        return [
            registry.get_sample_value("claude_tiu_up"),
            registry.get_sample_value("claude_tiu_log_position"),
            registry.get_sample_value("claude_tiu_checkpoint_position", labels),
            registry.get_sample_value("claude_tiu_projector_lag_events", labels),
            registry.get_sample_value("claude_tiu_checkpoint_refused", labels),
            registry.get_sample_value("claude_tiu_projector_stopped", labels),
        ]

    assert values() == [1, 0, 0, 0, 0, 0]
    tiu.execute_all([create_user("ada"), create_user("bob"), create_user("eve")])
    assert values() == [1, 3, 0, 3, 0, 0]
    tiu.projector.catch_up()
    assert values() == [1, 3, 3, 0, 0, 0]


def test_every_gauge_is_described_and_has_a_value(tiu: Tiu, backend: Backend) -> None:
    collector = TiuCollector(tiu)

    assert [metric.name for metric in collector.describe()] == [name.removesuffix("_total") for name in METRICS]
    assert [metric.type for metric in collector.describe()] == [kept.kind for kept in METRICS.values()]
    assert all(metric.documentation for metric in collector.describe())
    tiu.subscribe("mails")
    assert set(scraped(collector)) == set(GAUGES) - (POOL if backend.name == "sqlite" else set())


class TestCounts:
    """What is counted of a connection's own work."""

    @pytest.fixture
    def value(self, tiu: Tiu, registry: CollectorRegistry) -> Callable[..., float | None]:
        register_metrics(tiu, registry)

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"claude_tiu_{name}", labels)

        return value

    def test_commands_by_what_became_of_them(self, tiu: Tiu, value: Callable[..., float | None]) -> None:
        command = create_user(command_id=uuid4())
        tiu.execute(command)
        tiu.execute(command)
        for _ in range(3):
            with pytest.raises(NotUnique):
                tiu.execute(create_user())
        with pytest.raises(TypeError):
            tiu.execute("something of somebody")  # type: ignore[arg-type]
        outcomes = ("accepted", "repeated", "refused", "contended", "failed")
        counted = [value("commands_total", command="CreateUser", outcome=outcome) for outcome in outcomes]
        assert counted == [1, 1, 3, None, None]
        assert value("commands_total", command="unknown", outcome="failed") == 1
        assert value("refusals_total", refusal="not_unique") == 3
        assert value("command_duration_seconds_count", command="CreateUser") == 5
        took = value("command_duration_seconds_sum", command="CreateUser")
        assert took is not None
        assert 0 < took < 60

    def test_nothing_takes_less_than_no_time(
        self, tiu: Tiu, value: Callable[..., float | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clock is set back by a minute each time that it is looked at."""
        now = count(time.time_ns(), -60_000_000_000)
        monkeypatch.setattr(time, "time_ns", lambda: next(now))
        tiu.execute(create_user())
        tiu.projector.catch_up()
        assert value("command_duration_seconds_sum", command="CreateUser") == 0
        assert value("append_duration_seconds_sum") == 0
        assert value("projector_batch_duration_seconds_sum", projection=READ_MODEL.name) == 0

    def test_a_unit_counts_each_command_and_is_timed_as_one(self, tiu: Tiu, value: Callable[..., float | None]) -> None:
        tiu.execute_all([create_user("ada"), create_user("bob")])
        with pytest.raises(NotFound):
            tiu.execute_all([create_user("eve"), CreateProject(user_id=uuid4(), name="Billing")])
        assert value("commands_total", command="CreateUser", outcome="accepted") == 2
        assert value("commands_total", command="CreateUser", outcome="refused") == 1
        assert value("commands_total", command="CreateProject", outcome="refused") == 1
        assert value("command_duration_seconds_count", command="CreateUser") == 1
        assert value("command_duration_seconds_count", command="several") == 1

    def test_events_and_appends(self, tiu: Tiu, value: Callable[..., float | None]) -> None:
        tiu.execute_all([create_user("ada"), create_user("bob")])
        with pytest.raises(NotUnique):
            tiu.execute(create_user())
        assert value("events_appended_total", topic="user.created.v1") == 2
        assert value("append_duration_seconds_count") == value("append_group_units_count") == 2
        assert value("append_group_units_sum") == 2
        append(tiu.events, event(topic="something.of_somebody.v1"))
        assert value("events_appended_total", topic="unknown") == 1

    def test_what_an_exclusive_command_appends_is_counted_once_it_is_stored(
        self, tiu: Tiu, value: Callable[..., float | None]
    ) -> None:
        tiu.execute_all([*plan()])
        agent = tiu.execute(RegisterAgent(name="worker", agent_type="tester")).id
        with pytest.raises(NotFound):
            tiu.execute_all([ClaimNextTask(agent_id=agent, project_id=PROJECT), StartTask(task_id=uuid4())])
        assert value("events_appended_total", topic="task.assigned.v1") is None
        tiu.execute(ClaimNextTask(agent_id=agent, project_id=PROJECT))
        assert value("events_appended_total", topic="task.assigned.v1") == 1

    def test_batches_and_rebuilds(self, tiu: Tiu, value: Callable[..., float | None]) -> None:
        tiu.execute_all([create_user(f"user-{number}") for number in range(7)])
        tiu.catch_up()
        tiu.rebuild()
        assert value("projector_batch_events_sum", projection="read_model") == 7
        assert value("projector_batch_duration_seconds_count", projection="read_model") == 1
        assert value("projector_failed_batches_total", projection="read_model") is None
        assert value("rebuilds_total", projection="read_model", outcome="swapped") == 1

    def test_subscriptions(self, tiu: Tiu, value: Callable[..., float | None]) -> None:
        tiu.execute_all([create_user("ada"), create_user("bob"), create_user("eve")])
        for delivery in tiu.subscribe("mails", UserCreated):
            if delivery.position == 2:
                break
        gc.collect()
        assert value("subscription_deliveries_total", subscription="mails", outcome="done") == 1
        assert value("subscription_deliveries_total", subscription="mails", outcome="broken_off") == 1
        assert value("subscription_delivery_duration_seconds_count", subscription="mails") == 2
        assert value("subscription_lag_events", subscription="mails") == 2
        assert value("subscription_active", subscription="mails") == 0
        assert value("subscription_refused", subscription="mails") == 0

    def test_batches_that_fail(self, backend: Backend, registry: CollectorRegistry) -> None:
        with connect(backend.url, project=False) as tiu:
            register_metrics(tiu, registry)
            append(tiu.events, event(topic="nobody.knows.v1"))
            tiu.catch_up()
        labels = {"projection": "read_model"}
        assert registry.get_sample_value("claude_tiu_projector_failed_batches_total", labels) == 1


def test_each_projection_has_its_own(backend: Backend, registry: CollectorRegistry) -> None:
    migrate(backend, BOARD)
    with connect(backend.url, project=False, projections=[BOARD]) as tiu:
        register_metrics(tiu, registry)
        tiu.execute_all([*plan()])
        tiu.projection(BOARD.name).catch_up()

        def both(name: str) -> list[float | None]:
            names = (READ_MODEL.name, BOARD.name)
            return [registry.get_sample_value(f"claude_tiu_{name}", {"projection": of}) for of in names]

        last = tiu.lag().last_position
        assert both("projector_lag_events") == [last, 0]
        assert both("checkpoint_position") == [0, last]
        assert both("projector_batch_events_sum") == [None, last]
        assert both("projector_active") == both("projector_stopped") == [0, 0]


def test_of_an_asynchronous_connection(backend: Backend, registry: CollectorRegistry) -> None:
    async def story() -> None:
        async with aconnect(backend.url, project=False) as tiu:
            register_metrics(tiu, registry)
            await asyncio.gather(*(tiu.execute(create_user(f"user-{number}")) for number in range(40)))

    asyncio.run(story())
    labels = {"command": "CreateUser", "outcome": "accepted"}
    assert registry.get_sample_value("claude_tiu_commands_total", labels) == 40
    assert registry.get_sample_value("claude_tiu_append_group_units_sum") == 40


def test_the_text_that_is_scraped(tiu: Tiu, registry: CollectorRegistry) -> None:
    register_metrics(tiu, registry)
    lines = generate_latest(registry).decode().splitlines()

    assert "claude_tiu_up 1.0" in lines
    assert 'claude_tiu_projector_lag_events{projection="read_model"} 0.0' in lines
    assert "# TYPE claude_tiu_projector_lag_events gauge" in lines


def test_a_projector_that_stopped_at_an_event(backend: Backend) -> None:
    with connect(backend.url, settings=Settings(projector_on_poison="stop")) as tiu:
        collector = TiuCollector(tiu)
        tiu.wait_for(tiu.execute(create_user()))
        assert scraped(collector)["claude_tiu_projector_stopped"] == 0
        append(backend.events(), event(topic="nobody.knows.v1"))
        assert until(lambda: scraped(collector)["claude_tiu_projector_stopped"] == 1)
        found = scraped(collector)
    assert (found["claude_tiu_up"], found["claude_tiu_projector_lag_events"]) == (1, 1)
    assert parked(found) == (0, 0)


def test_units_that_are_parked(backend: Backend) -> None:
    with connect(backend.url) as tiu:
        collector = TiuCollector(tiu)
        tiu.wait_for(tiu.execute(create_user()))
        assert parked(scraped(collector)) == (0, 0)
        began = time.time()
        for topic in ("nobody.knows.v1", "nobody.either.v1"):
            append(backend.events(), event(topic=topic))
        tiu.wait_for(tiu.execute(create_user("bob")))
        found, since = scraped(collector), min(unit.since for unit in tiu.parked()).timestamp()
    assert (found["claude_tiu_projector_lag_events"], found["claude_tiu_projector_stopped"]) == (0, 0)
    assert parked(found) == (2, since)
    assert began - 0.001 <= since <= time.time()


def test_a_projector_that_was_told_to_stop_has_not_failed(backend: Backend) -> None:
    with connect(backend.url) as tiu:
        tiu.wait_for(tiu.execute(create_user()))
    assert tiu.projector.failure is None
    assert scraped(TiuCollector(tiu))["claude_tiu_projector_stopped"] == 0


def test_a_refused_checkpoint_leaves_all_events_to_be_projected(tiu: Tiu, backend: Backend) -> None:
    tiu.execute_all([create_user("ada"), create_user("bob")])
    tiu.projector.catch_up()
    backend.on_reads("UPDATE checkpoints SET version = version + 1")
    found = scraped(TiuCollector(tiu))

    assert found["claude_tiu_checkpoint_refused"] == 1
    assert found["claude_tiu_projector_lag_events"] == found["claude_tiu_checkpoint_position"] == 2


def test_of_a_connection_that_was_closed_nothing_is_up(backend: Backend) -> None:
    with connect(backend.url, project=False) as tiu:
        collector = TiuCollector(tiu)
    found = scraped(collector)

    assert found["claude_tiu_up"] == 0
    assert set(found) - POOL == PROCESS


def test_tables_that_cannot_be_read(tiu: Tiu, backend: Backend, registry: CollectorRegistry) -> None:
    collector = register_metrics(tiu, registry)
    backend.on_reads("DROP TABLE checkpoints")

    assert scraped(collector)["claude_tiu_up"] == 0
    assert b"claude_tiu_up 0.0" in generate_latest(registry)


@contextmanager
def away(postgresql: PostgreSQLBackend, server: str) -> Iterator[None]:
    """Let nobody connect to a database, and cut those who are."""
    name = psycopg.conninfo.conninfo_to_dict(postgresql.url)["dbname"]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def test_a_database_that_is_away_and_comes_back(postgresql: PostgreSQLBackend, pg_server: str) -> None:
    with connect(postgresql.url, project=False) as tiu:
        collector = TiuCollector(tiu, wait=0.5)
        assert until(lambda: scraped(collector)["claude_tiu_up"] == 1)
        with away(postgresql, pg_server):
            for _ in range(3):
                found = scraped(collector)
                assert found["claude_tiu_up"] == 0
                assert set(found) == PROCESS | POOL
        assert until(lambda: scraped(collector)["claude_tiu_up"] == 1)


def test_a_database_that_does_not_answer_is_not_waited_for(postgresql: PostgreSQLBackend) -> None:
    before = set(threading.enumerate())  # readers of other tests may still wait for the garbage collector
    with connect(postgresql.url, project=False) as tiu:
        collector = TiuCollector(tiu, wait=0.1)
        assert until(lambda: scraped(collector)["claude_tiu_up"] == 1)
        with psycopg.connect(postgresql.url) as other:
            other.execute("LOCK TABLE checkpoints")
            for _ in range(5):  # or this waited for ever
                assert scraped(collector)["claude_tiu_up"] == 0
            begun = set(threading.enumerate()) - before
            reading = [thread for thread in begun if thread.name.startswith("tiu-metrics")]
            assert len(reading) == 1, "however many scrapes, one reads"
        assert until(lambda: scraped(collector)["claude_tiu_up"] == 1)


def test_the_use_of_the_pool(postgresql: PostgreSQLBackend) -> None:
    with connect(postgresql.url, project=False) as tiu:
        found = scraped(TiuCollector(tiu))
        pool = tiu.monitor.pool()
        assert pool is not None
        assert {name: found[name] for name in POOL} == {
            "claude_tiu_pool_size": pool.size,
            "claude_tiu_pool_available": pool.available,
            "claude_tiu_pool_requests_waiting": 0,
        }
        assert 1 <= pool.size <= 5


def test_a_registry_takes_one_connection_at_a_time(tiu: Tiu, registry: CollectorRegistry) -> None:
    collector = register_metrics(tiu, registry)
    with pytest.raises(ValueError, match="claude_tiu_up"):
        register_metrics(tiu, registry)
    registry.unregister(collector)
    register_metrics(tiu, registry)


def test_without_the_extra_it_is_named(tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match=r"claude-tiu\[prometheus\]"):
        register_metrics(tiu)


def test_extras_are_not_imported_before_they_are_asked_for() -> None:
    extras = "{'prometheus_client', 'opentelemetry'}"
    code = f"import sys, claude_tiu.infrastructure.cli; sys.exit(not {extras}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
