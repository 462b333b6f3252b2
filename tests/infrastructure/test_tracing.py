"""Spans: what each says, in whose trace it stands, and that none says what is a person's own."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from claude_tiu import (
    ChangeEmail,
    ClaimNextTask,
    ClaimProgress,
    Command,
    Contended,
    CreateProject,
    MissingExtra,
    NotUnique,
    RegisterAgent,
    RenameUser,
    StoreUnavailable,
    Tiu,
    UserCreated,
    WrongStatus,
    aconnect,
    connect,
    register_tracing,
)
from claude_tiu.infrastructure.executor import _Moved
from claude_tiu.infrastructure.settings import Settings
from claude_tiu.infrastructure.span_names import ATTRIBUTES, LINKS, SPANS
from claude_tiu.infrastructure.tracing import CONTEXTS
from tests.support.history import PASSWORD_HASH, PROJECT, TASKS, USER, create_user, plan
from tests.support.spans import Spans, attributes, id_of, parent_of, traceparent_of
from tests.support.stores import Backend, PostgreSQLBackend, append, event

CREATE = CreateProject(user_id=USER, name="Payroll")


@pytest.fixture(params=[False, True], ids=["made by the SDK", "handed over"])
def spans(request: pytest.FixtureRequest) -> Iterator[Spans]:
    made = Spans(handed_over=request.param)
    yield made
    for span in made.all():
        if span.instrumentation_scope and span.instrumentation_scope.name == "claude_tiu":
            (told,) = [found for name, found in SPANS.items() if _is_named(span, name)]
            assert attributes(span).keys() <= {*told.attributes}, span.name
            assert {*told.attributes} <= ATTRIBUTES.keys()


def _is_named(span: ReadableSpan, name: str) -> bool:
    """Whether a span's name is one of those that the reference lists: the last word stands for others there."""
    return span.name.rpartition(" ")[0] == name.rpartition(" ")[0]


@pytest.fixture
def tiu(backend: Backend, spans: Spans) -> Iterator[Tiu]:
    with connect(backend.url, project=False) as tiu:
        tiu.execute_all([*plan()])
        spans.trace(tiu)
        yield tiu


def correlations(tiu: Tiu) -> list[str | None]:
    """Return the correlation of each event."""
    return [row.correlation_id for row in tiu.events.read_rows(0, 1_000)]


class TestCommands:
    def test_one_that_is_stored(self, tiu: Tiu, spans: Spans, backend: Backend) -> None:
        with spans.tracer.start_as_current_span("POST /projects") as request:
            answer = tiu.execute(CREATE)
        span = spans.one("execute CreateProject")
        assert parent_of(span) == id_of(request)
        found = attributes(span)
        assert found.pop("tiu.append.seconds") > 0
        assert found == {
            "tiu.command": "CreateProject",
            "tiu.outcome": "accepted",
            "tiu.stream": str(answer.id),
            "tiu.position": answer.position,
        }
        assert span.status.status_code is StatusCode.UNSET

    def test_a_unit_of_several_is_one_span(self, tiu: Tiu, spans: Spans) -> None:
        answers = tiu.execute_all([CREATE, create_user("bob"), CREATE])
        found = attributes(spans.one("execute commands"))
        assert (found["tiu.command"], found["tiu.commands"]) == (("CreateProject", "CreateUser"), 3)
        assert found["tiu.position"] == answers[-1].position

    def test_a_retry_is_told(self, tiu: Tiu, spans: Spans) -> None:
        command = CREATE.model_copy(update={"command_id": uuid4()})
        assert tiu.execute(command) == tiu.execute(command)
        outcomes = [attributes(span)["tiu.outcome"] for span in spans.named("execute CreateProject")]
        assert outcomes == ["accepted", "repeated"]

    def test_a_refusal_is_no_error(self, tiu: Tiu, spans: Spans) -> None:
        with pytest.raises(WrongStatus):
            tiu.execute(ClaimProgress(task_id=TASKS[0], claimed=10))
        span = spans.one("execute ClaimProgress")
        assert span.status.status_code is StatusCode.UNSET
        assert attributes(span) == {
            "tiu.command": "ClaimProgress",
            "tiu.outcome": "refused",
            "tiu.refusal": "wrong_status",
        }

    @pytest.mark.parametrize(
        ("error", "outcome", "code"),
        [
            (StoreUnavailable("gone"), "failed", "store_unavailable"),
            (ZeroDivisionError("of a broken build"), "failed", "ZeroDivisionError"),
        ],
    )
    def test_an_error_is_one(
        self, tiu: Tiu, spans: Spans, error: Exception, outcome: str, code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> Any:
            raise error

        monkeypatch.setattr(tiu.events, "append", fail)
        with pytest.raises(type(error)):
            tiu.execute(CREATE)
        span = spans.one("execute CreateProject")
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, code)
        assert attributes(span) == {"tiu.command": "CreateProject", "tiu.outcome": outcome, "error.type": code}

    def test_contention_is_an_error(self, tiu: Tiu, spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
        def contend(*_: Any) -> Any:
            raise Contended("again and again")

        monkeypatch.setattr(tiu._executor, "_execute", contend)
        with pytest.raises(Contended):
            tiu.execute(CREATE)
        span = spans.one("execute CreateProject")
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["tiu.outcome"] == "contended"

    def test_decided_again_it_says_how_often(self, tiu: Tiu, spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
        attempt, overtaken = tiu._executor._attempt, iter([True])

        def overtake(*arguments: Any, **options: Any) -> Any:
            if next(overtaken, False):
                raise _Moved(PROJECT)
            return attempt(*arguments, **options)

        monkeypatch.setattr(tiu._executor, "_attempt", overtake)
        tiu.execute(CREATE)
        assert attributes(spans.one("execute CreateProject"))["tiu.attempts"] == 2

    def test_what_is_no_command_has_no_name_of_its_own(self, tiu: Tiu, spans: Spans) -> None:
        with pytest.raises(TypeError):
            tiu.execute("create a project")  # type: ignore[arg-type]
        assert attributes(spans.one("execute unknown"))["error.type"] == "TypeError"

    def test_an_exclusive_one(self, tiu: Tiu, spans: Spans) -> None:
        agent = tiu.execute(RegisterAgent(name="worker", agent_type="tester")).id
        tiu.execute(ClaimNextTask(agent_id=agent, project_id=PROJECT))
        found = attributes(spans.one("execute ClaimNextTask"))
        assert found["tiu.outcome"] == "accepted"
        assert found["tiu.append.seconds"] > 0

    def test_in_a_transaction_of_the_hosts(self, postgresql: PostgreSQLBackend, spans: Spans) -> None:
        with connect(postgresql.url, project=False) as tiu, psycopg.connect(postgresql.url) as host:
            spans.trace(tiu)
            with spans.tracer.start_as_current_span("order") as order, host.transaction():
                tiu.execute_within(host, [create_user()])
            assert correlations(tiu) == [traceparent_of(order)]
        assert attributes(spans.one("execute CreateUser"))["tiu.outcome"] == "accepted"


class TestCorrelation:
    def test_it_is_the_current_span(self, tiu: Tiu, spans: Spans) -> None:
        with spans.tracer.start_as_current_span("POST /projects") as request:
            first = tiu.execute(CREATE)
            tiu.execute(create_user("bob"))
        correlation_id = traceparent_of(request)
        assert correlation_id is not None
        assert correlations(tiu)[first.position - 1 :] == [correlation_id] * 2
        told = [(entry.topic, entry.correlation_id) for entry in tiu.correlated(correlation_id)]
        assert told == [("project.created.v1", correlation_id), ("user.created.v1", correlation_id)]

    def test_where_none_is_current_it_is_the_commands_own(self, tiu: Tiu, spans: Spans) -> None:
        tiu.execute(CREATE)
        span = spans.one("execute CreateProject")
        assert parent_of(span) is None
        assert correlations(tiu)[-1] == traceparent_of(span)

    def test_one_that_is_given_stays(self, tiu: Tiu, spans: Spans) -> None:
        tiu.execute_all([CREATE, CREATE.model_copy(update={"correlation_id": "order-7"})])
        span = spans.one("execute CreateProject")
        assert correlations(tiu)[-2:] == [traceparent_of(span), "order-7"]

    def test_a_retry_in_another_trace_is_a_retry(self, tiu: Tiu, spans: Spans) -> None:
        command = CREATE.model_copy(update={"command_id": uuid4()})
        with spans.tracer.start_as_current_span("first") as first:
            answer = tiu.execute(command)
        with spans.tracer.start_as_current_span("second"):
            assert tiu.execute(command) == answer
        assert correlations(tiu)[-1] == traceparent_of(first)

    def test_awaited_in_threads_it_is_that_of_who_awaits(self, backend: Backend, spans: Spans) -> None:
        async def request(tiu: Any, number: int) -> tuple[int, str | None]:
            with spans.tracer.start_as_current_span("request") as span:
                answer = await tiu.execute(create_user(f"user-{number}"))
                return answer.position, traceparent_of(span)

        async def story() -> list[tuple[int, str | None]]:
            async with aconnect(backend.url, project=False) as tiu:
                spans.trace(tiu)
                return await asyncio.gather(*(request(tiu, number) for number in range(20)))

        told = dict(asyncio.run(story()))
        rows = backend.events().read_rows(0, 100)
        assert {row.position: row.correlation_id for row in rows} == told
        requests = {id_of(span) for span in spans.named("request")}
        assert {parent_of(span) for span in spans.named("execute CreateUser")} == requests

    def test_each_request_has_its_own_however_many_there_are(self, tiu: Tiu, spans: Spans) -> None:
        before = len(correlations(tiu))
        told = []
        for _ in range(2 * CONTEXTS + 3):
            with spans.tracer.start_as_current_span("request") as request:
                tiu.execute(CREATE)
                told.append(traceparent_of(request))
        assert correlations(tiu)[before:] == told
        requests = [id_of(span) for span in spans.named("request")]
        assert [parent_of(span) for span in spans.named("execute CreateProject")] == requests
        assert all(len(tracing._withins) <= CONTEXTS for tracing in spans.traced)


class Held:
    """Holds what is stored up until it is told to let it go on."""

    def __init__(self, tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self._go_on = threading.Event(), threading.Event()
        store: Any = tiu.events
        stored: Callable[..., Any] = store._store

        def hold(*arguments: Any) -> Any:
            self.begun.set()
            assert self._go_on.wait(60)
            return stored(*arguments)

        monkeypatch.setattr(store, "_store", hold)
        monkeypatch.setattr(store._group, "_free_slots", 1)  # one group at a time, on PostgreSQL too
        self._group = store._group

    def wait_for(self, units: int) -> None:
        while self._group._units < units:
            threading.Event().wait(0.002)

    def go_on(self) -> None:
        self._go_on.set()


class TestAppends:
    def test_who_is_stored_by_another_has_its_own_time_and_trace(
        self, tiu: Tiu, spans: Spans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = Held(tiu, monkeypatch)

        def request(number: int) -> None:
            with spans.tracer.start_as_current_span(f"request {number}"):
                tiu.execute(create_user(f"user-{number}"))

        with ThreadPoolExecutor(4) as pool:
            first = pool.submit(request, 0)
            assert held.begun.wait(60)
            others = [pool.submit(request, number) for number in range(1, 4)]
            held.wait_for(3)
            held.go_on()
            for future in (first, *others):
                future.result(60)
        commands = spans.named("execute CreateUser")
        assert [attributes(span).get("tiu.append.units") for span in commands].count(3) == 3
        assert len(commands) == 4, "the first was stored by itself, and has no number"
        requests = {id_of(span) for span in spans.all() if span.name.startswith("request")}
        assert {parent_of(span) for span in commands} == requests
        append = spans.one("append events")
        assert attributes(append)["db.operation.batch.size"] == 3
        leader = [span for span in commands if id_of(span) == parent_of(append)]
        assert [attributes(span)["tiu.append.units"] for span in leader] == [3]
        assert append.kind is SpanKind.CLIENT

    def test_what_belongs_to_no_command_has_a_span_of_its_own(self, tiu: Tiu, spans: Spans, backend: Backend) -> None:
        tiu.events.append([])
        assert spans.all() == ()
        append(tiu.events, event(topic="of.another.v1"))
        assert attributes(spans.one("append events")) == {
            "db.system.name": backend.name,
            "db.operation.name": "append",
            "db.collection.name": "events",
            "db.operation.batch.size": 1,
        }


class TestBatches:
    def test_a_batch_is_linked_to_where_its_events_come_from(self, backend: Backend, spans: Spans) -> None:
        with connect(backend.url, project=False) as tiu:
            spans.trace(tiu)
            requests = []
            for name in ("ada", "bob"):
                with spans.tracer.start_as_current_span("request") as request:
                    tiu.execute(create_user(name))
                    tiu.execute(create_user(f"{name}-too"))
                    requests.append(id_of(request))
            tiu.execute(create_user("eve", correlation_id="order-7"))
            tiu.catch_up()
            lag = tiu.lag()
        span = spans.one("process read_model")
        assert [link.context.span_id for link in span.links] == requests
        assert attributes(span) == {
            "tiu.projection": "read_model",
            "tiu.first_position": 1,
            "tiu.last_position": lag.last_position,
            "messaging.system": "claude_tiu",
            "messaging.destination.name": "events",
            "messaging.consumer.group.name": "read_model",
            "messaging.operation.type": "process",
            "messaging.batch.message_count": 5,
        }
        assert span.kind is SpanKind.CONSUMER
        assert parent_of(span) is None

    def test_links_are_bounded(self, backend: Backend, spans: Spans) -> None:
        with connect(backend.url, project=False) as tiu:
            spans.trace(tiu)
            for number in range(LINKS + 3):
                tiu.execute(create_user(f"user-{number}"))
            tiu.catch_up()
        assert len(spans.one("process read_model").links) == LINKS

    def test_whole_batches_are_told_one_by_one(self, backend: Backend, spans: Spans) -> None:
        with connect(backend.url, project=False) as tiu:
            spans.trace(tiu)
            tiu.execute_all([create_user(f"user-{number}") for number in range(5)])
            tiu.projector._batch_size = 2
            assert tiu.catch_up() == 5
        found = [attributes(span) for span in spans.named("process read_model")]
        assert [(one["tiu.first_position"], one["tiu.last_position"]) for one in found] == [(1, 2), (3, 4), (5, 5)]

    def test_one_that_cannot_be_projected_is_an_error(self, backend: Backend, spans: Spans) -> None:
        with connect(backend.url, project=False, settings=Settings(projector_on_poison="stop")) as tiu:
            spans.trace(tiu)
            append(tiu.events, event(topic="nobody.knows.v1"))
            with pytest.raises(Exception, match=r"nobody\.knows"):
                tiu.projector.step()
        span = spans.one("process read_model")
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "projection_failed")

    def test_a_rebuild(self, tiu: Tiu, spans: Spans) -> None:
        tiu.catch_up()
        report = tiu.rebuild()
        found = attributes(spans.one("rebuild read_model"))
        assert found == {"tiu.projection": "read_model", "tiu.events": report.events, "tiu.swapped": True}


class TestDeliveries:
    @pytest.fixture
    def users(self, backend: Backend, spans: Spans) -> Iterator[tuple[Tiu, Any]]:
        """A connection with a user who was created in a request, and the request."""
        with connect(backend.url, project=False) as tiu:
            spans.trace(tiu)
            with spans.tracer.start_as_current_span("request") as request:
                tiu.execute(create_user(user_id=USER))
            yield tiu, request

    def test_it_goes_on_with_the_trace_of_its_event(self, users: tuple[Tiu, Any], spans: Spans) -> None:
        tiu, request = users
        for delivery in tiu.subscribe("mails", UserCreated, until_end=True):
            assert delivery.correlation_id == traceparent_of(request)
            tiu.execute(CreateProject(user_id=delivery.stream_id, name="First"))
        span = spans.one("deliver mails")
        assert (parent_of(span), span.kind) == (id_of(request), SpanKind.CONSUMER)
        assert attributes(span) == {
            "tiu.subscription": "mails",
            "tiu.topic": "user.created.v1",
            "tiu.position": 1,
            "tiu.stream": str(USER),
            "messaging.system": "claude_tiu",
            "messaging.destination.name": "events",
            "messaging.consumer.group.name": "mails",
            "messaging.operation.type": "process",
            "messaging.message.id": str(delivery.id),
            "tiu.done": True,
        }
        assert parent_of(spans.one("execute CreateProject")) == id_of(span)
        assert correlations(tiu) == [traceparent_of(request)] * 2
        assert not get_current_span().get_span_context().is_valid, "nothing is left behind"

    def test_awaited_as_well(self, users: tuple[Tiu, Any], spans: Spans, backend: Backend) -> None:
        async def story() -> None:
            async with aconnect(backend.url, project=False) as tiu:
                spans.trace(tiu)
                async for delivery in tiu.subscribe("mails", UserCreated, until_end=True):
                    await tiu.execute(CreateProject(user_id=delivery.stream_id, name="First"))
                assert not get_current_span().get_span_context().is_valid

        tiu, request = users
        asyncio.run(story())
        span = spans.one("deliver mails")
        assert parent_of(span) == id_of(request)
        assert parent_of(spans.one("execute CreateProject")) == id_of(span)
        assert correlations(tiu) == [traceparent_of(request)] * 2

    def test_a_span_that_is_current_is_linked_to(self, users: tuple[Tiu, Any], spans: Spans) -> None:
        tiu, request = users
        with spans.tracer.start_as_current_span("worker") as worker:
            for _ in tiu.subscribe("mails", UserCreated, until_end=True):
                pass
            assert get_current_span() is worker
        span = spans.one("deliver mails")
        assert parent_of(span) == id_of(request)
        assert [link.context.span_id for link in span.links] == [id_of(worker)]

    def test_any_correlation_is_carried_on(self, tiu: Tiu, spans: Spans) -> None:
        first = tiu.execute(create_user("bob", correlation_id="order-7"))
        with spans.tracer.start_as_current_span("worker") as worker:
            for delivery in tiu.subscribe("mails", UserCreated, from_=first.position, until_end=True):
                tiu.execute(CreateProject(user_id=delivery.stream_id, name="First"))
        assert correlations(tiu)[first.position :] == ["order-7"]
        span = spans.one("deliver mails")
        assert (parent_of(span), span.links) == (id_of(worker), ())

    def test_one_that_is_broken_off_is_not_done(self, users: tuple[Tiu, Any], spans: Spans) -> None:
        tiu, _ = users
        for _ in tiu.subscribe("mails", UserCreated, until_end=True):
            break
        gc.collect()
        assert attributes(spans.one("deliver mails"))["tiu.done"] is False
        assert not get_current_span().get_span_context().is_valid

    def test_ended_elsewhere_it_leaves_the_context_alone(self, users: tuple[Tiu, Any], spans: Spans) -> None:
        tiu, _ = users
        deliveries = iter(tiu.subscribe("mails", UserCreated, until_end=True))
        with spans.tracer.start_as_current_span("one"):
            next(deliveries)
        with spans.tracer.start_as_current_span("another") as another:
            assert list(deliveries) == []
            assert get_current_span() is another
        assert attributes(spans.one("deliver mails"))["tiu.done"] is True


def test_nothing_of_a_persons_own_is_in_a_span(tiu: Tiu, spans: Spans) -> None:
    secrets = ("grace.hopper", "hopper@navy.example", PASSWORD_HASH, "cobol", "192.0.2.77")
    user = tiu.execute(create_user("grace.hopper", email="hopper@navy.example", actor="grace.hopper"))
    with pytest.raises(NotUnique):
        tiu.execute(create_user("grace.hopper", email="another@navy.example"))
    told: Sequence[Command] = [
        ChangeEmail(user_id=user.id, email="grace.hopper@navy.example"),
        RenameUser(user_id=user.id, username="cobol"),
    ]
    tiu.execute_all(told)
    tiu.catch_up()
    for _ in tiu.subscribe("mails", until_end=True):
        pass
    assert len(spans.all()) > 4
    assert [text for text in spans.texts() if any(secret in text for secret in secrets)] == []


def test_without_a_provider_no_trace_is_invented(backend: Backend) -> None:
    with connect(backend.url, project=False) as tiu:
        register_tracing(tiu)
        tiu.execute(create_user())
        tiu.catch_up()
        assert correlations(tiu) == [None]


def test_without_the_extra_it_is_named(tiu: Tiu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtra, match=r"claude-tiu\[opentelemetry\]"):
        register_tracing(tiu)
