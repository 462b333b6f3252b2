"""`tiu audit history`: what happened, in words or as JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ...projections.changes import Change
from ...projections.sentences import number
from ..audit.causation import MAX_ENTRIES, CausationTree, tree_of
from ..audit.history import HistoryEntry
from ..errors import BadSettings
from ..queries import as_id
from .output import DbOption, JsonOption, console, json_line, plain, print_json, shown
from .session import connected

SHOWN_CHARACTERS = 300
"""So much of a value is shown; JSON has all of it."""
FIELDS = [field.name for field in fields(HistoryEntry) if field.name != "changes"]
CHANGE_FIELDS = ("field", "before", "after", "withheld")
ID_IN_PATH = re.compile(r"\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DEEPEST = 10
"""Further down a tree, events are not moved in any more."""


def history(
    id_: Annotated[
        UUID | None,
        typer.Argument(metavar="ID", help="A project, task, run, file, agent, user, workflow, session or template."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Of a project: all that happened in it.")] = False,
    correlation: Annotated[
        str | None, typer.Option("--correlation", metavar="ID", help="Follow a correlation id through all streams.")
    ] = None,
    causation: Annotated[
        str | None,
        typer.Option("--causation", metavar="ID", help="Follow what a command or an event caused, as a tree."),
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Show the events as a tree: what caused what.")] = False,
    after: Annotated[
        int, typer.Option("--after", metavar="POSITION", min=0, help="Go on behind this position of the log.")
    ] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="How many events at most.")] = 100,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to anything: when, who, why, and what changed.

    The oldest event comes first. A tree has 10,000 events at most."""
    if (id_ is None) + (correlation is None) + (causation is None) != 2:
        raise BadSettings("history is asked of one thing: an ID, --correlation or --causation")
    if everything and id_ is None:
        raise BadSettings("--all: everything is told of a project, by its ID")
    if after and (tree or causation is not None):
        raise BadSettings("--after: a tree has no pages")
    most = min(limit, MAX_ENTRIES)
    with connected(db) as tiu:
        if causation is not None:
            _print_tree(f"What followed from {causation}", tiu.caused_by(causation, limit=most), as_json)
            return
        if correlation is not None:
            title, entries = f"Under the correlation id {correlation}", tiu.correlated(correlation, after=after)
        else:
            title, entries = f"History of {id_}", tiu.history(as_id(id_), everything=everything, after=after)
        if tree:
            _print_tree(title, tree_of(entries, most), as_json)
        elif as_json:
            _print_json(entries, limit)
        else:
            _print(title, entries, limit, of_one=id_ is not None and not everything)


def _print(title: str, entries: Iterator[HistoryEntry], limit: int, *, of_one: bool) -> None:
    console.print(shown(f"{title} (times in UTC)"), style="bold", soft_wrap=True)
    last = None
    for last in islice(entries, limit):
        _print_entry(last, of_one=of_one)
    if last is None:
        console.print("nothing more")
    elif next(entries, None) is not None:
        console.print(f"there is more: --after {last.position}")


def _print_tree(title: str, tree: CausationTree, as_json: bool) -> None:
    if as_json:
        events = [{"depth": caused.depth, **_json(caused.entry)} for caused in tree.events]
        print_json({"events": events, "complete": tree.complete})
        return
    console.print(shown(f"{title} (times in UTC)"), style="bold", soft_wrap=True)
    for caused in tree.events:
        _print_entry(caused.entry, of_one=False, depth=caused.depth)
    if not tree.complete:
        console.print(f"there is more: these are the first {len(tree.events)} events")


def _print_json(entries: Iterator[HistoryEntry], limit: int) -> None:
    """Print a page as one line of JSON, an entry at a time: it may be longer than memory has room for."""
    sys.stdout.write('{"events": [')
    position = None
    for entry in islice(entries, limit):
        sys.stdout.write(("" if position is None else ", ") + json_line(_json(entry)))
        position = entry.position
    more = position if next(entries, None) is not None else None
    sys.stdout.write(f'], "after": {json_line(more)}}}\n')
    sys.stdout.flush()


def _json(entry: HistoryEntry) -> dict[str, Any]:
    """Return an entry as JSON can hold it."""
    told = {name: plain(getattr(entry, name)) for name in FIELDS}
    return told | {"changes": [{name: plain(getattr(c, name)) for name in CHANGE_FIELDS} for c in entry.changes]}


def _print_entry(entry: HistoryEntry, *, of_one: bool, depth: int = 0) -> None:
    """Print when it happened; beside it what, with each change, and who and why."""
    lines: list[RenderableType] = [
        Text(shown(entry.sentence), style="bold" if entry.fault is None else "bold red"),
        *(Padding(change, (0, 0, 0, 2)) for change in _changes(entry)),
        Text(shown(_circumstances(entry, of_one=of_one)), style="dim"),
    ]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=19, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(shown(entry.occurred_at), Padding(Group(*lines), (0, 0, 0, 2 * min(depth, DEEPEST))))
    console.print(grid)


def _circumstances(entry: HistoryEntry, *, of_one: bool) -> str:
    """Return where an event stands, who brought it about, and why."""
    parts = [f"position {entry.position}"]
    if not of_one:
        parts.append(f"{(entry.kind or 'stream').replace('_', ' ')} {entry.stream_id}")
    if entry.actor is not None:
        parts.append(f"by {entry.actor}")
    parts.append(f"recorded {shown(entry.recorded_at)}")
    if entry.correlation_id is not None:
        parts.append(f"correlation {entry.correlation_id}")
    if entry.causation_id is not None:
        parts.append(f"caused by {entry.causation_id}")
    return ", ".join(parts)


def _is_empty(change: Change) -> bool:
    """Whether a field was given nothing, where there was nothing: JSON tells that, too."""
    return change.before is None and change.after in ([], {}) and change.withheld is None


def _changes(entry: HistoryEntry) -> Iterator[Text]:
    """Yield what changed; where it is of one thing alone, of which the sentence tells the id, without that."""
    told = [change for change in entry.changes if not _is_empty(change)]
    of_one = len({tuple(ID_IN_PATH.findall(change.field)) for change in told if "." in change.field}) <= 1
    for change in told:
        yield _change(change, shown(ID_IN_PATH.sub("", change.field) if of_one else change.field))


def _change(change: Change, name: str) -> Text:
    if change.withheld == "secret":
        return Text(f"{name}: changed (secret)")
    if change.withheld == "forgotten":
        return Text(f"{name}: forgotten")
    if change.before is None:
        return Text(f"{name}: {_value(change.after)}")
    return Text(f"{name}: {_value(change.before)} → {_value(change.after)}")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    text = shown(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text):,} characters)"
