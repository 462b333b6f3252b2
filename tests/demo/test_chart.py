"""The chart of real and fake progress: its shape at any width, with and without colour."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from claude_tiu.infrastructure.demo.chart import ASCII, AXIS_WIDTH, HEIGHT, MIN_COLUMNS, Point, Symbols, chart

START, END = datetime(2015, 5, 19, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
REAL = [Point(START, 0.0), Point(datetime(2020, 1, 1, tzinfo=UTC), 40.0), Point(END, 70.0)]
FAKE = [Point(START, 20.0), Point(datetime(2023, 1, 1, tzinfo=UTC), 30.0)]


def drawn(
    real: list[Point] = REAL,
    fake: list[Point] = FAKE,
    since: datetime = START,
    until: datetime = END,
    width: int = 80,
    symbols: Symbols = Symbols(),  # noqa: B008 - frozen
) -> list[str]:
    return chart(real, fake, since, until, width=width, symbols=symbols).plain.split("\n")


def plot(lines: list[str]) -> list[str]:
    """The rows of the plot from the top, without their axis."""
    return [line[AXIS_WIDTH:] for line in lines if re.match(r"[ \d]{3} [ %] [│┤]", line)]


def columns(lines: list[str]) -> list[str]:
    """The columns of the plot from the left, each from the bottom."""
    rows = plot(lines)
    width = max(map(len, rows))
    return ["".join(row.ljust(width)[at] for row in reversed(rows)).rstrip() for at in range(width)]


@pytest.mark.parametrize("width", [*range(20, 132), 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(width=width)
    assert max(map(len, lines)) <= width
    assert len(plot(lines)) == HEIGHT
    assert len(columns(lines)) == width - AXIS_WIDTH


@pytest.mark.parametrize("width", [-1, 0, 1, AXIS_WIDTH, 19])
def test_a_terminal_that_is_too_narrow_still_gets_a_plot(width: int) -> None:
    assert len(columns(drawn(width=width))) == MIN_COLUMNS


def test_each_column_is_real_progress_with_fake_on_top() -> None:
    found = columns(drawn())
    assert (found[0], found[-1]) == ("░" * 4, "█" * 14 + "░" * 6)
    assert [column for at, column in enumerate(found) if column != found[at - 1]] == [
        "░" * 4,
        "█" * 8 + "░" * 4,
        "█" * 8 + "░" * 6,
        "█" * 14 + "░" * 6,
    ]


def test_a_column_shows_what_stands_at_its_end() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    steps = [Point(start + timedelta(days=day), 5.0 * (day + 1)) for day in range(20)]
    found = columns(drawn(steps, [], start, start + timedelta(days=19), width=AXIS_WIDTH + 19))
    assert list(map(len, found)) == list(range(2, 21))


def test_the_axes_name_percents_and_years() -> None:
    lines = drawn()
    assert [line[:5] for line in lines if "┤" in line] == ["100 %", " 75 %", " 50 %", " 25 %"]
    axis = next(line for line in lines if "└" in line)
    labels = lines[lines.index(axis) + 1]
    assert labels.split() == [str(year) for year in range(2016, 2027)]
    assert [match.start() for match in re.finditer("┬", axis)] == [
        match.start() for match in re.finditer(r"\d+", labels)
    ]


@pytest.mark.parametrize("width", range(20, 132))
def test_labels_of_years_never_touch(width: int) -> None:
    labels = drawn(width=width)[-1]
    assert labels.split()
    assert all(re.fullmatch(r"20\d\d", label) for label in labels.split())


@pytest.mark.parametrize(
    ("days", "labels"),
    [(0, ["2020-03-30"]), (0.5, ["2020-03-30"]), (1, ["2020-03-31"]), (40, ["2020-04", "2020-05"])],
)
def test_a_short_history_is_labelled_by_months_or_days(days: float, labels: list[str]) -> None:
    start = datetime(2020, 3, 30, tzinfo=UTC)
    assert drawn([Point(start, 50.0)], [], start, start + timedelta(days=days))[-1].split() == labels


def test_the_legend_says_what_is_what() -> None:
    assert drawn()[0].strip() == "█ real ░ fake"


def test_nothing_claimed_is_an_empty_plot() -> None:
    assert set("".join(plot(drawn([], [])))) <= {" "}


def printed(*, colour: bool) -> str:
    out = StringIO()
    console = Console(file=out, width=80, force_terminal=colour, color_system="standard" if colour else None)
    console.print(chart(REAL, FAKE, START, END, width=80), soft_wrap=True)
    return out.getvalue()


def test_it_reads_without_colour() -> None:
    plain, coloured = printed(colour=False), printed(colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    assert [line.rstrip() for line in plain.splitlines()] == drawn()


def test_without_unicode_it_is_drawn_in_ascii() -> None:
    lines = drawn(symbols=ASCII)
    assert "\n".join(lines).isascii()
    assert [line.replace("#", "█").replace(":", "░")[AXIS_WIDTH:] for line in lines[2:22]] == plot(drawn())
