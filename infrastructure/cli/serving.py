"""`--metrics`: what a verb's connection counts, served for Prometheus while the verb runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ..errors import BadSettings
from ..metrics import register_metrics, without_prometheus
from ..tiu import Tiu

MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="[HOST:]PORT",
        help="Serve metrics for Prometheus there meanwhile, on 127.0.0.1 if no host is given; port 0 is any free one.",
    ),
]
_ADDRESS = re.compile(r"(?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):)?([0-9]{1,5})")


@contextmanager
def metrics_served(tiu: Tiu, address: str) -> Iterator[str]:
    """Serve a connection's metrics while the block runs; give the URL.

    Raises BadSettings for an address that is none, or cannot be listened at, and MissingExtra without `prometheus`.
    """
    host, port = _parsed(address)
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise without_prometheus() from None
    registry = CollectorRegistry()
    register_metrics(tiu, registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, UnicodeError) as error:  # UnicodeError: of a host that cannot be a name
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise BadSettings(f"--metrics: nothing can listen at {address}: {reason}") from None
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _parsed(address: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[2]) > 65_535:
        raise BadSettings(f"--metrics: {address[:60]!a} is no [HOST:]PORT")
    return (found[1] or "127.0.0.1").strip("[]"), int(found[2])
