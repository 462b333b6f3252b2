"""Makes the table of docs/explanation/faults.md of what tests have recorded: `python -m tests.docs.faults FILE...`

Rows of kinds and stores that are not in the files stay as they are.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.docs.blocks import DOCS
from tests.docs.markdown import table
from tests.support.faults import FAULTS

PAGE = DOCS / "explanation" / "faults.md"
TABLE = re.compile(r"(?<=<!-- table -->\n\n).*(?=\n\n<!-- end of the table -->)", re.DOTALL)
HEADING = ["fault", "how it is made", "store", "times", "lost", "doubled", "seconds to recover: median", "most", "run"]
STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
NOT_RUN = "–"
Row = list[str]


def cells_of(text: str) -> list[Row]:
    """Return the rows of a page's table."""
    found = TABLE.search(text)
    lines = found[0].splitlines()[2:] if found else []
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def _row(kind: str, store: str, lines: list[dict[str, Any]], run: str) -> Row:
    name, made, _ = FAULTS[kind]
    seconds = [took for line in lines for took in line["seconds"]]
    took = [f"{median(seconds):.2f}", f"{max(seconds):.2f}"] if seconds else [NOT_RUN] * 2
    counts = [f"{sum(line[what] for line in lines):,}" if lines else NOT_RUN for what in ("tried", "lost", "doubled")]
    return [name, made, STORES[store], *counts, *took, run if lines else NOT_RUN]


def rows(lines: Iterable[dict[str, Any]], before: list[Row], run: str) -> list[Row]:
    """Return a row for each kind and store: of the lines, else as it was before."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        found.setdefault((line["kind"], line["store"]), []).append(line)
    kept = {(name, store): rest for name, _, store, *rest in before}
    made = []
    for kind, fault in FAULTS.items():
        for store in fault.stores:
            row = _row(kind, store, found.get((kind, store), []), run)
            if (kind, store) not in found and (rest := kept.get((fault.name, STORES[store]))):
                row[3:] = rest
            made.append(row)
    return made


def machine() -> str:
    """Return when and on what this is run."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def write(files: Iterable[Path]) -> None:
    """Put what the files tell into the page."""
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    text = PAGE.read_text(encoding="utf-8")
    made = table(HEADING, rows(lines, cells_of(text), machine()))
    PAGE.write_text(TABLE.sub(lambda _: made, text), encoding="utf-8")


if __name__ == "__main__":
    write(map(Path, sys.argv[1:]))
