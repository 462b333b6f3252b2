"""`tiu show`: what it prints is what the read tables hold, exact as JSON, and readable 80 columns wide."""

from __future__ import annotations

import re

import pytest

from tests.cli.running import contents, done, json_lines, refused
from tests.cli.story import FIRST, NAME, NOBODY, PROJECT, SECOND, SHOWN_NAME, USER, at, project, uid, user
from tests.support.stores import Backend

UNSEEN = re.compile(r"[^\w\s\x20-\x7e–─…]")
NUMBERS = {"real_progress": 0.9375, "fake_progress": 0.9375, "authenticity_rate": 50.0, "quality_score": 75.0}
"""Of tasks that weigh 1, 30 and 1, the first claims 60, half of it real."""


def unfolded(lines: list[str], before: int) -> str:
    """Return what stands in the first column, which ends before another, without spaces."""
    return re.sub(r"\s", "", "".join(line[:before] for line in lines))


def fits(text: str) -> bool:
    return all(len(line.rstrip()) <= 80 for line in text.splitlines())


class TestDashboard:
    def test_json_has_every_project(self, shared: Backend) -> None:
        (row,) = done("show", "dashboard", "--db", shared.url, "--json").json

        assert row == {
            "id": PROJECT,
            "user_id": USER,
            "name": NAME,
            "description": None,
            "status": "active",
            "template_id": None,
            "configuration": {},
            "metadata": {},
            **{name: pytest.approx(value, abs=1e-6) for name, value in NUMBERS.items()},
            "created_at": "2026-03-01T12:01:00Z",
            "updated_at": row["updated_at"],
            "completed_at": None,
        }

    @pytest.mark.parametrize("name", ["ada", USER, USER.upper()])
    def test_json_has_a_users_projects(self, shared: Backend, name: str) -> None:
        (row,) = done("show", "dashboard", "--user", name, "--db", shared.url, "--json").json

        assert row == {
            "id": PROJECT,
            "name": NAME,
            "status": "active",
            **{key: pytest.approx(value, abs=1e-6) for key, value in NUMBERS.items()},
            "task_count": 3,
            "completed_tasks": 0,
            "last_validation": "2026-03-01T12:08:00Z",
        }

    @pytest.mark.parametrize("options", [(), ("--user", "ada")])
    def test_the_table_breaks_no_id_and_loses_no_name(self, shared: Backend, options: tuple[str, ...]) -> None:
        ran = done("show", "dashboard", *options, "--db", shared.url)

        assert fits(ran.out)
        assert PROJECT in ran.out
        assert not UNSEEN.search(ran.out.replace("𝄞", "")), "control and bidirectional characters are made visible"
        assert unfolded(ran.rows, ran.column("real" if options else "status")) == re.sub(r"\s", "", SHOWN_NAME)
        assert ran.rows[0].split().count("0.94") == 2

    def test_the_widest_values_break_no_id_either(self, told: Backend) -> None:
        names = [f"A project of many words, number {number}" for number in range(20, 30)]
        commands = [project(project_id=uid(number), name=name) for number, name in enumerate(names, 20)]
        commands += [{"command": "CompleteProject", "project_id": uid(number)} for number in range(20, 30)]
        done("apply", "-", "--db", told.url, stdin=json_lines(commands))
        done("projector", "run", "--once", "--db", told.url)

        ran = done("show", "dashboard", "--db", told.url)

        assert fits(ran.out)
        assert all(uid(number) in ran.out for number in range(20, 30))
        assert ran.out.count("completed") == 10

    def test_a_limit_is_kept_and_the_last_changed_comes_first(self, told: Backend) -> None:
        done(
            "apply",
            "-",
            "--db",
            told.url,
            stdin=json_lines([project(project_id=uid(20), name="new", occurred_at=at(30))]),
        )
        done("projector", "run", "--once", "--db", told.url)

        rows = done("show", "dashboard", "--limit", "1", "--db", told.url, "--json").json

        assert [row["name"] for row in rows] == ["new"]

    def test_a_user_without_projects_has_none(self, db: Backend) -> None:
        done("apply", "-", "--db", db.url, stdin=json_lines([user()]))
        done("projector", "run", "--once", "--db", db.url)

        assert done("show", "dashboard", "--user", "ada", "--db", db.url, "--json").json == []
        assert done("show", "dashboard", "--user", "ada", "--db", db.url).out == "Dashboard: none\n"

    def test_a_name_that_no_user_has_is_refused(self, shared: Backend) -> None:
        assert "no user" in refused("show", "dashboard", "--user", "grace", "--db", shared.url)

    def test_an_id_that_nothing_has_is_refused(self, shared: Backend) -> None:
        absent = "00000000-0000-7000-8000-00000000dead"
        assert absent in refused("show", "dashboard", "--user", absent, "--db", shared.url)

    @pytest.mark.parametrize("json", [(), ("--json",)])
    @pytest.mark.parametrize("name", ["\udcff", "'; DROP TABLE users; --", "%", "x" * 10_000])
    def test_a_user_is_a_value_and_never_a_part_of_a_statement(
        self, shared: Backend, name: str, json: tuple[str, ...]
    ) -> None:
        before = contents(shared)

        refused("show", "dashboard", "--user", name, "--db", shared.url, *json)

        assert contents(shared) == before


class TestIssues:
    WHEN = ("--until", "2026-03-01T13:00:00Z", "--hours", "1")

    def test_json_counts_the_open_issues_of_the_newest_report(self, shared: Backend) -> None:
        (row,) = done("show", "issues", *self.WHEN, "--db", shared.url, "--json").json

        assert row == {
            "issue_type": "mock_data",
            "severity": "high",
            "issue_count": 2,
            "avg_authenticity": pytest.approx(50, abs=1e-6),
        }

    def test_the_table_has_the_same(self, shared: Backend) -> None:
        ran = done("show", "issues", *self.WHEN, "--db", shared.url)

        assert ran.rows[-1].split() == ["mock_data", "high", "2", "50.00"]
        assert ran.lines[0] == "Open issues in the newest reports of the hour before 2026-03-01 13:00:00 UTC"

    @pytest.mark.parametrize(
        "options",
        [
            (),
            ("--until", "2026-03-01T12:07:59Z"),
            ("--until", "2026-03-01T13:07:59+01:00"),
            ("--until", "2026-03-01T13:00:00Z", "--hours", "0.5"),
        ],
        ids=["now", "before", "before, elsewhere", "too far back"],
    )
    def test_other_times_have_none(self, shared: Backend, options: tuple[str, ...]) -> None:
        shown = done("show", "issues", *options, "--db", shared.url).out
        span = r"(last \S+ hours|\S+ hours before \S+ \S+ UTC)"
        assert re.fullmatch(rf"Open issues in the newest reports of the {span}: none\n", shown)

    @pytest.mark.parametrize("hours", ["0", "1000000"])
    @pytest.mark.parametrize("until", ["1900-01-01T00:00:00Z", "2999-12-31T23:59:59.999999Z"])
    def test_the_ends_of_time_are_taken(self, shared: Backend, until: str, hours: str) -> None:
        done("show", "issues", "--until", until, "--hours", hours, "--db", shared.url)

    @pytest.mark.parametrize(
        "time",
        ["soon", "", "2026-03-01", "2026-03-01T12:00:00", "1899-12-31T23:59:59Z", "3000-01-01T00:00:00Z", "\udcff"],
    )
    def test_no_time_is_refused(self, shared: Backend, time: str) -> None:
        assert "--until" in refused("show", "issues", "--until", time, "--db", shared.url)


class TestReady:
    def test_json_has_what_can_be_started(self, shared: Backend) -> None:
        """The third task waits for the first, which is in progress."""
        assert done("show", "ready", PROJECT, "--db", shared.url, "--json").json == [
            {
                "id": SECOND,
                "project_id": PROJECT,
                "name": "Print",
                "priority": "low",
                "estimated_duration": 30,
                "created_at": "2026-03-01T12:02:00Z",
            }
        ]

    def test_the_table_has_the_same(self, shared: Backend) -> None:
        ran = done("show", "ready", PROJECT, "--db", shared.url)

        assert fits(ran.out)
        assert ran.rows[-1].split() == ["Print", "low", "2026-03-01", "12:02:00", SECOND]

    def test_a_long_name_leaves_ids_and_times_whole(self, told: Backend) -> None:
        name = "Reconcile " * 25
        command = {
            "command": "AddTask",
            "project_id": PROJECT,
            "task_id": uid(30),
            "name": name,
            "priority": "critical",
        }
        done("apply", "-", "--db", told.url, stdin=json_lines([command]))
        done("projector", "run", "--once", "--db", told.url)

        ran = done("show", "ready", PROJECT, "--db", told.url)

        assert fits(ran.out)
        assert uid(30) in ran.out
        assert re.search(r"critical +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", ran.out)
        assert ran.out.count("Reconcile") == 25

    @pytest.mark.parametrize("verb", ["ready", "metrics"])
    def test_a_project_that_is_none_is_refused(self, shared: Backend, verb: str) -> None:
        assert NOBODY in refused("show", verb, NOBODY, "--db", shared.url)
        assert FIRST in refused("show", verb, FIRST, "--db", shared.url, "--json")


class TestMetrics:
    def test_json_has_the_series(self, shared: Backend) -> None:
        rows = done("show", "metrics", PROJECT, "--db", shared.url, "--json").json

        assert {row["metric_name"] for row in rows} == {"real_progress"}
        assert {row["project_id"] for row in rows} == {PROJECT}
        assert rows[-1]["value"] == pytest.approx(0.9375, abs=1e-6)
        assert rows[-1]["recorded_at"] == "2026-03-01T12:08:00Z"
        assert [row["recorded_at"] for row in rows] == sorted(row["recorded_at"] for row in rows)

    def test_a_metric_of_ones_own_is_shown_unharmed(self, shared: Backend) -> None:
        (row,) = done("show", "metrics", PROJECT, "lines :smile:", "--db", shared.url, "--json").json
        table = done("show", "metrics", PROJECT, "lines :smile:", "--db", shared.url)

        assert (row["value"], row["metadata"]["by"]) == (12.5, "[bold]\u202e\x9b")
        assert table.lines[0].rstrip() == f"lines :smile: of {PROJECT}"
        assert r"[bold]\u202e\x9b" in table.out
        assert not UNSEEN.search(table.out)
        assert "2026-03-01 12:09:00  12.50" in table.out

    def test_a_name_that_no_metric_has_is_an_empty_series(self, shared: Backend) -> None:
        ran = done("show", "metrics", PROJECT, "[red]\x1b\u202e:smile:", "--db", shared.url)

        assert ran.out == rf"[red]\x1b\u202e:smile: of {PROJECT}: none" + "\n"

    def test_since_and_until_include_their_times(self, shared: Backend) -> None:
        def count(*options: str) -> int:
            return len(done("show", "metrics", PROJECT, *options, "--db", shared.url, "--json").json)

        whole = count()
        assert count("--since", at(8), "--until", at(8)) == 1
        assert count("--since", at(9)) == 0
        assert count("--until", at(7)) == whole - 1
        assert count("--limit", "1") == 1

    @pytest.mark.parametrize("option", ["--since", "--until"])
    def test_no_time_is_refused(self, shared: Backend, option: str) -> None:
        assert option in refused("show", "metrics", PROJECT, option, "2026-03-01", "--db", shared.url)


def test_looking_changes_nothing(shared: Backend) -> None:
    before = contents(shared)

    for verb in (("dashboard",), ("issues",), ("ready", PROJECT), ("metrics", PROJECT)):
        done("show", *verb, "--db", shared.url)
        done("show", *verb, "--db", shared.url, "--json")
    done("projector", "status", "--db", shared.url)
    done("migrate", "status", "--db", shared.url)

    assert contents(shared) == before
