"""The HTML report: it says what is so, opens offline, and nothing that somebody wrote becomes a part of the page."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.infrastructure.audit.markup import element, foreign, style
from claude_tiu.infrastructure.audit.report import MOST_ROWS, Proofs, Report, StoryLine, html
from claude_tiu.infrastructure.audit.report_chart import BOTTOM, LEFT, NARROW, RIGHT, TOP, WIDE, Moment, chart, moments
from claude_tiu.infrastructure.queries import IssueRow, MetricRow, ProjectRow, ReportRow, TaskRow
from claude_tiu.infrastructure.visible import visible

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROJECT, RUN, OLDER = UUID(int=1), UUID(int=2), UUID(int=3)
HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&lt; \u202eexe.txt\x1b[31m\x00\u2066"
VISIBLE = (
    HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b").replace("\x00", "\\x00").replace("\u2066", "\\u2066")
)
VOID = {"meta", "br"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "div", "span"),
    *(
        "h1",
        "h2",
        "h3",
        "p",
        "dl",
        "dt",
        "dd",
        "ol",
        "ul",
        "li",
        "a",
        "figure",
        "figcaption",
        "bdi",
        "time",
        "code",
        "br",
    ),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *("svg", "desc", "defs", "pattern", "rect", "line", "path", "text"),
}


class Page(HTMLParser):
    """A page as it is read: its elements, its attributes, its text; what is not closed as it was opened is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + " "

    def having(self, name: str) -> list[str]:
        """Return the values of an attribute."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def project(**fields: Any) -> ProjectRow:
    values: dict[str, Any] = {
        "id": PROJECT,
        "user_id": UUID(int=9),
        "name": "Billing",
        "description": None,
        "status": "active",
        "template_id": None,
        "configuration": {},
        "metadata": {},
        "created_at": AT,
        "updated_at": AT,
        "real_progress": 40.0,
        "fake_progress": 20.0,
        "authenticity_rate": 66.666667,
        "quality_score": 75.0,
        "completed_at": None,
    }
    return ProjectRow(**(values | fields))


def task(**fields: Any) -> TaskRow:
    values: dict[str, Any] = {
        "id": UUID(int=5),
        "project_id": PROJECT,
        "name": "Parser",
        "status": "in_progress",
        "priority": "high",
        "real_progress": 12.34,
        "fake_progress": 50.06,
        "authenticity_score": 19.8,
        "created_at": AT,
        "estimated_duration": None,
        "actual_duration": None,
        "updated_at": AT,
        "completed_at": None,
    }
    return TaskRow(**(values | fields))


def validation(**fields: Any) -> ReportRow:
    values: dict[str, Any] = {
        "id": RUN,
        "project_id": PROJECT,
        "validation_type": "deep",
        "overall_authenticity": 66.7,
        "real_progress": 40.0,
        "fake_progress": 20.0,
        "quality_metrics": {"quality_score": 75},
        "issues_summary": {},
        "created_at": AT,
        "issue_count": 1_234,
    }
    return ReportRow(**(values | fields))


def issue(**fields: Any) -> IssueRow:
    values: dict[str, Any] = {
        "id": UUID(int=7),
        "validation_report_id": RUN,
        "task_id": UUID(int=5),
        "task_name": "Parser",
        "issue_type": "mock_data",
        "severity": "critical",
        "description": "Returns a constant",
        "file_path": "src/parser.py",
        "line_number": 12,
        "status": "in_progress",
        "created_at": AT,
    }
    return IssueRow(**(values | fields))


def series(name: str, *values: float) -> list[MetricRow]:
    return [
        MetricRow(UUID(int=n), PROJECT, name, value, {"seq": n}, AT + timedelta(days=30 * n))
        for n, value in enumerate(values, 1)
    ]


REPORT = Report(
    project=project(),
    position=10_612,
    recorded_at=AT + timedelta(days=1),
    tasks=[task()],
    real=series("real_progress", 10, 30, 40),
    fake=series("fake_progress", 0, 25, 20),
    validations=[validation()],
    issues=[issue()],
    story=[StoryLine(AT, 'Task "Parser" was added, with high priority.', "agent-7")],
    proofs=Proofs([("Root", "ab12" * 16)], ["Each event stands in the log."], ["That no stream was left out."]),
)
EMPTY = replace(REPORT, tasks=[], real=[], fake=[], validations=[], issues=[], story=[], proofs=Proofs((), (), ()))
HOSTILE_REPORT = replace(
    REPORT,
    project=project(name=HOSTILE, description=HOSTILE, status=HOSTILE),
    tasks=[task(name=HOSTILE, status=HOSTILE)],
    validations=[validation(validation_type=HOSTILE, quality_metrics={"quality_score": HOSTILE})],
    issues=[
        issue(
            description=HOSTILE,
            issue_type=HOSTILE,
            severity=HOSTILE,
            status=HOSTILE,
            file_path=HOSTILE,
            task_name=HOSTILE,
        )
    ],
    story=[StoryLine(AT, HOSTILE, HOSTILE)],
    proofs=Proofs([(HOSTILE, HOSTILE)], [HOSTILE], [HOSTILE]),
)


def words(report: Report) -> str:
    return " ".join(Page(html(report)).text.split())


class TestWhatItSays:
    def test_the_projects_numbers_and_as_of_when(self) -> None:
        said = words(REPORT)
        assert "As of position 10,612 of the log, recorded 2026-03-02 12:00 UTC." in said
        assert f"The project is active; its id is {PROJECT}." in said
        for name, value in (("Real", "40.0 %"), ("Fake", "20.0 %")):
            assert f"{name} progress {value}" in said
        assert "Authenticity 66.7 % Quality 75.0 % Tasks completed 0 of 1" in said

    def test_tasks_validations_and_issues(self) -> None:
        said = words(REPORT)
        assert "Parser in progress 12.3 % 50.1 % 19.8 %" in said
        assert "2026-03-01 12:00 deep 66.7 % 40.0 % 20.0 % 75.0 % 1,234" in said
        assert "Returns a constant critical mock data src/parser.py , line 12 task Parser in progress" in said

    def test_the_story_and_the_proofs(self) -> None:
        said = words(REPORT)
        assert '2026-03-01 12:00 Task "Parser" was added, with high priority. – agent-7' in said
        assert (
            f"Root {'ab12' * 16} Proved Each event stands in the log. Not proved That no stream was left out." in said
        )

    def test_where_there_is_nothing_it_says_so(self) -> None:
        said = words(EMPTY)
        for sentence in ("No progress has been claimed yet.", "There are no tasks.", "Nothing has been validated."):
            assert sentence in said
        for sentence in ("No issue is open.", "Nothing is told.", "Nothing is proved."):
            assert sentence in said

    def test_issues_are_those_of_the_newest_report_that_has_any(self) -> None:
        older = issue(description="seen before", validation_report_id=OLDER)
        said = words(replace(REPORT, issues=[issue(), older]))
        assert "seen before" not in said
        assert "older ones have some, too" in said
        assert "older ones have some, too" not in words(REPORT)

    def test_of_very_many_rows_the_first_are_shown_and_the_others_counted(self) -> None:
        said = words(replace(REPORT, tasks=[task(name=f"task {number}.") for number in range(MOST_ROWS + 1_234)]))
        assert f"task {MOST_ROWS - 1}." in said
        assert f"task {MOST_ROWS}." not in said
        assert "And 1,234 more, which the bundle has." in said

    def test_a_very_long_text_is_cut_and_its_length_told(self) -> None:
        text = html(replace(REPORT, project=project(description="word " * 100_000)))
        assert "(500,000 characters)" in text
        assert len(text) < 40_000

    def test_the_same_report_makes_the_same_page(self) -> None:
        assert html(REPORT) == html(REPORT)


class TestSafety:
    def test_no_text_becomes_a_part_of_the_page(self) -> None:
        page, plain = Page(html(HOSTILE_REPORT)), Page(html(REPORT))
        assert {tag for tag, _ in page.elements} <= ELEMENTS
        names = {name for _, attributes in page.elements for name in attributes}
        assert names == {name for _, attributes in plain.elements for name in attributes}
        given = repr(HOSTILE_REPORT).count(repr(HOSTILE))
        in_title, not_a_number = 1, 1
        assert page.text.count(VISIBLE) == given + in_title - not_a_number == 19, "it stands there to be read"

    def test_control_and_bidirectional_characters_are_made_visible(self) -> None:
        text = html(HOSTILE_REPORT)
        assert [c for c in text if not c.isprintable() and c != "\n"] == []

    def test_what_is_somebody_elses_is_isolated_in_its_direction(self) -> None:
        assert f"<bdi>{'שלום'}</bdi>" in html(replace(REPORT, project=project(name="שלום")))

    def test_nothing_is_loaded_and_nothing_is_run(self) -> None:
        for report in (REPORT, HOSTILE_REPORT):
            page = Page(html(report))
            assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in page.elements
            assert all(href.startswith("#") for href in page.having("href"))
            assert page.having("src") == page.having("srcset") == page.having("action") == []
            assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
        css = css_of_the_page()
        assert not re.search(r"url\(|@import|expression|javascript|<", css)

    @given(st.text(), st.text())
    def test_any_text_can_be_read_back_from_an_element(self, text: str, value: str) -> None:
        page = Page(element("p", text, title=value))
        assert page.elements == [("p", {"title": visible(value)})]
        assert page.text.removesuffix(" ") == visible(text).replace("\r", "\n") or not text

    def test_only_elements_are_not_escaped(self) -> None:
        assert element("p", "<b>", element("b", "<i>")) == "<p>&lt;b&gt;<b>&lt;i&gt;</b></p>"
        assert foreign("<") == "<bdi>&lt;</bdi>"

    def test_a_style_sheet_cannot_end_its_element(self) -> None:
        with pytest.raises(ValueError, match="markup"):
            style("p { } </style><script>")


POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def css_of_the_page() -> str:
    return files("claude_tiu.infrastructure.audit").joinpath("report.css").read_text(encoding="utf-8")


class TestAccess:
    def test_every_table_has_headings_and_keeps_its_roles_on_a_phone(self) -> None:
        page = Page(html(REPORT))
        roles = page.having("role")
        assert roles.count("table") == 3
        assert roles.count("columnheader") == 5 + 7 + 5
        assert roles.count("rowheader") == 3
        assert page.having("scope").count("row") == 3
        labels = [a["aria-label"] for tag, a in page.elements if tag == "table"]
        assert labels == ["Tasks", "Validation reports", "Open issues"]

    def test_the_chart_is_described_and_no_id_is_there_twice(self) -> None:
        page = Page(html(REPORT))
        ids = page.having("id")
        assert len(ids) == len(set(ids))
        for labelled in page.having("aria-labelledby"):
            assert set(labelled.split()) <= set(ids)
        assert "Real progress ends at 40.0 percent, fake progress at 20.0 percent." in page.text
        for href in page.having("href"):
            assert href.removeprefix("#") in ids

    @pytest.mark.parametrize("scheme", ["light", "dark", "print"])
    def test_every_text_has_contrast_enough_on_every_ground(self, scheme: str) -> None:
        """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what a chart is made of."""
        colours = colours_of(scheme)
        for ground in ("ground", "card"):
            for text in ("text", "quiet", "real", "fake", "critical", "high", "medium", "low"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["fake"], colours["fake-ground"]) >= 3

    def test_it_is_for_both_schemes_for_phones_and_for_paper(self) -> None:
        css = css_of_the_page()
        for query in ("prefers-color-scheme: dark", "max-width", "@media print"):
            assert query in css
        assert "width=device-width" in html(REPORT)


def colours_of(scheme: str) -> dict[str, str]:
    """Return the colours of a scheme by name; the later definitions stand over those of the light one."""
    css = css_of_the_page()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(blocks) == 3
    found: dict[str, str] = {}
    for block in [blocks[0]] if scheme == "light" else [blocks[0], blocks[1 if scheme == "dark" else 2]]:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block))
    return found


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestChart:
    def test_both_series_are_one_and_each_value_holds_until_its_next(self) -> None:
        real = series("real_progress", 10, 30)
        fake = [replace(row, recorded_at=row.recorded_at + timedelta(days=1)) for row in series("fake_progress", 5)]
        day = timedelta(days=1)
        assert moments(real, fake) == [
            Moment(AT + 30 * day, 10, 0),
            Moment(AT + 31 * day, 10, 5),
            Moment(AT + 60 * day, 30, 5),
        ]

    def test_of_one_time_the_last_counts(self) -> None:
        same = [replace(row, recorded_at=AT) for row in series("real_progress", 10, 20, 30)]
        assert moments(same, []) == [Moment(AT, 30, 0)]

    @pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
    def test_areas_are_where_the_values_are(self, size: Any) -> None:
        drawn = chart([Moment(AT, 25, 50), Moment(AT + timedelta(days=50), 50, 0)], AT, AT + timedelta(days=100), size)
        real, fake = (points(path) for path in re.findall(r' d="([^"]+)"', drawn))
        height, middle = size.height - TOP - BOTTOM, LEFT + (size.width - LEFT - RIGHT) / 2
        assert [y for _, y in real][:1] == [pytest.approx(TOP + height * 0.75, abs=0.1)]
        assert (round(middle, 1), round(TOP + height * 0.5, 1)) in real
        assert fake[0][1] == pytest.approx(TOP + height * 0.25, abs=0.1)
        assert max(x for x, _ in real) == size.width - RIGHT

    @given(
        st.lists(st.tuples(st.datetimes(), st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=30).map(sorted),
        st.timedeltas(timedelta(0), timedelta(days=3_000)),
        st.sampled_from([WIDE, NARROW]),
    )
    def test_whatever_the_series_it_stays_in_its_frame(
        self, values: list[tuple[datetime, float, float]], more: timedelta, size: Any
    ) -> None:
        found = [Moment(at.replace(year=1900 + at.year % 1_000, tzinfo=UTC), a * b, a * (1 - b)) for at, a, b in values]
        found.sort()
        drawn = chart(found, found[0].at, found[-1].at + more, size)
        Page(drawn)
        for path in re.findall(r' d="([^"]+)"', drawn):
            for x, y in points(path):
                assert LEFT <= x <= size.width - RIGHT
                assert TOP - 0.1 <= y <= size.height - BOTTOM + 0.1
        for x in re.findall(r'<text x="([^"]+)"', drawn):
            assert 0 <= float(x) <= size.width

    def test_a_long_series_makes_no_long_chart(self) -> None:
        many = [Moment(AT + timedelta(seconds=n), n % 100 / 2, n % 7) for n in range(50_000)]
        drawn = chart(many, many[0].at, many[-1].at, WIDE)
        assert len(drawn) < 150_000

    def test_labels_are_years_days_or_times(self) -> None:
        def labels(span: timedelta) -> str:
            return " ".join(re.findall(r">([^<]+)</text>", chart([Moment(AT, 1, 1)], AT, AT + span, WIDE))[5:])

        assert "2028" in labels(timedelta(days=2_000))
        assert "2026-03-01" in labels(timedelta(days=60))
        assert "12:00" in labels(timedelta(hours=8))


def points(path: str) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in path.strip("MZ").split("L"))
    return [(float(x), float(y)) for x, y in pairs]
