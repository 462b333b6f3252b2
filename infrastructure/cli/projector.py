"""`tiu projector`: keep the read tables in step with the events, say how far they are, build them anew."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ...projections.read_model import READ_MODEL
from ..errors import StoreUnavailable
from ..tiu import Tiu
from .output import DbOption, JsonOption, console, errors, print_json, print_table, shown
from .parked import parked
from .rebuild import rebuild
from .session import connected

projector = typer.Typer(help="Keep the read tables up to date.", no_args_is_help=True)

OnceOption = Annotated[bool, typer.Option("--once", help="Stop at the end of the log, instead of waiting for more.")]


@projector.command()
def run(db: DbOption = None, once: OnceOption = False, as_json: JsonOption = False) -> None:
    """Project events into the read tables, until interrupted. With --once, until there are no more.

    Of any number one is active; the others stand by, and one of them takes over.
    """
    with connected(db) as tiu:
        if not once:
            _follow(tiu, as_json)
            return
        done = _catch_up(tiu, "projecting")
        lag = tiu.lag()
        if as_json:
            print_json({"projection": lag.projection, "events": done, "position": lag.position})
        else:
            console.print(f"{done} events projected; the read tables stand at position {lag.position}")


@projector.command()
def status(db: DbOption = None, as_json: JsonOption = False) -> None:
    """Show how far the read tables are behind, and who keeps them."""
    with connected(db) as tiu:
        lag, holder = tiu.lag(), tiu.holder()
        active = holder if holder and holder.active else None
        if as_json:
            found = {"projection": lag.projection, "position": lag.position, "last_position": lag.last_position}
            waiting = {"parked": lag.parked, "parked_since": lag.parked_since}
            projects = {"active": active._asdict() if active else None}
            print_json({"db": tiu.database, **found, "behind": lag.behind, **waiting, **projects})
        else:
            row = (lag.projection, lag.position, lag.last_position, lag.behind, lag.parked)
            print_table("Projections", ["projection", "position", "last position", "behind", "parked"], [row])
            if active:
                since = shown(active.since)
                console.print(f"active since {since}: process {active.pid} on {active.host}, tenure {active.fence}")
            else:
                console.print("no projector is active")
            if lag.parked:
                console.print(f"parked since {shown(lag.parked_since)}: `tiu projector parked list` says what, and why")


projector.command()(rebuild)
projector.add_typer(parked, name="parked")


def _catch_up(tiu: Tiu, what: str) -> int:
    with progress_bar(what, tiu.lag().behind) as advance:
        return tiu.catch_up(advance)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error, where that is a terminal; give what takes each step's size."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


def _announce(tiu: Tiu, as_json: bool) -> None:
    if as_json:
        print_json({"db": tiu.database, "position": tiu.projector.position})
    else:
        where = f"{tiu.database} from position {tiu.projector.position}"
        console.print(f"projecting {where}; stop with Ctrl-C", soft_wrap=True)


def announce_standing_by(tiu: Tiu, as_json: bool) -> None:
    holder = tiu.holder()
    if as_json:
        print_json({"db": tiu.database, "stands_by": holder._asdict() if holder else None})
    else:  # one that has only just begun is not told of yet
        who = f"process {holder.pid} on {holder.host}" if holder else "another process"
        console.print(f"standing by: {who} is active; stop with Ctrl-C", soft_wrap=True)


def _follow(tiu: Tiu, as_json: bool) -> None:
    """Project until SIGINT or SIGTERM: the batch at hand is finished.

    A signal's handler may interrupt the main thread anywhere, so it takes no lock: it puts into a SimpleQueue.
    """
    stop, listener = threading.Event(), tiu.events.listen()
    lease = tiu.leases.candidate(READ_MODEL.name, listener)
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def told(active: bool) -> None:
        if not active:
            announce_standing_by(tiu, as_json)
            return
        with suppress(StoreUnavailable), progress_bar("projecting", tiu.lag().behind) as advance:
            while not stop.is_set() and (done := tiu.projector.step()):
                advance(done)
        if not stop.is_set():
            _announce(tiu, as_json)

    def project() -> None:
        try:
            tiu.projector.run(listener, stop, lease, told)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            ended.put(error)

    before = {number: signal.signal(number, lambda *_: ended.put(None)) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=project, name="tiu-projector")
    thread.start()
    try:
        failure = ended.get()
        stop.set()
        listener.wake()
        thread.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        listener.close()
    if failure is not None:
        raise failure
