"""`python -m tests.soak --minutes 30 --store sqlite|postgresql` prints a report.

It fails where anything is lost or doubled, or grows.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from claude_tiu.projections.running_state import LIMIT
from tests.soak.measuring import not_flat
from tests.soak.report import as_markdown, print_json
from tests.soak.running import Plan, soak
from tests.support.ledger import NONE
from tests.support.stores import BACKENDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--store", choices=BACKENDS, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file to which a line with every sample is added")
    given = parser.parse_args()
    logging.disable()  # connections are cut on purpose
    seconds = given.minutes * 60
    outcome = soak(given.store, Plan(seconds, warm_up=seconds / 15, tasks=LIMIT, seed=given.seed))
    sys.stdout.write(as_markdown(outcome))
    if given.json:
        with given.json.open("a", encoding="utf-8") as file:
            file.write(print_json(outcome) + "\n")
    sys.exit(0 if outcome.faults == NONE and not not_flat(outcome.series) else 1)


if __name__ == "__main__":
    main()
