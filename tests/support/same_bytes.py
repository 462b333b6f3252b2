"""Makes tables of a log in a process whose clock, zone, locale, hash seed and batches are its own."""

from __future__ import annotations

import datetime
import sys
from contextlib import closing
from pathlib import Path

from claude_tiu.infrastructure.audit.replay import replay
from claude_tiu.infrastructure.projector import Projector
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing.elsewhere import set_clocks_ahead
from tests.support.replaying import log_up_to
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend


def main(name: str, place: str, path: str, batch_size: str) -> None:
    """Replay the log of a backend into a file, and make its own tables anew; print the year that this process has."""
    set_clocks_ahead("claude_tiu")
    backend: Backend = SQLiteBackend(Path(place)) if name == "sqlite" else PostgreSQLBackend(place)
    with closing(backend):
        events = backend.events()
        replay(log_up_to(events), Path(path), batch_size=int(batch_size)).close()
        projector = Projector(events, backend.reads(), READ_MODEL, batch_size=int(batch_size))
        projector.reset()
        projector.catch_up()
    from claude_tiu.infrastructure import queries

    print(queries.datetime.now(datetime.UTC).year)  # type: ignore[attr-defined]  # noqa: T201 - it is its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
