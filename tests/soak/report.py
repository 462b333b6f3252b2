"""The report of a soak, in Markdown and as JSON."""

from __future__ import annotations

import json
from typing import Any

from tests.docs.faults import STORES, machine
from tests.docs.markdown import table
from tests.soak.measuring import not_flat
from tests.soak.running import Outcome

HEADING = ["", "median of each quarter", "", "", "", "most", "growth allowed", "flat"]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return what a soak came to, with every sample."""
    return {
        "store": outcome.store,
        "machine": machine(),
        "plan": vars(outcome.plan),
        "killed": outcome.killed,
        "commands": outcome.commands,
        "events": outcome.events,
        "errors": outcome.errors,
        **outcome.faults.counts(),
        "not_flat": not_flat(outcome.series),
        "samples": {series.name: series.samples for series in outcome.series},
    }


def as_markdown(outcome: Outcome) -> str:
    """Return the report: what was done, what came of it, and what was held meanwhile."""
    rows = []
    for series in outcome.series:
        name = f"{series.name} ({series.unit})" if series.unit else series.name
        most, quarters = max(series.samples), [f"{value:,.1f}" for value in series.quarters()]
        rows.append([name, *quarters, f"{most:,.1f}", f"{series.allowed:,.1f}", "yes" if series.flat else "NO"])
    counts, recovered = outcome.faults.counts(), sorted(outcome.seconds)
    killed = ", ".join(f"{what} {times} times" for what, times in outcome.killed.items())
    took = f"within {recovered[len(recovered) // 2]:.2f} s (median), {recovered[-1]:.2f} s (most)" if recovered else "–"
    return "\n".join(
        [
            f"## {STORES[outcome.store]}: {outcome.plan.seconds / 60:g} minutes",
            "",
            f"{machine()}.",
            f"It began with {outcome.plan.tasks:,} tasks; measured is what was held after the first "
            f"{outcome.plan.warm_up:g} seconds.",
            f"{outcome.commands:,} commands were acknowledged, {outcome.events:,} events stored. Killed or cut: "
            f"{killed or 'nothing'}.",
            f"Clients were told {outcome.errors} times that the store cannot be reached.",
            f"Lost {counts['lost']}, doubled {counts['doubled']}; the tables equal a replay, and the reader saw "
            "each event once.",
            f"The tables had all that was acknowledged {took} after a kill.",
            "",
            table(HEADING, rows),
            "",
        ]
    )


def print_json(outcome: Outcome) -> str:
    return json.dumps(as_json(outcome), default=str)
