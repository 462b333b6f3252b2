"""`tiu projector`: keep the read tables in step with the events, say how far they are, build them anew."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ...projections.read_model import NAME
from ..checkpoints import Lag
from ..errors import StoreUnavailable
from ..leases import Holder
from ..read_side import ReadSide
from ..tiu import Tiu
from .output import DbOption, JsonOption, console, errors, print_json, print_table, shown
from .parked import parked
from .rebuild import rebuild
from .serving import MetricsOption, metrics_served
from .session import connected

projector = typer.Typer(help="Keep the read tables up to date.", no_args_is_help=True)

OnlyOption = Annotated[
    str | None, typer.Option("--projection", metavar="NAME", help="Of one projection alone; else of all.")
]
OnceOption = Annotated[bool, typer.Option("--once", help="Stop at the end of the log, instead of waiting for more.")]


@projector.command()
def run(
    db: DbOption = None,
    once: OnceOption = False,
    projection: OnlyOption = None,
    metrics: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Project events into the read tables, until interrupted. With --once, until there are no more.

    Ours, and those of each projection that PROJECTIONS names. Of any number of projectors one is active for each; the
    others stand by, and one of them takes over.
    """
    if once and metrics is not None:
        raise typer.BadParameter("--once ends before anybody scrapes: it goes without --metrics")
    with connected(db) as tiu, ExitStack() as stack:
        sides = _sides(tiu, projection)
        if metrics is not None:
            url = stack.enter_context(metrics_served(tiu, metrics))
            _print_served(url, as_json)
        if not once:
            _follow(tiu, sides, as_json)
            return
        for side in sides:
            done = _catch_up(side, "projecting")
            lag = side.lag()
            if as_json:
                print_json({"projection": lag.projection, "events": done, "position": lag.position})
            else:
                console.print(f"{done} events projected; {_tables_of(side)} stand at position {lag.position}")


def _print_served(url: str, as_json: bool) -> None:
    if as_json:
        print_json({"metrics": url})
    else:
        console.print(f"metrics at {url}")


def _sides(tiu: Tiu, projection: str | None) -> list[ReadSide]:
    return [*tiu.sides.values()] if projection is None else [tiu.projection(projection)]


def _tables_of(side: ReadSide) -> str:
    return "the read tables" if side.name == NAME else f"the tables of {side.name}"


@projector.command()
def status(db: DbOption = None, projection: OnlyOption = None, as_json: JsonOption = False) -> None:
    """Show how far the read tables are behind, and who keeps them."""
    with connected(db) as tiu:
        sides = _sides(tiu, projection)
        if as_json:
            for side in sides:
                _print_status(tiu.database, side)
            return
        rows = [(lag.projection, lag.position, lag.last_position, lag.behind, lag.parked) for lag in _lags(sides)]
        print_table("Projections", ["projection", "position", "last position", "behind", "parked"], rows)
        for side in sides:
            whose = "" if side.name == NAME else f"{side.name}: "
            for line in _about(side):
                console.print(whose + line)


def _lags(sides: Sequence[ReadSide]) -> Iterator[Lag]:
    for side in sides:
        yield side.lag()


def _print_status(db: str, side: ReadSide) -> None:
    lag, active = side.lag(), _active(side)
    found = {"projection": lag.projection, "position": lag.position, "last_position": lag.last_position}
    waiting = {"parked": lag.parked, "parked_since": lag.parked_since}
    projects = {"active": active._asdict() if active else None}
    print_json({"db": db, **found, "behind": lag.behind, **waiting, **projects})


def _active(side: ReadSide) -> Holder | None:
    holder = side.holder()
    return holder if holder and holder.active else None


def _about(side: ReadSide) -> Iterator[str]:
    lag, active = side.lag(), _active(side)
    if active:
        yield f"active since {shown(active.since)}: process {active.pid} on {active.host}, tenure {active.fence}"
    else:
        yield "no projector is active"
    if lag.parked:
        option = "" if side.name == NAME else f" --projection {side.name}"
        yield f"parked since {shown(lag.parked_since)}: `tiu projector parked list{option}` says what, and why"


projector.command()(rebuild)
projector.add_typer(parked, name="parked")


def _catch_up(side: ReadSide, what: str) -> int:
    with progress_bar(what, side.lag().behind) as advance:
        return side.catch_up(advance)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error, where that is a terminal; give what takes each step's size."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


def _announce(db: str, side: ReadSide, as_json: bool) -> None:
    position = side.projector.position
    if as_json:
        print_json({"db": db, "projection": side.name, "position": position})
    else:
        whose = "" if side.name == NAME else f"{side.name} of "
        console.print(f"projecting {whose}{db} from position {position}; stop with Ctrl-C", soft_wrap=True)


def announce_standing_by(db: str, side: ReadSide, as_json: bool) -> None:
    holder = side.holder()
    if as_json:
        print_json({"db": db, "projection": side.name, "stands_by": holder._asdict() if holder else None})
    else:  # one that has only just begun is not told of yet
        who = f"process {holder.pid} on {holder.host}" if holder else "another process"
        whose = "" if side.name == NAME else f" for {side.name}"
        console.print(f"standing by{whose}: {who} is active; stop with Ctrl-C", soft_wrap=True)


def _follow(tiu: Tiu, sides: Sequence[ReadSide], as_json: bool) -> None:
    """Project until SIGINT or SIGTERM, or until one of them fails: the batches at hand are finished.

    A signal's handler may interrupt the main thread anywhere, so it takes no lock: it puts into a SimpleQueue.
    """
    stop, ended = threading.Event(), SimpleQueue[BaseException | None]()
    numbers = (signal.SIGINT, signal.SIGTERM)
    with ExitStack() as stack:
        for number in numbers:
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: ended.put(None)))
        following = [_Following(tiu, side, stop, ended, as_json) for side in sides]
        for one in following:
            stack.callback(one.listener.close)
            one.thread.start()
        failure = ended.get()
        stop.set()
        for one in following:
            one.listener.wake()
        for one in following:
            one.thread.join()
    if failure is not None:
        raise failure


class _Following:
    """One projector in a thread of its own, that puts what ends it into `ended`."""

    def __init__(
        self,
        tiu: Tiu,
        side: ReadSide,
        stop: threading.Event,
        ended: SimpleQueue[BaseException | None],
        as_json: bool,
    ) -> None:
        self._db, self._side, self._stop, self._ended, self._as_json = tiu.database, side, stop, ended, as_json
        self.listener = tiu.events.listen()
        self._lease = side.leases.candidate(side.name, self.listener)
        self.thread = threading.Thread(target=self._project, name=f"tiu-projector-{side.name}")

    def _project(self) -> None:
        try:
            self._side.projector.run(self.listener, self._stop, self._lease, self._told)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._ended.put(error)

    def _told(self, active: bool) -> None:
        side = self._side
        if not active:
            announce_standing_by(self._db, side, self._as_json)
            return
        with suppress(StoreUnavailable), progress_bar("projecting", side.lag().behind) as advance:
            while not self._stop.is_set() and (done := side.projector.step()):
                advance(done)
        if not self._stop.is_set():
            _announce(self._db, side, self._as_json)
