"""The HTML report that stands beside an audit bundle: one file that opens offline, without scripts.

It is made of plain data. Everything in it that somebody else wrote is escaped (markup.py), and its security policy lets
it load and run nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import NamedTuple

from ..queries import IssueRow, MetricRow, ProjectRow, ReportRow, TaskRow
from .markup import Markup, document, element, foreign, shortened, style
from .report_chart import NARROW, WIDE, chart, moments

SEVERITIES = ("critical", "high", "medium", "low")
MOST_ROWS = 500
"""So many rows of a table are shown: a page of more is no longer read."""


@dataclass(frozen=True, slots=True)
class StoryLine:
    """An event in words; `actor` is an id, if one was given."""

    occurred_at: datetime
    sentence: str
    actor: str | None


@dataclass(frozen=True, slots=True)
class Proofs:
    """What can be checked. `facts` are names and values, such as ("Root", "ab12…"); the others are sentences."""

    facts: Sequence[tuple[str, str]]
    proved: Sequence[str]
    not_proved: Sequence[str]


@dataclass(frozen=True, slots=True)
class Report:
    """What a report tells of a project, as of a position of the log.

    `real` and `fake` are the series of the project's metrics real_progress and fake_progress, `validations` and
    `issues` the newest first: all in the order in which the queries give them. `recorded_at` is when the last event up
    to the position was recorded.
    """

    project: ProjectRow
    position: int
    recorded_at: datetime
    tasks: Sequence[TaskRow]
    real: Sequence[MetricRow]
    fake: Sequence[MetricRow]
    validations: Sequence[ReportRow]
    issues: Sequence[IssueRow]
    story: Sequence[StoryLine]
    proofs: Proofs


class Section(NamedTuple):
    """A part of the page; `otherwise` is what it says where it has no contents."""

    id: str
    title: str
    contents: Markup | None
    otherwise: str


class Column(NamedTuple):
    """A column of a table. `kind` is how it looks: head, number, word, text, where, or bar: a picture of numbers that
    stand beside it, which is read out to nobody."""

    name: str
    kind: str


Cell = tuple[str, ...]
"""What stands in a cell: texts, and markup."""


def html(report: Report) -> str:
    """Return the page. The same report makes the same page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{shortened(report.project.name)} – audit report"),
        style(files(__package__).joinpath("report.css").read_text(encoding="utf-8")),
    )
    sections = [
        Section("progress", "Progress", _progress(report), "No progress has been claimed yet."),
        Section("tasks", "Tasks", _tasks(report.tasks), "There are no tasks."),
        Section("validations", "Validation reports", _validations(report.validations), "Nothing has been validated."),
        Section("issues", "Open issues", _issues(report), "No issue is open."),
        Section("story", "What happened", _story(report.story), "Nothing is told."),
        Section("proofs", "What can be checked", _proofs(report.proofs), "Nothing is proved."),
    ]
    main = element("main", *map(_section, sections))
    return document(head, element("body", _header(report, sections), main, _footer()))


def _header(report: Report, sections: Sequence[Section]) -> Markup:
    project = report.project
    described = element("p", foreign(project.description), class_="what") if project.description else None
    as_of = f"As of position {report.position:,} of the log, recorded {_time(report.recorded_at)} UTC."
    return element(
        "header",
        element("p", "Audit report", class_="kicker"),
        element("h1", foreign(project.name)),
        described,
        element("p", f"{as_of} The project is {project.status}; its id is {project.id}.", class_="quiet"),
        _numbers(report),
        element("nav", *(element("a", part.title, href=f"#{part.id}") for part in sections), aria_label="Contents"),
    )


def _numbers(report: Report) -> Markup:
    project = report.project
    done = sum(task.status == "completed" for task in report.tasks)
    named = [
        ("Real progress", _percent(project.real_progress), "real"),
        ("Fake progress", _percent(project.fake_progress), "fake"),
        ("Authenticity", _percent(project.authenticity_rate), None),
        ("Quality", _percent(project.quality_score), None),
        ("Tasks completed", f"{done:,} of {len(report.tasks):,}", None),
    ]
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value), class_=class_) for name, value, class_ in named),
        class_="numbers",
    )


def _section(section: Section) -> Markup:
    contents = section.contents or element("p", section.otherwise, class_="quiet")
    return element("section", element("h2", section.title), contents, id=section.id)


def _progress(report: Report) -> Markup | None:
    series = moments(report.real, report.fake)
    if not series:
        return None
    since, last = series[0].at, series[-1].at
    until = max(last + (last - since) / 50, report.project.updated_at)  # room to see the last value
    key = element(
        "figcaption",
        element("span", element("span", class_="key real"), "real"),
        element("span", element("span", class_="key fake"), "fake: claimed, but not found real by validation"),
    )
    return element("figure", *(chart(series, since, until, size) for size in (WIDE, NARROW)), key)


def _tasks(tasks: Sequence[TaskRow]) -> Markup | None:
    columns = [
        Column("Task", "head"),
        Column("Status", "word"),
        Column("", "bar"),
        Column("Real", "number"),
        Column("Fake", "number"),
        Column("Authentic", "number"),
    ]

    def cells(task: TaskRow) -> Iterator[Cell]:
        yield (foreign(task.name),)
        yield (_words(task.status),)
        yield (_bar(task.real_progress, task.fake_progress),)
        for value in (task.real_progress, task.fake_progress, task.authenticity_score):
            yield (_percent(value),)

    return _table("Tasks", columns, (cells(task) for task in tasks[:MOST_ROWS]), len(tasks))


def _validations(validations: Sequence[ReportRow]) -> Markup | None:
    names = ("Authentic", "Real", "Fake", "Quality", "Issues")
    columns = [Column("When", "head"), Column("Type", "word"), *(Column(name, "number") for name in names)]

    def cells(report: ReportRow) -> Iterator[Cell]:
        quality = report.quality_metrics.get("quality_score")
        yield (_time_element(report.created_at),)
        yield (report.validation_type,)
        for value in (report.overall_authenticity, report.real_progress, report.fake_progress):
            yield (_percent(value),)
        yield (_percent(quality) if isinstance(quality, int | float) else "–",)
        yield (f"{report.issue_count:,}",)

    shown = (cells(report) for report in validations[:MOST_ROWS])
    return _table("Validation reports", columns, shown, len(validations))


def _issues(report: Report) -> Markup | None:
    """Return those of the newest report that has any: older ones have much the same, over and over."""
    columns = [
        Column("Issue", "head"),
        Column("Severity", "word"),
        Column("Type", "word"),
        Column("Where", "where"),
        Column("Status", "word"),
    ]

    def cells(issue: IssueRow) -> Iterator[Cell]:
        known = issue.severity if issue.severity in SEVERITIES else None
        yield (element("span", foreign(issue.description), class_="what"),)
        yield (element("span", issue.severity, class_=f"severity {known or ''}".strip()),)
        yield (_words(issue.issue_type),)
        yield tuple(_where(issue))
        yield (_words(issue.status),)

    newest = report.issues[0].validation_report_id if report.issues else None
    issues = [issue for issue in report.issues if issue.validation_report_id == newest]
    table = _table("Open issues", columns, (cells(issue) for issue in issues[:MOST_ROWS]), len(issues))
    if len(issues) == len(report.issues):
        return table
    more = element(
        "p", "These are of the newest report that has open issues; older ones have some, too.", class_="quiet"
    )
    return element("div", more, table)


def _where(issue: IssueRow) -> Iterator[str]:
    if issue.file_path is not None:
        yield foreign(issue.file_path)
        yield "" if issue.line_number is None else f", line {issue.line_number}"
    if issue.file_path is not None and issue.task_name is not None:
        yield element("br")
    if issue.task_name is not None:
        yield "task "
        yield foreign(issue.task_name)


def _table(name: str, columns: Sequence[Column], rows: Iterable[Iterable[Cell]], count: int) -> Markup | None:
    """Return a table, or None where it has no rows.

    Its roles are given: on a phone its style makes blocks of the rows, and would take from it that it is a table.
    """
    if not count:
        return None
    heads = (_head(column) for column in columns)
    body = (element("tr", *(_cell(*pair) for pair in zip(columns, row, strict=True)), role="row") for row in rows)
    table = element(
        "table",
        element("thead", element("tr", *heads, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        role="table",
        aria_label=name,
    )
    scroll = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=name)
    if count <= MOST_ROWS:
        return scroll
    rest = element("p", f"And {count - MOST_ROWS:,} more, which the bundle has.", class_="quiet")
    return element("div", scroll, rest)


def _head(column: Column) -> Markup:
    if column.kind == "bar":
        return element("td", class_="bar", aria_hidden="true")
    return element("th", column.name, scope="col", role="columnheader", class_=column.kind)


def _cell(column: Column, contents: Cell) -> Markup:
    match column.kind:
        case "head":
            return element("th", *contents, scope="row", role="rowheader")
        case "bar":
            return element("td", *contents, class_="bar", aria_hidden="true")
        case "number":
            return element("td", *contents, role="cell", class_="number", data_label=column.name)
    return element("td", *contents, role="cell", class_=column.kind)


def _bar(real: float, fake: float) -> Markup:
    """Return a bar of a hundred percent."""
    return element(
        "svg",
        element("rect", width=100, height=7, class_="all"),
        element("rect", width=round(real, 2), height=7, class_="real"),
        element("rect", x=round(real, 2), width=round(fake, 2), height=7, class_="fake"),
        viewBox="0 0 100 7",
        preserveAspectRatio="none",
    )


def _story(story: Sequence[StoryLine]) -> Markup | None:
    def line(told: StoryLine) -> Markup:
        by = element("span", f" – {told.actor}", class_="quiet") if told.actor else None
        return element("li", _time_element(told.occurred_at), element("span", foreign(told.sentence), by))

    return element("ol", *map(line, story), class_="story") if story else None


def _proofs(proofs: Proofs) -> Markup | None:
    parts = []
    if proofs.facts:
        named = [part for name, value in proofs.facts for part in (element("dt", name), element("dd", foreign(value)))]
        parts.append(element("dl", *named, class_="facts"))
    for title, sentences in (("Proved", proofs.proved), ("Not proved", proofs.not_proved)):
        if sentences:
            parts.append(element("h3", title))
            parts.append(element("ul", *(element("li", foreign(sentence)) for sentence in sentences)))
    return element("div", *parts, class_="card") if parts else None


def _footer() -> Markup:
    return element(
        "footer",
        element(
            "p",
            "This page is made of the bundle that it stands beside, to be read; it proves nothing by itself. "
            "The bundle is checked with ",
            element("code", "tiu audit check"),
            ". Times are in UTC, and those at which things occurred, where nothing else is said.",
        ),
    )


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _time_element(time: datetime) -> Markup:
    return element("time", _time(time), datetime=f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
