"""`python -m tests.benchmarks [NAME …]` in the root of the clone: measure, show, and append to a file of JSON lines."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from tests.benchmarks import report as reports
from tests.benchmarks.runs import BENCHMARKS, FOLDER, SIZES, measure, place_at

console = Console()


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server and its folder go, too
    if arguments.markdown:
        console.print(reports.markdown(arguments.json), markup=False, soft_wrap=True, end="")
        return 0
    verdicts = []
    with place_at(arguments.bindir, arguments.folder) as place:
        on = reports.machine(place)
        reports.show_machine(console, on)
        for name in arguments.names or BENCHMARKS:
            with console.status(f"{name} ({arguments.size})"):
                found = measure(name, place, arguments.size, rounds=arguments.rounds, events=arguments.events)
            reports.append_line(arguments.json, reports.record(found, arguments.size, on))
            reports.show_figures(console, found)
            verdicts += found.verdicts
    reports.show_verdicts(console, verdicts)
    return 0 if all(verdict.met for verdict in verdicts) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(BENCHMARKS)}")
    parser.add_argument("--size", choices=SIZES, default="quick")
    parser.add_argument("--rounds", type=int, help="another number of rounds than the size's")
    parser.add_argument("--events", type=int, help="another number of events than the size's, where it has one")
    parser.add_argument("--bindir", type=Path, help="of the server: default TEST_PG_BINDIR, Debian's 15, the wheel's")
    parser.add_argument("--folder", type=Path, default=Path(FOLDER), help="on a real disk: default %(default)s")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.jsonl"), help="what the results are appended to")
    parser.add_argument("--markdown", action="store_true", help="show the last results in the file as Markdown")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
