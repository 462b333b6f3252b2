"""`tiu` as a process: signals, pipes, and memory."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from claude_tiu import connect, parse_command
from claude_tiu.infrastructure.cli.projector import announce_standing_by
from tests.cli.running import environment, first_line, json_lines, refused, script, started
from tests.cli.story import NAME, PROJECT, STORY, project, tell, user
from tests.support.patience import PATIENCE
from tests.support.stores import Backend, SQLiteBackend

STOPPED_WHILE_CATCHING_UP = """
import os, signal, sys, time
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.projector import Projector
step = Projector.step
def told_to_stop_meanwhile(self):
    os.kill(os.getpid(), int(sys.argv[1]))
    time.sleep(0.05)
    return step(self)
Projector.step = told_to_stop_meanwhile
main(["projector", "run", "--db", sys.argv[2]])
"""
CUT_OFF_WHILE_CATCHING_UP = """
import sys
from claude_tiu import StoreUnavailable
from claude_tiu.infrastructure.cli import main
from claude_tiu.infrastructure.projector import Projector
step = Projector.step
def cut_off(self):
    Projector.step = step
    raise StoreUnavailable("the connection is lost")
Projector.step = cut_off
main(["projector", "run", "--db", sys.argv[1]])
"""
MEASURED = """
import os, resource, subprocess, sys
with open(sys.argv[1], "rb") as lines:
    subprocess.run(sys.argv[2:], stdin=lines)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def events(db: Backend) -> int:
    ((count,),) = db.on_events("SELECT count(*) FROM events")
    return int(count)


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestApply:
    def test_each_line_is_answered_while_more_are_to_come(self, db: Backend) -> None:
        with started("apply", "-", "--db", db.url) as process:
            assert process.stdin is not None
            answers = []
            for command in STORY[:3]:
                process.stdin.write(json.dumps(command) + "\n")
                process.stdin.flush()
                answers.append(json.loads(first_line(process)))
            assert process.poll() is None
            rest = process.communicate(timeout=PATIENCE)

        assert [answer["position"] for answer in answers] == [1, 2, 3]
        assert (process.returncode, rest) == (0, ("", ""))

    def test_a_line_of_50_mb_is_answered_and_never_held(self, sqlite: SQLiteBackend, tmp_path: Path) -> None:
        huge, small = tmp_path / "huge.jsonl", tmp_path / "small.jsonl"
        small.write_bytes(json_lines([{}, user()]))
        with huge.open("wb") as lines:
            lines.write(b'{"command": "')
            for _ in range(50):
                lines.write(b"x" * (1 << 20))
            lines.write(b'"}\n' + json_lines([user()]))

        def run(lines: Path) -> tuple[list[dict[str, Any]], int]:
            command = [sys.executable, "-c", MEASURED, str(lines), script(), "apply", "-", "--db", sqlite.url]
            out = subprocess.run(command, env=environment(), capture_output=True, encoding="utf-8", check=True).stdout
            *answers, peak = out.splitlines()
            return [json.loads(answer) for answer in answers], int(peak) // 1024

        (refused, stored), peak = run(huge)
        _, usual = run(small)

        assert refused["error"]["code"] == "invalid_command"
        assert "8388608 bytes" in refused["error"]["message"]
        assert stored["line"] == 2
        assert stored["position"] == 1
        assert peak - usual < 40, "MB: a line is read up to its limit of 8, and once more while it is joined"

    def test_standard_input_that_is_closed_is_told_in_a_line(self, sqlite: SQLiteBackend) -> None:
        shell = ["/bin/sh", "-c", '"$0" apply - --db "$1" <&-', script(), sqlite.url]
        done = subprocess.run(shell, env=environment(), capture_output=True, encoding="utf-8", check=False)

        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr

    def test_an_interrupt_ends_it_and_what_was_answered_is_stored(self, db: Backend) -> None:
        with started("apply", "-", "--db", db.url) as process:
            assert process.stdin is not None
            process.stdin.write(json.dumps(user()) + "\n")
            process.stdin.flush()
            first_line(process)
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=PATIENCE)

        assert (process.returncode, complaint) == (130, "tiu: interrupted\n")
        assert events(db) == 1


class TestProjectorRun:
    @pytest.mark.parametrize(("number", "as_json"), [(signal.SIGTERM, ()), (signal.SIGINT, ("--json",))])
    def test_a_signal_ends_it_at_once(self, db: Backend, number: signal.Signals, as_json: tuple[str, ...]) -> None:
        """Whatever it waits for otherwise: for events, or for its lease to run out."""
        with started("projector", "run", "--db", db.url, *as_json, more={"PROJECTOR_LEASE_SECONDS": "600"}) as process:
            line = first_line(process)
            process.send_signal(number)
            rest = process.communicate(timeout=PATIENCE)

        assert (process.returncode, rest) == (0, ("", ""))
        if as_json:
            assert json.loads(line)["position"] == 0
        else:
            assert "from position 0; stop with Ctrl-C" in line

    @pytest.mark.parametrize("as_json", [(), ("--json",)])
    def test_its_metrics_can_be_scraped_meanwhile(self, db: Backend, as_json: tuple[str, ...]) -> None:
        with connect(db.url, project=False) as tiu:
            tiu.execute_all([parse_command(json.dumps(command)) for command in STORY])
        with started("projector", "run", "--metrics", "localhost:0", "--db", db.url, *as_json) as process:
            line = first_line(process)
            first_line(process)  # it is active, and has caught up
            url = json.loads(line)["metrics"] if as_json else line.removeprefix("metrics at ").strip()
            told: list[str] = []

            def is_up() -> bool:
                told[:] = httpx.get(url, timeout=PATIENCE, trust_env=False).raise_for_status().text.splitlines()
                return "claude_tiu_up 1.0" in told

            until(is_up)  # a scrape does not wait long for the database
            process.send_signal(signal.SIGTERM)
            rest = process.communicate(timeout=PATIENCE)

        assert (process.returncode, rest) == (0, ("", ""))
        assert 'claude_tiu_projector_active{projection="read_model"} 1.0' in told
        assert 'claude_tiu_projector_lag_events{projection="read_model"} 0.0' in told
        (events,) = [line for line in told if line.startswith("claude_tiu_projector_batch_events_sum")]
        assert float(events.rpartition(" ")[2]) >= len(STORY)

    @pytest.mark.parametrize("address", ["", "port", "65536", "::1:9464", "a host:9464", "localhost:-1"])
    def test_metrics_have_a_place_that_is_one(self, db: Backend, address: str) -> None:
        assert "is no [HOST:]PORT" in refused("projector", "run", f"--metrics={address}", "--db", db.url)

    @pytest.mark.parametrize("host", ["no..host", "h" * 64])
    def test_metrics_have_a_host_that_may_have_a_name(self, db: Backend, host: str) -> None:
        told = refused("projector", "run", "--metrics", f"{host}:0", "--db", db.url)
        assert f"nothing can listen at {host}:0" in told

    def test_metrics_need_their_extra(self, db: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        told = refused("projector", "run", "--metrics", "0", "--db", db.url)
        assert "pip install 'claude-tiu[prometheus]'" in told

    def test_metrics_have_a_place_that_is_free(self, db: Backend) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            told = refused("projector", "run", "--metrics", taken.getsockname()[1], "--db", db.url)
        assert "nothing can listen at" in told

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_while_it_catches_up_lets_the_batch_finish(self, db: Backend, number: signal.Signals) -> None:
        with connect(db.url, project=False) as tiu:
            tiu.execute_all([parse_command(json.dumps(command)) for command in STORY])

        command = [sys.executable, "-c", STOPPED_WHILE_CATCHING_UP, str(int(number)), db.url]
        done = subprocess.run(
            command, env=environment(), capture_output=True, encoding="utf-8", check=False, timeout=PATIENCE
        )

        assert (done.returncode, done.stderr) == (0, "")
        assert db.on_reads("SELECT username FROM users") == [("ada",)]

    def test_it_says_that_it_stands_by_though_who_is_active_is_not_told_yet(
        self, db: Backend, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It had said nothing at all then, for as long as it stood by."""
        with connect(db.url, project=False) as tiu:
            announce_standing_by(tiu.database, tiu.projection("read_model"), as_json=False)
        assert capsys.readouterr().out == "standing by: another process is active; stop with Ctrl-C\n"

    def test_a_database_that_is_away_while_it_catches_up_is_waited_for(self, db: Backend) -> None:
        with connect(db.url, project=False) as tiu:
            tiu.execute_all([parse_command(json.dumps(command)) for command in STORY])
        command = [sys.executable, "-c", CUT_OFF_WHILE_CATCHING_UP, db.url]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until(lambda: db.on_reads("SELECT username FROM users") == [("ada",)])
            process.send_signal(signal.SIGTERM)
            _, complaint = process.communicate(timeout=PATIENCE)

        assert (process.returncode, complaint.count(b"Traceback")) == (0, 0)

    def test_it_follows_what_others_store(self, db: Backend) -> None:
        with started("projector", "run", "--db", db.url) as process:
            first_line(process)
            with started("apply", "-", "--db", db.url) as other:
                other.communicate(json_lines(STORY).decode(), timeout=PATIENCE)
            until(lambda: len(db.on_reads("SELECT id FROM validation_issues")) == 2)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)

        assert process.returncode == 0


class TestOutput:
    @pytest.mark.parametrize("arguments", ["schema", "schema --json", "show dashboard"])
    def test_a_pipe_that_is_closed_is_no_error_to_tell(self, sqlite: SQLiteBackend, arguments: str) -> None:
        where = f"--db '{sqlite.url}'" if "show" in arguments else ""
        pipeline = f'"$0" {arguments} {where} | head -c 1'
        done = subprocess.run(
            ["/bin/sh", "-c", pipeline, script()], env=environment(), capture_output=True, encoding="utf-8", check=False
        )

        assert (done.returncode, len(done.stdout), done.stderr) == (0, 1, "")

    def test_an_output_of_another_encoding_gives_no_traceback(self, sqlite: SQLiteBackend) -> None:
        tell(sqlite)
        command = [script(), "show", "dashboard", "--db", sqlite.url, "--json"]
        latin = environment() | {"PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command, env=latin, capture_output=True, check=False)

        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") == (done.returncode != 0)

    def test_text_comes_through_as_it_is(self, sqlite: SQLiteBackend) -> None:
        with started("apply", "-", "--db", sqlite.url) as process:
            process.communicate(json_lines([user(), project()]).decode(), timeout=PATIENCE)
        with started("show", "dashboard", "--db", sqlite.url, "--json") as process:
            out, _ = process.communicate(timeout=PATIENCE)

        (row,) = json.loads(out)
        assert (row["id"], row["name"]) == (PROJECT, NAME)

    def test_the_script_says_how_it_was_called_wrongly(self) -> None:
        done = subprocess.run(
            [script(), "dance"], env=environment(), capture_output=True, encoding="utf-8", check=False
        )

        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
