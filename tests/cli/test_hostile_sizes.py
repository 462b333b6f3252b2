"""Lines of any size and depth: refused within bounded memory, and what comes behind them is read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from claude_tiu.infrastructure.cli.apply import MAX_LINE_BYTES
from tests.cli.running import done, environment, json_lines, script, tiu
from tests.cli.story import user
from tests.cli.test_processes import MEASURED
from tests.support.stores import SQLiteBackend

LONG_WAIT = 240.0
CREATE = (
    b'{"command": "CreateProject", "user_id": "00000000-0000-7000-8000-000000000001", "name": "x", "metadata": {"a": '
)
DEEP = {
    "arrays": CREATE + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    "objects": CREATE + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}}",
    "arrays that do not end": CREATE + b"[" * 10_000,
    "a million of them": CREATE + b"[" * 1_000_000,
    "as deep as JSON is read": CREATE + b"[" * 150 + b"]" * 150 + b"}}",
}


@pytest.mark.parametrize("case", DEEP)
def test_deep_nesting_is_refused_with_one_error(sqlite: SQLiteBackend, case: str) -> None:
    ran = tiu("apply", "-", "--db", sqlite.url, stdin=DEEP[case] + b"\n" + json_lines([user()]))
    refused, stored = ran.answers
    assert refused["error"]["code"] == "invalid_command"
    assert len(refused["error"]["details"]["faults"]) == 1
    assert len(json.dumps(refused)) < 1_000
    assert stored["position"] == 1


@contextmanager
def reading(file: str, url: str) -> Iterator[int]:
    """Let `tiu apply` read a file that never ends; give its process's id."""
    with Path(file).open("rb") as endless:
        process = subprocess.Popen(
            [script(), "apply", "-", "--db", url], env=environment(), stdin=endless, stdout=subprocess.DEVNULL
        )
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()


def figure(process: int, file: str, name: str) -> int:
    lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def peak_when_read(process: int, megabytes: int) -> int:
    """Return the most memory that a process has had, in MiB, once it has read so much."""
    deadline = time.monotonic() + LONG_WAIT
    while figure(process, "io", "rchar") < megabytes << 20:
        assert time.monotonic() < deadline, "it stopped reading"
        time.sleep(0.02)
    return figure(process, "status", "VmHWM") >> 10


def test_a_line_that_never_ends_is_never_held(sqlite: SQLiteBackend) -> None:
    with reading("/dev/zero", sqlite.url) as process:
        early = peak_when_read(process, 64)
        assert peak_when_read(process, 640) - early <= MAX_LINE_BYTES >> 20


N = MAX_LINE_BYTES - 300
WORST = {
    "empty arrays": CREATE + b"[" + b"[]," * (N // 3) + b"[]]}}",
    "empty objects": CREATE + b"[" + b"{}," * (N // 3) + b"{}]}}",
    "fields that nobody knows": b'{"command": "CreateProject",'
    + b",".join(b'"%x":0' % n for n in range(N // 11))
    + b"}",
    "tasks without a key": b'{"command": "CreateTemplate", "structure": {"tasks": [' + b"{}," * (N // 3) + b"{}]}}",
    "capabilities that are none": b'{"command": "AddTask", "capabilities": [' + b"0," * (N // 2) + b"0]}",
}
"""Lines as long as they may be, that cost the most memory for each byte."""


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("case", WORST)
def test_no_line_costs_more_than_half_a_gibibyte(sqlite: SQLiteBackend, tmp_path: Path, case: str) -> None:
    lines = tmp_path / "lines"
    peaks: list[int] = []
    for first in (b"{}", WORST[case]):
        lines.write_bytes(first + b"\n" + json_lines([user(user_id=f"00000000-0000-7000-8000-{len(peaks):012}")]))
        command = [sys.executable, "-c", MEASURED, str(lines), script(), "apply", "-", "--db", sqlite.url]
        ran = subprocess.run(command, env=environment(), capture_output=True, encoding="utf-8", check=True)
        refused, _, peak = ran.stdout.splitlines()
        assert len(refused) < 30_000
        assert "error" in refused
        peaks.append(int(peak) >> 10)
    print(case, peaks)  # noqa: T201 - the figures that the docs give
    assert peaks[1] - peaks[0] < 512


def test_nothing_but_ends_of_lines(sqlite: SQLiteBackend) -> None:
    assert done("apply", "-", "--db", sqlite.url, stdin=b"\n\r\n" * 10_000).out == ""
