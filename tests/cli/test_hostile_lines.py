"""Hostile lines: commands from their own schemas, spoiled and not, and bytes of any kind, on both stores at once.

Whatever comes: one answer a line, in order; what is refused stores nothing; what is accepted is stored, is projected,
and is the same on both stores.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from claude_tiu import Answer, AsyncTiu, Command, TiuError, aconnect, connect
from claude_tiu.domain.registry import COMMANDS
from claude_tiu.projections.read_model import READ_MODEL
from tests.cli.running import Ran, environment, script, tiu
from tests.support.faults import record
from tests.support.from_schema import as_line, as_python, lines
from tests.support.history import PASSWORD_HASH
from tests.support.hostile import Told, same_ids_and_times, told
from tests.support.places import assert_chained, rows_of
from tests.support.spoiling import has_text, tell_spoiled
from tests.support.stores import Backend

Fields = tuple[str, dict[str, Any]]
Execute = Callable[[Command], Answer]
Face = Callable[[str], AbstractContextManager[Execute]]
"""What is given a database's URL, and gives what executes commands in it."""

FEW = settings(max_examples=max(6, settings().max_examples // 6), suppress_health_check=list(HealthCheck))

RAW = (
    *(b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"\x00", b"{}", b"[]", b"null", b"1", b'"', b"{", b"}", b"\r", b" \t "),
    *(b'{"command": "CreateUser"}\x00', b'{"command": "CreateUser", "command": "X"}', b'{"command": {"command": 1}}'),
    *(b'{"command": "StartTask", "task_id": 1e400}', b'{"\xed\xa0\x80": 1}', b"[" * 300, b'{"a":' * 300, b"\x1b[2J"),
    *(
        b'{"command": "ExpireClaims", "attempts_limit": 1, "attempts_limit": 0}',
        b"NaN",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
    ),
)
ENDS = (b"\n", b"\r\n", b"\r", b"", b"\n\n", b"\x0b", b"\x85", b"\xe2\x80\xa8")
"""What lines, or what is no end of one, may end with."""


@pytest.fixture(scope="module")
def history(pg_server: str, pg_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with told(tmp_path_factory.mktemp("told"), pg_server, pg_template) as made:
        yield made


def events_of(backend: Backend) -> int:
    ((count,),) = backend.on_events("SELECT count(*) FROM events")
    return int(count)


def applied(backend: Backend, given: bytes) -> Ran:
    with same_ids_and_times():
        return tiu("apply", "-", "--db", backend.url, stdin=given)


def assert_whole(backend: Backend) -> None:
    """The log is whole, and the read tables have all of it."""
    assert_chained(rows_of(backend))
    assert backend.on_reads("SELECT * FROM parked_units") == []
    assert backend.on_reads("SELECT position FROM checkpoints") == backend.on_events("SELECT max(position) FROM events")


def assert_alike(backends: Sequence[Backend]) -> None:
    one, other = (backend.rows(READ_MODEL) for backend in backends)
    for table in one:
        assert one[table] == other[table], table


def answered(ran: Ran, expected: list[int]) -> list[dict[str, Any]]:
    """The answers, which must be one for each of the lines."""
    assert ran.err == ""
    answers = ran.answers
    assert [answer["line"] for answer in answers] == expected
    assert ran.status == (1 if any("error" in answer for answer in answers) else 0)
    for answer in answers:
        if "error" in answer:
            assert set(answer["error"]) == {"code", "message", "details"}
            assert len(json.dumps(answer)) < 20_000
    return answers


class TestApply:
    @FEW
    @given(data=st.data())
    def test_whatever_a_line_holds(self, history: Told, data: st.DataObject) -> None:
        given = data.draw(st.lists(lines(history.ids), min_size=1, max_size=16))
        stdin = b"".join(as_line(*line) + b"\n" for line in given)
        with history.copies() as backends:
            outcomes = [self.outcome(backend, stdin, [*range(1, len(given) + 1)]) for backend in backends]
            assert outcomes[0] == outcomes[1]
            assert_alike(backends)

    @FEW
    @given(chunks=st.lists(st.binary(max_size=40) | st.sampled_from(RAW), max_size=12), joint=st.sampled_from(ENDS))
    def test_whatever_bytes_come(self, history: Told, chunks: list[bytes], joint: bytes) -> None:
        good = [as_line("CreateUser", somebody(number)) for number in range(3)]
        stdin = good[0] + b"\n" + joint.join(chunks) + b"\n" + good[1] + b"\r\n" + joint.join(chunks) + b"\n" + good[2]
        expected = [number for number, line in enumerate(stdin.split(b"\n"), 1) if line.strip()]
        with history.copies() as backends:
            outcomes = [self.outcome(backend, stdin, expected) for backend in backends]
        assert outcomes[0] == outcomes[1]
        assert sum("error" not in answer for answer in outcomes[0]) == 3

    def outcome(self, backend: Backend, stdin: bytes, expected: list[int]) -> list[dict[str, Any]]:
        """Apply lines, and check that all that was answered so is stored, nothing else is, and all of it projected."""
        before = events_of(backend)
        answers = answered(applied(backend, stdin), expected)
        told = {answer["position"] for answer in answers if answer.get("position", 0) > before}
        rows = backend.on_events("SELECT max(position) FROM events WHERE position > ? GROUP BY command_id", before)
        stored = {position for (position,) in rows}
        note(f"{len(stored)} of {len(answers)} stored")
        lost, besides = len(told - stored), len(stored - told)
        record("hostile_lines", backend.name, tried=len(answers), lost=lost, doubled=besides)
        assert (lost, besides) == (0, 0)
        assert_whole(backend)
        return answers


@contextmanager
def called(url: str) -> Iterator[Execute]:
    with connect(url, project=False) as tiu:
        yield tiu.execute


@contextmanager
def awaited(url: str) -> Iterator[Execute]:
    async def begun() -> AsyncTiu:
        return await aconnect(url, project=False)

    with asyncio.Runner() as runner:
        tiu = runner.run(begun())
        try:
            yield lambda command: runner.run(tiu.execute(command))
        finally:
            runner.run(tiu.close())


@contextmanager
def within_a_transaction(url: str) -> Iterator[Execute]:
    """Of somebody else's, for all of them: what is refused leaves it as it was."""
    with connect(url, project=False) as tiu, psycopg.connect(url) as connection:
        connection.execute("SELECT 1")
        yield lambda command: tiu.execute_within(connection, [command])[0]


FACES = {"sqlite": (called, awaited), "postgresql": (called, awaited, within_a_transaction)}


class TestPython:
    @FEW
    @given(data=st.data())
    def test_whatever_a_command_is_made_of(self, history: Told, data: st.DataObject) -> None:
        """And whichever way it is executed: the answers are the same."""
        given = data.draw(st.lists(lines(history.ids), min_size=1, max_size=16))
        with history.copies() as backends:
            faces = [data.draw(st.sampled_from(FACES[backend.name])) for backend in backends]
            outcomes = [self.outcome(backend, face, given) for backend, face in zip(backends, faces, strict=True)]
            assert outcomes[0] == outcomes[1]
            assert_alike(backends)

    def outcome(self, backend: Backend, face: Face, given: Sequence[Fields]) -> list[str]:
        told = []
        with same_ids_and_times(), face(backend.url) as execute:
            for name, fields in given:
                try:
                    command = COMMANDS[name](**as_python(fields))
                    assert COMMANDS[name].model_validate(as_python(fields)) == command
                    told.append(str(execute(command)))
                except TiuError as error:
                    told.append(json.dumps(error.as_json()))
        with connect(backend.url, project=False) as tiu:
            tiu.catch_up_to(tiu.lag().last_position)
        assert_whole(backend)
        return told


def test_values_as_large_as_they_may_be_are_projected(history: Told) -> None:
    """They do not compress, and half of them are in indexes: what PostgreSQL could not index is refused at the door."""
    with history.empty() as backends:
        for backend in backends:
            assert {name for name in COMMANDS if has_text(name)} <= tell_spoiled(backend, largest)
            assert_whole(backend)
        assert_alike(backends)


@cache
def largest(field: str, before: str, most: int | None) -> str:
    """Characters of four bytes each, as many as there may be, always the same in place of the same."""
    random = Random(f"{field} {before}")
    if field == "content":
        digits = random.randbytes(1 << 19).hex()
        return " ".join(digits[start : start + 5] for start in range(0, len(digits), 5))[: 1 << 20]
    count = {"file_path": 500, "json": 2_000}.get(field, most or 3_700)
    return "".join(map(chr, random.choices(range(0x10000, 0x10FFFF), k=count)))


def test_the_script_does_the_same(history: Told) -> None:
    with history.copies() as backends:
        for backend in backends:
            stdin = b"\n".join([*RAW, as_line("CreateUser", somebody(1)), b"\xff", as_line("CreateUser", somebody(2))])
            ran = subprocess.run(
                [script(), "apply", "-", "--db", backend.url],
                input=stdin,
                env=environment(),
                capture_output=True,
                check=False,
                timeout=120,
            )
            answers = [json.loads(line) for line in ran.stdout.splitlines()]
            assert (ran.returncode, ran.stderr) == (1, b"")
            assert [answer["id"] for answer in answers if "id" in answer] == [somebody(n)["user_id"] for n in (1, 2)]
            assert_whole(backend)


def somebody(number: int) -> dict[str, Any]:
    return {
        "user_id": f"00000000-0000-7000-9000-{number:012}",
        "command_id": f"00000000-0000-7000-9001-{number:012}",
        "username": f"somebody {number}",
        "email": f"somebody@{number}",
        "password_hash": PASSWORD_HASH,
    }
