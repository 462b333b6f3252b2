"""A chart of real and fake progress over time, for a terminal: stacked columns that read without colour too."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from rich.text import Text

HEIGHT = 20
"""Rows of the plot: 5 percent each."""
AXIS_WIDTH = 7
"""Columns left of the plot: "100 % ┤"."""
MIN_COLUMNS = 13
"""What the legend needs."""
LABELLED_PERCENTS = (0, 25, 50, 75, 100)
GAP = 2
"""Columns between labels at least."""


class Symbols(NamedTuple):
    """The characters of a chart."""

    real: str = "█"
    fake: str = "░"
    tick: str = "┤"
    side: str = "│"
    corner: str = "└"
    base: str = "─"
    mark: str = "┬"


ASCII = Symbols(real="#", fake=":", tick="+", side="|", corner="+", base="-", mark="+")
REAL_STYLE, FAKE_STYLE, AXIS_STYLE = "green", "yellow", "dim"


class Point(NamedTuple):
    """A value (percent) from a time on."""

    at: datetime
    value: float


class Level(NamedTuple):
    """How high a column is, in rows: real below, fake on top of it up to `top`."""

    real: int
    top: int


def chart(
    real: Sequence[Point],
    fake: Sequence[Point],
    since: datetime,
    until: datetime,
    *,
    width: int = 80,
    height: int = HEIGHT,
    symbols: Symbols = Symbols(),  # noqa: B008 - frozen
) -> Text:
    """Return real and fake progress from `since` to `until` as stacked columns, with axes and a legend.

    `real` and `fake` are series in order of time, each value standing until the next, 0 before the first. No line is
    wider than `width`, unless that leaves the plot less than MIN_COLUMNS; there is no newline at the end.
    """
    columns = max(width - AXIS_WIDTH, MIN_COLUMNS)
    times = _times(since, until, columns)
    levels = [_level(_at(real, time), _at(fake, time), height) for time in times]
    text = Text(no_wrap=True, end="")
    text.append_text(_legend(symbols)).append("\n\n")
    for row in range(height, 0, -1):
        text.append(_axis(row, height, symbols), AXIS_STYLE)
        text.append_text(_row(levels, row, symbols)).append("\n")
    marks = _marks(times, since)
    places = {column for column, _ in marks}
    line = "".join(symbols.mark if column in places else symbols.base for column in range(columns))
    text.append(f"{'0 %':>{AXIS_WIDTH - 2}} {symbols.corner}{line}\n", AXIS_STYLE)
    text.append((" " * AXIS_WIDTH + _labels(marks, columns)).rstrip())
    return text


def _times(since: datetime, until: datetime, columns: int) -> list[datetime]:
    """Return the time at the end of each column."""
    span = max(until - since, timedelta(0))
    return [since + span * (column + 1) / columns for column in range(columns)]


def _at(series: Sequence[Point], time: datetime) -> float:
    index = bisect_right(series, time, key=lambda point: point.at)
    return series[index - 1].value if index else 0.0


def _level(real: float, fake: float, height: int) -> Level:
    return Level(_rows(real, height), _rows(real + fake, height))


def _rows(percent: float, height: int) -> int:
    return min(max(int(percent * height / 100 + 0.5), 0), height)


def _row(levels: Sequence[Level], row: int, symbols: Symbols) -> Text:
    text = Text()
    for level in levels:
        if row <= level.real:
            text.append(symbols.real, REAL_STYLE)
        elif row <= level.top:
            text.append(symbols.fake, FAKE_STYLE)
        else:
            text.append(" ")
    text.rstrip()
    return text


def _axis(row: int, height: int, symbols: Symbols) -> str:
    labelled = {_rows(percent, height): percent for percent in LABELLED_PERCENTS if percent}
    if row in labelled:
        return f"{labelled[row]:>3} % {symbols.tick}"
    return " " * (AXIS_WIDTH - 1) + symbols.side


def _legend(symbols: Symbols) -> Text:
    text = Text(" " * AXIS_WIDTH)
    text.append(symbols.real, REAL_STYLE).append(" real ")
    return text.append(symbols.fake, FAKE_STYLE).append(" fake")


def _marks(times: Sequence[datetime], since: datetime) -> list[tuple[int, str]]:
    """Return (column, label) where a year begins; where none or one does, a month, or else a day."""
    for form in ("%Y", "%Y-%m", "%Y-%m-%d"):
        changes = list(_changes(times, since, form))
        if len(changes) > 1:
            return changes
    return changes or [(0, since.astimezone(UTC).strftime("%Y-%m-%d"))]


def _changes(times: Sequence[datetime], since: datetime, form: str) -> Iterator[tuple[int, str]]:
    before = since.astimezone(UTC).strftime(form)
    for column, time in enumerate(times):
        now = time.astimezone(UTC).strftime(form)
        if now != before:
            yield column, now
        before = now


def _labels(marks: Sequence[tuple[int, str]], columns: int) -> str:
    """Return the labels below their marks: every one, or every second, third ... as there is room."""
    placed = [(max(min(column, columns - len(label)), 0), label) for column, label in marks]
    for step in range(1, len(placed) + 1):
        chosen = placed[::step]
        if all(place + len(label) + GAP <= after for (place, label), (after, _) in pairwise(chosen)):
            break
    line = ""
    for place, label in chosen:
        line = line.ljust(place) + label
    return line
