"""What is wrong with a log, by name: events changed, removed, inserted or reordered, from what a walk has noted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .walk import Places, Run, Walk, Wrong

Kind = Literal[
    "changed",
    "removed",
    "inserted",
    "reordered",
    "cut",
    "rewritten",
    "replaced",
    "time_fell",
    "version_skipped",
    "seal_changed",
    "seal_removed",
    "seal_replaced",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """`first` and `last` are positions of events, or, of a kind that begins with seal_, numbers of seals."""

    kind: Kind
    first: int
    last: int
    said: str

    @property
    def of_events(self) -> bool:
        return not self.kind.startswith("seal_")


def findings_of(walk: Walk) -> list[Finding]:
    """Return what is wrong with the rows, in order of position.

    Times and versions are told of where all else is right: they are the consequence of anything else.
    """
    wrong = walk.wrong
    moved, changed = _moved(wrong)
    found = [*_removed(wrong.missing), *_below(wrong.below), *_of_moved(moved, walk.position)]
    inserted = [(one.first, one.last) for one in found if one.kind == "inserted"]
    changed = _without(changed, inserted)
    found += _changed(changed)
    found += _unlinked(wrong.unlinked, [*changed, *((run.first, run.last) for run in moved)], inserted)
    if not found:
        found = [*_fell(wrong.fell), *_skipped(wrong.skipped)]
    return sorted(found, key=lambda one: (one.first, one.last))


def hashes_changed_by(wrong: Wrong) -> list[int]:
    """Return the positions at which the stored hashes are not those of the appended events, as far as rows tell.

    (A row that was changed alone has the hash that it had.)
    """
    return sorted(
        [
            *(first for first, _ in wrong.missing),
            *(0 for _ in wrong.below),
            *(run.first for run in wrong.moved),
            *(position - 1 for position in wrong.unlinked),
            *(suspect.position for suspect in wrong.suspects if _home(suspect.position, wrong) is not None),
        ]
    )


def _moved(wrong: Wrong) -> tuple[list[Run], Places]:
    """Return the runs of moved events, those found far from their place too, and what was changed but for these."""
    far = []
    for suspect in wrong.suspects:
        if (home := _home(suspect.position, wrong)) is not None:
            far.append(Run(suspect.position, suspect.position, home - suspect.position))
    runs = sorted([*wrong.moved, *far])
    return runs, _without(wrong.changed, [(run.first, run.last) for run in far])


def _home(position: int, wrong: Wrong) -> int | None:
    """Return where a suspect was appended, if that is where another one stands."""
    suspect = next(one for one in wrong.suspects if one.position == position)
    others = [other.position for other in wrong.suspects if other is not suspect]
    return next((place for place in others if suspect.was_appended_at(place)), None)


def _without(places: Places, taken: Sequence[tuple[int, int]]) -> Places:
    """Return places without those that are taken."""
    for start, end in taken:
        rest = []
        for first, last in places:
            if last < start or first > end:
                rest.append((first, last))
                continue
            if first < start:
                rest.append((first, start - 1))
            if last > end:
                rest.append((end + 1, last))
        places = rest
    return places


def _of_moved(runs: Sequence[Run], end: int) -> Iterator[Finding]:
    """Events in each other's places were reordered; where all behind moved, events before them went, or came."""
    places = _joined((run.first, run.last) for run in runs)
    homes = _joined((run.first + run.shift, run.last + run.shift) for run in runs)
    if runs and places == homes:
        first, last = runs[0].first, runs[-1].last
        told = [f"at {run.first} what was appended as {run.first + run.shift}" for run in runs[:4]]
        said = f"{are(first, last)} not in order: {', '.join(told)}{', and others' if len(runs) > 4 else ''}"
        yield Finding("reordered", first, last, said)
        return
    shift, behind = 0, 0
    for run in (*runs, None):
        if shift and (run is None or run.first > behind + 1):  # those behind it have not moved
            if behind < end:
                yield from _step(behind + 1, shift, 0)
            shift = 0
        if run is not None:
            yield from _step(run.first, shift, run.shift)
            shift, behind = run.shift, run.last


def _step(position: int, before: int, shift: int) -> Iterator[Finding]:
    """What it means that from a position on events stand `shift` places before their own, and up to there `before`."""
    if shift > before:
        first, last = position + before, position + shift - 1
        yield Finding("removed", first, last, f"{are(first, last)} gone, and the later ones were renumbered")
    elif shift < before:
        first, last = position + shift - before, position - 1
        yield Finding("inserted", first, last, f"{are(first, last)} put in between, and the later ones were renumbered")


def _removed(missing: Places) -> Iterator[Finding]:
    for first, last in missing:
        yield Finding("removed", first, last, f"{are(first, last)} not there")


def _below(positions: Sequence[int]) -> Iterator[Finding]:
    for position in positions:
        yield Finding("inserted", position, position, f"event {position} was inserted: the first one is 1")


def _changed(changed: Places) -> Iterator[Finding]:
    for first, last in changed:
        yield Finding("changed", first, last, f"{are(first, last)} not as appended: the hash is of another row")


def _unlinked(positions: Sequence[int], odd: Places, inserted: Places) -> Iterator[Finding]:
    """An event whose successor was appended behind another is another one now, where nothing else says why."""
    for position in positions:
        if position > 1 and not any(first <= position - 1 <= last for first, last in (*odd, *inserted)):
            said = (
                f"event {position} was appended behind another event {position - 1}: that one was changed, and its hash"
            )
            yield Finding("changed", position - 1, position - 1, said)


def _fell(positions: Sequence[int]) -> Iterator[Finding]:
    for position in positions:
        said = f"event {position} was recorded before event {position - 1}: no append does that"
        yield Finding("time_fell", position, position, said)


def _skipped(positions: Sequence[int]) -> Iterator[Finding]:
    for position in positions:
        said = f"event {position} is not the next of its stream: no append does that"
        yield Finding("version_skipped", position, position, said)


def _joined(places: Iterable[tuple[int, int]]) -> Places:
    """Return places in order, those beside each other as one."""
    joined: Places = []
    for first, last in sorted(places):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def are(first: int, last: int) -> str:
    """Return the beginning of what is said of events at positions."""
    return f"event {first} is" if first == last else f"events {first} to {last} are"
