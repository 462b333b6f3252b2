"""`python -m examples.orchestrator`: makes its database, and runs the server and the agents until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from claude_tiu import TiuError, aconnect, migrate_up

from .app import create_app
from .seeding import CREW, seed
from .validating import validate
from .working import Worker, expire_claims


class Server(uvicorn.Server):
    """A server that leaves the signals to `run`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.orchestrator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (it asks nobody for a password)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 takes a free one")
    parser.add_argument("--pace", type=float, default=1.5, help="seconds that a step of simulated work takes")
    parser.add_argument(
        "--database",
        default=os.environ.get("DATABASE_URL", "sqlite:///orchestrator.db"),
        help="sqlite:///PATH or postgresql://… (default: DATABASE_URL, else orchestrator.db here)",
    )
    return parser.parse_args()


async def run(chosen: argparse.Namespace, listening: socket.socket) -> None:
    """Serve and work until a signal comes: then streams end, agents give back what they hold, and all is closed."""
    stopping = asyncio.Event()
    async with aconnect(chosen.database) as tiu:
        await seed(tiu)
        config = uvicorn.Config(create_app(tiu, stopping), lifespan="off", log_level="warning")
        server = Server(config)

        def stop() -> None:
            server.force_exit = stopping.is_set()  # asked twice
            server.should_exit = True
            stopping.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        async with asyncio.TaskGroup() as group:  # if one of them fails, all end
            for agent in CREW:
                group.create_task(Worker(tiu, agent, chosen.pace, stopping).run())
            group.create_task(expire_claims(tiu, stopping))
            group.create_task(validate(tiu, stopping))
            host, port = listening.getsockname()[:2]
            print(f"http://{host}:{port}/", flush=True)
            await server.serve(sockets=[listening])


def main() -> None:
    chosen = options()
    try:
        migrate_up(chosen.database)
        with socket.create_server((chosen.host, chosen.port)) as listening:
            asyncio.run(run(chosen, listening))
    except (TiuError, OSError, OverflowError) as error:  # the last: no such port
        sys.exit(f"orchestrator: {error}")


if __name__ == "__main__":
    main()
