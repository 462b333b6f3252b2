"""A `tiu` that starts at once: each call is a process of its own, forked from one that has imported everything.

The pages of the documentation call `tiu` some hundred times, and nearly all of their time went into importing. What
tests how the script starts, and how it ends, calls the installed one.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIM = """#!{python} -IS
import json, os, signal, socket, sys
conn = socket.socket(socket.AF_UNIX)
conn.connect({address!r})
told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(conn, [len(told).to_bytes(8, "big")], [0, 1, 2])
conn.sendall(told)
process = int(conn.recv(20))
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: os.kill(process, number))
status = int(conn.recv(20) or b"1")
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@functools.cache
def warm_scripts() -> str:
    """Return a folder with a `tiu` that needs not import anything; it serves until this process ends."""
    folder = tempfile.TemporaryDirectory()
    address = str(Path(folder.name) / "socket")
    script = Path(folder.name) / "bin" / "tiu"
    script.parent.mkdir()
    script.write_text(SHIM.format(python=sys.executable, address=address))
    script.chmod(0o755)
    server = subprocess.Popen([sys.executable, "-m", "tests.support.warm", address], cwd=ROOT)
    atexit.register(folder.cleanup)
    atexit.register(server.wait)
    atexit.register(server.kill)
    while not Path(address).exists():
        if server.poll() is not None:
            raise RuntimeError("what starts tiu has ended")
        time.sleep(0.01)
    return str(script.parent)


def _serve(address: str) -> None:
    from claude_tiu.infrastructure.cli.app import app, get_command

    get_command(app)  # what each call would import, and make of it

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen(64)
        Path(f"{address}.new").rename(address)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who answers a call is waited for by nobody
        while True:
            conn, _ = listening.accept()
            with conn:
                if os.fork() == 0:
                    listening.close()
                    _answer(conn)


def _answer(conn: socket.socket) -> None:
    """Answer one call in this process: run it in one of its own, and tell its end to whoever called."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, *_ = socket.recv_fds(conn, 8, 3)
    told = b""
    while len(told) < int.from_bytes(size, "big"):
        told += conn.recv(1 << 16)
    arguments, folder, environment = json.loads(told)
    process = os.fork()
    if process == 0:
        conn.close()
        _run(arguments, folder, environment, streams)
    for stream in streams:
        os.close(stream)
    conn.sendall(b"%d" % process)
    while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
        if select.select([conn], [], [], 0.005)[0]:  # the caller was killed
            os.kill(process, signal.SIGKILL)
            os._exit(0)
    conn.sendall(b"%d" % os.waitstatus_to_exitcode(ended[1]))
    os._exit(0)


def _run(arguments: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    from claude_tiu.infrastructure.cli import main
    from claude_tiu.infrastructure.cli.output import console

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    console.width = int(environment.get("COLUMNS", 80))  # what it is told at its beginning
    status = 1
    try:
        main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - told, as Python tells what nobody caught
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1])
