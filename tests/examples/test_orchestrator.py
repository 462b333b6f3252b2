"""The example service: started by its one command, used as a browser would, on both stores."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest

import claude_tiu
from claude_tiu import ClaimNextTask, CompleteProject, PutBackTask, aconnect, connect
from claude_tiu.infrastructure.settings import sqlite_url
from examples.orchestrator.seeding import CREW, PROJECT, seed
from examples.orchestrator.validating import SUBSCRIPTION, look_at
from examples.orchestrator.working import Worker, made
from tests.support.postgres_server import database_url, new_database
from tests.support.stores import BACKENDS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "orchestrator"
PATIENCE = 60.0
FAST, SLOW = 0.01, 240.0
HOSTILE = "<script>alert(1)</script> \"'&{{7*7}} é"
TASKS = 7
VALIDATED = "validation_run.completed.v1"

Event = tuple[int, dict[str, Any]]
"""(the id that the stream gives it, its data)."""


class Service(NamedTuple):
    process: subprocess.Popen[str]
    http: httpx.Client
    database: str

    def events(self, project: str, last: int | None = None) -> Iterator[Event]:
        """Yield what the event stream sends, as an EventSource takes it."""
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        with self.http.stream("GET", f"/api/projects/{project}/events", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield int(fields["id"]), json.loads(fields["data"])
                    fields = {}

    def until(self, project: str, enough: Callable[[list[Event]], bool], got: Sequence[Event] = ()) -> list[Event]:
        """Return what it had got, and what the stream sends behind that, until it is enough; then it is cut off."""
        events = [*got]
        for event in self.events(project, got[-1][0] if got else None):
            events.append(event)
            if enough(events):
                return events
        raise AssertionError(f"the stream ended behind {events[-1:]}")

    def create(self, name: str, key: str | None = None, *, tasks: bool = False) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.http.post("/api/projects", json={"name": name, "from_template": tasks}, headers=headers)

    def project(self, project: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.http.get(f"/api/projects/{project}").raise_for_status().json()
        return shown

    def task(self, project: str, name: str) -> dict[str, Any]:
        (found,) = [task for task in self.project(project)["tasks"] if task["name"] == name]
        assert isinstance(found, dict)
        return found


@contextmanager
def started(database: str, pace: float) -> Iterator[Service]:
    """Run the one command; it is stopped, and must have stopped well."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DB_", "SQLITE_"))}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "examples.orchestrator", "--port", "0", "--pace", str(pace)],
        cwd=ROOT,
        env={**environment, "DATABASE_URL": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), process.communicate(timeout=PATIENCE)
        with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
            yield Service(process, client, database)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said) == (0, ""), said
    finally:
        process.kill()
        process.communicate()


def validated(count: int) -> Callable[[list[Event]], bool]:
    """Whether so many validation runs are completed."""
    return lambda events: sum(data["topic"] == VALIDATED for _, data in events) >= count


@pytest.fixture(scope="module", params=BACKENDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database that is empty, or not there yet."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path_factory.mktemp("example") / "orchestrator.db")
        return
    server = request.getfixturevalue("pg_server")
    with new_database(server, "example") as name:
        yield database_url(server, name)


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with started(database, FAST) as service:
        yield service


@pytest.fixture(scope="module")
def told(service: Service) -> list[Event]:
    """What the stream of a new project tells until its tasks are done and validated, cut off at every seventh event."""
    created = service.create(HOSTILE, tasks=True)
    assert created.status_code == 201
    got: list[Event] = []
    while not validated(TASKS)(got):
        got = service.until(created.json()["id"], lambda events: len(events) % 7 == 0 or validated(TASKS)(events), got)
    return got


@pytest.fixture(scope="module")
def project(told: list[Event]) -> str:
    """The id of that project."""
    id_: str = told[0][1]["stream_id"]
    return id_


def test_agents_do_every_task_and_validation_finds_out_how_much_of_it_is_real(service: Service, project: str) -> None:
    shown = service.project(project)
    assert {task["status"] for task in shown["tasks"]} == {"completed"}
    assert len(shown["tasks"]) == TASKS
    numbers = shown["project"]
    assert shown["claimed"] == pytest.approx(100)
    assert 20 <= numbers["authenticity_rate"] < 100
    assert numbers["fake_progress"] == pytest.approx(100 - numbers["real_progress"])
    boast = service.task(project, "Test plan")  # for testers alone, and the one there is boasts
    assert (boast["real_progress"], boast["fake_progress"]) == (20, 80)


def test_what_is_fake_has_issues_that_say_where(service: Service, project: str) -> None:
    issues = [one for one in service.project(project)["issues"] if one["task_name"] == "Tests of the ledger"]
    assert [one["description"] for one in issues] == [f"step_{step} does nothing" for step in (2, 3, 4, 5)]
    assert [one["line_number"] for one in issues] == [6, 9, 12, 15]
    assert {one["severity"] for one in issues} == {"high"}
    assert all(one["file_path"].startswith("work/") for one in issues)


def test_a_stream_that_is_cut_off_goes_on_behind_what_it_had_and_misses_nothing(
    service: Service, project: str, told: list[Event]
) -> None:
    with connect(service.database, project=False) as tiu:
        there = [entry.position for entry in tiu.history(UUID(project), everything=True)]
    assert [position for position, _ in told] == there[: len(told)]
    assert all(data["position"] == position for position, data in told)
    assert service.until(project, validated(TASKS)) == told


def test_a_request_that_is_sent_again_with_its_key_is_done_once(service: Service) -> None:
    key = str(uuid4())
    first, again = service.create("Once", key), service.create("Once", key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["location"] == f"/projects/{first.json()['id']}"
    names = [row["name"] for row in service.http.get("/api/projects").json()]
    assert names.count("Once") == 1
    other = service.create("Other", key)
    assert (other.status_code, other.json()["code"]) == (422, "command_id_reused")
    assert service.create("Twice").json()["id"] != service.create("Twice").json()["id"]


def test_what_is_sent_back_is_done_and_validated_again_and_its_earlier_issues_are_resolved(
    service: Service, project: str, told: list[Event]
) -> None:
    task = service.task(project, "Test plan")
    earlier = issues_of(service, project, task["id"])
    url, headers = f"/api/tasks/{task['id']}/rework", {"Idempotency-Key": str(uuid4())}
    answers = [service.http.post(url, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    service.until(project, validated(TASKS + 1), told)
    wait_until(lambda: not earlier & issues_of(service, project, task["id"]))
    assert (len(earlier), len(issues_of(service, project, task["id"]))) == (4, 4)


def issues_of(service: Service, project: str, task: str) -> set[str]:
    return {one["id"] for one in service.project(project)["issues"] if one["task_id"] == task}


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_event_that_is_delivered_again_is_validated_once(service: Service, project: str) -> None:
    with connect(service.database, project=False) as tiu:
        tiu.catch_up()
        reports = tiu.read.reports(UUID(project))
        end = tiu.subscriptions()[0].position
        tiu.rewind_subscription(SUBSCRIPTION, 0)
        wait_until(lambda: tiu.subscriptions()[0].position >= end)
        tiu.catch_up()
        assert tiu.read.reports(UUID(project)) == reports


def test_refusals_are_problems_with_the_code_of_the_rule(service: Service) -> None:
    id_ = service.create("Refused").json()["id"]
    with connect(service.database, project=False) as tiu:  # another process of the same database
        tiu.execute(CompleteProject(project_id=UUID(id_)))
    answers = [
        service.http.get(f"/api/projects/{uuid4()}"),
        service.http.get(f"/api/projects/{uuid4()}/events"),
        service.http.post(f"/api/tasks/{uuid4()}/rework"),
        service.http.post(f"/api/projects/{id_}/tasks", json={"name": "Too late"}),
        service.http.post(f"/api/projects/{id_}/tasks", json={"name": "", "estimated_duration": 0}),
        service.http.post(f"/api/projects/{id_}/tasks", json={"actor": "root"}),
        service.http.get("/api/projects/1"),
        service.http.get("/nothing"),
    ]
    assert [(answer.status_code, answer.json().get("code")) for answer in answers] == [
        (404, "not_found"),
        (404, "not_found"),
        (404, "not_found"),
        (409, "wrong_status"),
        (422, "invalid_command"),
        (422, None),
        (422, None),
        (404, None),
    ]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["title"]
        assert answer.json()["detail"]
    faults = [fault["field"] for fault in answers[4].json()["details"]["faults"]]
    assert faults == ["name", "estimated_duration"]


@pytest.mark.parametrize("path", ["/", "/projects/{id}", "/projects/{id}/live"])
def test_a_page_shows_names_as_they_are_and_never_as_markup(service: Service, project: str, path: str) -> None:
    service.http.post(f"/api/projects/{project}/tasks", json={"name": HOSTILE}).raise_for_status()
    answer = service.http.get(path.format(id=project))
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &#34;&#39;&amp;{{7*7}} é" in answer.text
    # Whatever else a page asks for is the service's own.
    for link in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert link == "data:," or service.http.get(link).status_code == 200


def test_it_stops_by_sigterm_with_open_streams_and_gives_back_what_its_agents_hold(tmp_path: Path) -> None:
    database = sqlite_url(tmp_path / "orchestrator.db")
    with started(database, SLOW) as service:
        project = service.http.get("/api/projects").json()[0]["id"]
        wait_until(lambda: sum(task["status"] == "in_progress" for task in service.project(project)["tasks"]) >= 2)
        stream = service.events(project)
        next(stream)
        service.process.send_signal(signal.SIGTERM)
        list(stream)  # it is ended, not broken off
        service.process.wait(PATIENCE)  # its agents would have rested for longer
    asyncio.run(seeded_again(database))
    with connect(database) as tiu:
        tiu.catch_up()
        assert {row.status for row in tiu.read.assignments(UUID(project))} == {"released"}
        assert {task.status for task in tiu.read.tasks(UUID(project))} == {"pending"}
        assert len(tiu.read.projects()) == 1


async def seeded_again(database: str) -> None:
    async with aconnect(database) as tiu:
        await seed(tiu)


def test_an_agent_gives_back_what_it_held_when_the_service_was_killed_and_goes_on_where_a_task_is_taken_from_it(
    tmp_path: Path,
) -> None:
    async def story() -> list[str]:
        agent, stopping = CREW[0], asyncio.Event()
        async with aconnect(sqlite_url(tmp_path / "orchestrator.db")) as tiu:
            await seed(tiu)
            claim = ClaimNextTask(agent_id=agent.id, project_id=PROJECT)
            held = await tiu.execute(claim)
            async with asyncio.TaskGroup() as group:
                group.create_task(Worker(tiu, agent, 0.1, stopping).run())
                while (await tiu.get(held.id)).claimed < 20:  # it was given back, and claimed again
                    await asyncio.sleep(0.01)
                await tiu.execute(PutBackTask(task_id=held.id))
                while (await tiu.get(held.id)).status != "completed":
                    await asyncio.sleep(0.01)
                stopping.set()
            await tiu.catch_up()
            return [row.status for row in await tiu.read.assignments(PROJECT) if row.task_id == held.id]

    assert asyncio.run(asyncio.wait_for(story(), PATIENCE)) == ["completed", "released", "released"]


def test_a_function_that_does_nothing_is_found_whatever_the_file_claims() -> None:
    assert look_at(made('All """ of \\ it\n', 4, 3)) == (75.0, [("step_4", 12)])
    assert look_at("x = 1") == (0.0, [])


def test_the_example_uses_public_names_alone() -> None:
    found = []
    for path in EXAMPLE.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    found += [f"{path.name}: {one.name}" for one in names if one.name.partition(".")[0] == "claude_tiu"]
                case ast.ImportFrom(module=str(module), level=0, names=names) if module.startswith("claude_tiu"):
                    public = claude_tiu.__all__ if module == "claude_tiu" else ()
                    found += [f"{path.name}: {module}.{one.name}" for one in names if one.name not in public]
                case ast.Attribute(attr="sync"):
                    found.append(f"{path.name}: .sync, what the asynchronous face is made of")
    assert found == []
