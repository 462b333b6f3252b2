"""Real and fake progress over time, as an SVG: areas of colour and of hatching, which read without colour, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..queries import MetricRow
from .markup import Markup, element

LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 28
PERCENTS = (0, 25, 50, 75, 100)
YEAR_WIDTH, TIME_WIDTH = 84, 130
"""Pixels from one label to the next at least."""


class Moment(NamedTuple):
    """What a project's progress was from a time on, in percent."""

    at: datetime
    real: float
    fake: float


class Size(NamedTuple):
    """A chart's width and height in pixels, and what its ids begin with: no two on a page may have the same."""

    width: int
    height: int
    name: str

    @property
    def columns(self) -> int:
        return self.width - LEFT - RIGHT


WIDE, NARROW = Size(880, 300, "wide"), Size(358, 240, "narrow")


def moments(real: Sequence[MetricRow], fake: Sequence[MetricRow]) -> list[Moment]:
    """Return both series as one, in the order of their times; each value holds until its next."""
    found: list[Moment] = []
    now = {"real_progress": 0.0, "fake_progress": 0.0}
    for row in sorted([*real, *fake], key=lambda row: row.recorded_at):
        now[row.metric_name] = row.value
        moment = Moment(row.recorded_at, now["real_progress"], now["fake_progress"])
        if found and found[-1].at == moment.at:
            found[-1] = moment
        else:
            found.append(moment)
    return found


def chart(series: Sequence[Moment], since: datetime, until: datetime, size: Size) -> Markup:
    """Return the chart of a series from its beginning to its end."""
    last = series[-1]
    until = max(until, since + timedelta(seconds=1))
    points = list(_thinned(series, since, until, size))
    real = _area(points, [(y_of(m.real, size), y_of(0, size)) for _, m in points], size)
    fake = _area(points, [(y_of(m.real + m.fake, size), y_of(m.real, size)) for _, m in points], size)
    title, described = f"{size.name}-title", f"{size.name}-desc"
    return element(
        "svg",
        element("title", "Real and fake progress over time", id=title),
        element("desc", _described(series, last), id=described),
        _hatching(size),
        *_grid(size),
        element("path", d=real, class_="area-real"),
        element("path", d=fake, class_="area-fake", fill=f"url(#{size.name}-hatching)"),
        *_times(since, until, size),
        viewBox=f"0 0 {size.width} {size.height}",
        role="img",
        aria_labelledby=f"{title} {described}",
        class_=f"chart {size.name}",
    )


def _described(series: Sequence[Moment], last: Moment) -> str:
    highest = max(series, key=lambda moment: moment.real)
    return (
        f"From {series[0].at:%Y-%m-%d} to {last.at:%Y-%m-%d}. Real progress ends at {last.real:.1f} percent, fake "
        f"progress at {last.fake:.1f} percent. Real progress was highest on {highest.at:%Y-%m-%d}, at "
        f"{highest.real:.1f} percent."
    )


def _thinned(series: Sequence[Moment], since: datetime, until: datetime, size: Size) -> Iterator[tuple[float, Moment]]:
    """Yield the moments with their places from left to right; of those that share a pixel, the last."""
    held: tuple[float, Moment] | None = None
    for moment in series:
        x = LEFT + size.columns * min(1.0, max(0.0, (moment.at - since) / (until - since)))
        if held is not None and int(held[0]) != int(x):
            yield held
        held = x, moment
    if held is not None:
        yield held
        yield float(size.width - RIGHT), held[1]


def y_of(percent: float, size: Size) -> float:
    """Return how far from the top a value stands."""
    return TOP + (size.height - TOP - BOTTOM) * (1 - percent / 100)


def _area(points: Sequence[tuple[float, Moment]], bounds: Sequence[tuple[float, float]], size: Size) -> str:
    """Return the path round an area between two lines of steps."""
    xs = [x for x, _ in points]
    upper = _steps(xs, [upper for upper, _ in bounds])
    lower = _steps(xs, [lower for _, lower in bounds])
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)]) + "Z"


def _steps(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    corners = [(xs[0], ys[0])]
    for x, y, before in zip(xs[1:], ys[1:], ys, strict=False):
        corners += [(x, before), (x, y)]
    return corners


def _hatching(size: Size) -> Markup:
    ground = element("rect", width=6, height=6, class_="hatch-ground")
    stripe = element("rect", width=2.5, height=6, class_="hatch-stripe")
    pattern = element(
        "pattern",
        ground,
        stripe,
        id=f"{size.name}-hatching",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    return element("defs", pattern)


def _grid(size: Size) -> Iterator[Markup]:
    for percent in PERCENTS:
        y = round(y_of(percent, size), 1)
        yield element("line", x1=LEFT, x2=size.width - RIGHT, y1=y, y2=y, class_="grid")
        yield element("text", f"{percent} %", x=LEFT - 6, y=y + 4, text_anchor="end")


def _times(since: datetime, until: datetime, size: Size) -> Iterator[Markup]:
    """Yield labels below the chart: years where it shows several, else days, else times of the day."""
    marks, form = _years(since, until, size.columns // YEAR_WIDTH), "%Y"
    if not marks:
        count = size.columns // TIME_WIDTH
        marks = [since + (until - since) * number / count for number in range(count + 1)]
        form = "%Y-%m-%d" if until - since >= timedelta(days=count) else "%m-%d %H:%M"
    bottom = size.height - BOTTOM
    for mark in marks:
        x = round(LEFT + size.columns * ((mark - since) / (until - since)), 1)
        yield element("line", x1=x, x2=x, y1=bottom, y2=bottom + 5, class_="tick")
        anchor = "start" if x < LEFT + 20 else "end" if x > size.width - RIGHT - 20 else "middle"
        yield element("text", f"{mark:{form}}", x=x, y=bottom + 19, text_anchor=anchor)


def _years(since: datetime, until: datetime, count: int) -> list[datetime]:
    """Return the beginnings of years between two times, at most `count`; none, where there are fewer than two."""
    first, last = since.year + 1, until.year
    if last <= first:
        return []
    apart = -(-(last - first + 1) // count)
    return [datetime(year, 1, 1, tzinfo=UTC) for year in range(first, last + 1, apart)]
