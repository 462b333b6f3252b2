"""`tiu audit history`: what happened, exact as JSON, and readable 80 columns wide."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cli.running import contents, done, json_lines, refused, tiu
from tests.cli.story import FIRST, ISSUE, NAME, NOBODY, PROJECT, RUN, SHOWN_NAME, STORY, USER, at, uid
from tests.support.stores import Backend

UNSEEN = re.compile(r"[^\w\s\x20-\x7e–─…→]")
HISTORY = ("audit", "history")


def events(*arguments: object) -> list[dict[str, Any]]:
    """Return the events that `tiu audit history … --json` prints."""
    found: list[dict[str, Any]] = done(*HISTORY, *arguments, "--json").json["events"]
    return found


def words(*arguments: object) -> str:
    """Return what it prints in words, with every run of blanks and line ends as one blank."""
    return " ".join(done(*HISTORY, *arguments).out.split())


class TestJson:
    def test_an_event_has_all_that_is_known_of_it(self, shared: Backend) -> None:
        added, started, claimed = events(FIRST, "--db", shared.url)

        assert started.keys() == added.keys()
        assert claimed == {
            "position": 8,
            "stream_id": FIRST,
            "version": 3,
            "id": claimed["id"],
            "kind": "task",
            "topic": "task.progress_claimed.v1",
            "occurred_at": "2026-03-01T12:04:00Z",
            "recorded_at": claimed["recorded_at"],
            "actor": None,
            "command_id": claimed["command_id"],
            "correlation_id": None,
            "causation_id": None,
            "project_id": PROJECT,
            "sentence": '60 % of task "Parse" was claimed.',
            "fault": None,
            "changes": [{"field": "claimed", "before": 0.0, "after": 60.0, "withheld": None}],
        }

    def test_names_are_exact(self, shared: Backend) -> None:
        (created,) = events(PROJECT, "--db", shared.url)

        assert created["sentence"] == f'Project "{NAME}" was created.'
        assert {"field": "name", "before": None, "after": NAME, "withheld": None} in created["changes"]

    def test_everything_of_a_project_is_all_but_its_user(self, shared: Backend) -> None:
        assert [event["position"] for event in events(PROJECT, "--all", "--db", shared.url)] == [
            *range(2, len(STORY) + 1)
        ]

    @pytest.mark.parametrize("limit", [1, 4, 12])
    def test_page_by_page_it_is_the_same(self, shared: Backend, limit: int) -> None:
        whole = events(PROJECT, "--all", "--db", shared.url)

        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = done(
                *HISTORY, PROJECT, "--all", "--limit", limit, "--after", after, "--db", shared.url, "--json"
            ).json
            assert 0 < len(page["events"]) <= limit
            found += page["events"]
            after = page["after"]

        assert found == whole

    def test_behind_the_end_there_is_nothing(self, shared: Backend) -> None:
        assert done(*HISTORY, FIRST, "--after", 99, "--db", shared.url, "--json").json == {"events": [], "after": None}


class TestWords:
    def test_each_event_says_when_what_changed_and_where_it_stands(self, shared: Backend) -> None:
        ran = done(*HISTORY, FIRST, "--db", shared.url)

        lines = [line.rstrip() for line in ran.lines]
        assert lines[0] == f"History of {FIRST} (times in UTC)"
        assert lines[1] == '2026-03-01 12:02:00  Task "Parse" was added, with medium priority.'
        assert f"{'':23}project_id: {PROJECT}" in lines
        first = lines.index('2026-03-01 12:04:00  60 % of task "Parse" was claimed.')
        assert lines[first + 1] == f"{'':23}claimed: 0 → 60"
        assert lines[first + 2].startswith(f"{'':21}position 8, recorded 20")
        assert len(lines) == first + 3

    def test_what_something_began_with_empty_is_not_shown(self, shared: Backend) -> None:
        assert "capabilities" not in done(*HISTORY, FIRST, "--db", shared.url).out

    def test_of_several_streams_each_event_says_whose_it_is(self, shared: Backend) -> None:
        said = words(PROJECT, "--all", "--db", shared.url)
        assert f"position 8, task {FIRST}, recorded" in said
        assert f"validation run {RUN}, recorded" in said

    def test_the_sentence_has_the_id_of_an_issue_so_its_changes_have_not(self, shared: Backend) -> None:
        said = words(RUN, "--db", shared.url)
        assert f"Issue {ISSUE} was reported, in task {FIRST}: mock data, high. issues: open" in said
        assert "issues.severity: high" in said

    def test_no_line_is_longer_than_the_terminal_and_no_character_is_hidden(self, shared: Backend) -> None:
        ran = done(*HISTORY, PROJECT, "--all", "--db", shared.url)
        assert all(len(line) <= 80 for line in ran.lines)
        assert not UNSEEN.search(ran.out.replace("𝄞", "")), "control and bidirectional characters are made visible"
        assert SHOWN_NAME.replace(" ", "") in "".join(ran.out.split())

    def test_a_long_value_is_cut_and_its_length_told(self, told: Backend) -> None:
        described = {"command": "AddTask", "task_id": uid(30), "project_id": PROJECT, "name": "Long"}
        done("apply", "-", "--db", told.url, stdin=json_lines([{**described, "description": "x" * 5_000}]))

        said = done(*HISTORY, uid(30), "--db", told.url).out
        assert said.count("x") < 400
        assert "(5,000 characters)" in said
        (added,) = events(uid(30), "--db", told.url)
        assert {"field": "description", "before": None, "after": "x" * 5_000, "withheld": None} in added["changes"]

    def test_where_there_is_more_it_says_how_to_go_on(self, shared: Backend) -> None:
        ran = done(*HISTORY, PROJECT, "--all", "--limit", 3, "--db", shared.url)
        assert ran.lines[-1] == "there is more: --after 4"
        rest = done(*HISTORY, PROJECT, "--all", "--after", 4, "--db", shared.url)
        assert "there is more" not in rest.out
        assert done(*HISTORY, FIRST, "--after", 99, "--db", shared.url).lines[-1] == "nothing more"


class TestPersonal:
    def test_who_is_known_is_told_and_who_was_forgotten_is_not(self, told: Backend) -> None:
        before = words(USER, "--db", told.url)
        assert "username: ada" in before
        assert "password_hash: changed (secret)" in before

        done("apply", "-", "--db", told.url, stdin=json_lines([{"command": "ForgetUser", "user_id": USER}]))

        after = words(USER, "--db", told.url)
        assert "ada" not in after
        assert "username: forgotten" in after
        assert "The user was forgotten" in after
        withheld = {change["field"]: change["withheld"] for change in events(USER, "--db", told.url)[0]["changes"]}
        assert withheld["email"] == "forgotten"


class TestCauses:
    @pytest.fixture
    def caused(self, told: Backend) -> Backend:
        """A claim that follows from a ticket, and a metric that follows from the claim; both under one correlation."""
        under = {"correlation_id": "order-66", "actor": "agent-7"}
        commands = [
            {
                "command": "ClaimProgress",
                "command_id": uid(50),
                "task_id": FIRST,
                "claimed": 70,
                "causation_id": "ticket-1",
                **under,
            },
            {
                "command": "RecordMetric",
                "project_id": PROJECT,
                "metric_name": "velocity",
                "value": 2,
                "causation_id": uid(50),
                "occurred_at": at(20),
                **under,
            },
        ]
        done("apply", "-", "--db", told.url, stdin=json_lines(commands))
        return told

    def test_a_correlation_id_is_followed(self, caused: Backend) -> None:
        found = events("--correlation", "order-66", "--db", caused.url)
        assert [event["kind"] for event in found] == ["task", "project_metrics"]
        said = words("--correlation", "order-66", "--db", caused.url)
        assert "by agent-7" in said
        assert "correlation order-66, caused by ticket-1" in said

    @pytest.mark.parametrize(
        "asked", [("--causation", "ticket-1"), ("--correlation", "order-66", "--tree"), ("--causation", uid(50))]
    )
    def test_causes_are_a_tree(self, caused: Backend, asked: tuple[str, ...]) -> None:
        found = done(*HISTORY, *asked, "--db", caused.url, "--json").json
        assert [(event["depth"], event["kind"]) for event in found["events"]] == [(0, "task"), (1, "project_metrics")]
        assert found["complete"] is True
        lines = [line.rstrip() for line in done(*HISTORY, *asked, "--db", caused.url).lines]
        assert any(line[21:].startswith('70 % of task "Parse"') for line in lines)
        assert '2026-03-01 12:20:00    Metric "velocity" was recorded: 2.' in lines

    def test_a_tree_that_is_cut_says_so(self, caused: Backend) -> None:
        asked = ("--causation", "ticket-1", "--limit", "1", "--db", caused.url)
        assert done(*HISTORY, *asked).lines[-1] == "there is more: these are the first 1 events"
        assert done(*HISTORY, *asked, "--json").json["complete"] is False


class TestRefused:
    def test_what_is_not_there_is_told_in_one_line(self, shared: Backend) -> None:
        assert NOBODY in refused(*HISTORY, NOBODY, "--db", shared.url)
        assert "order-99" in refused(*HISTORY, "--correlation", "order-99", "--db", shared.url)
        assert "ticket-9" in refused(*HISTORY, "--causation", "ticket-9", "--db", shared.url, "--json")

    def test_everything_of_a_task_is_refused(self, shared: Backend) -> None:
        assert "is a task" in refused(*HISTORY, FIRST, "--all", "--db", shared.url)

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            (FIRST, "--correlation", "x"),
            ("--correlation", "x", "--causation", "x"),
            ("--all",),
            ("--correlation", "x", "--all"),
            (FIRST, "--tree", "--after", "3"),
            ("--causation", "x", "--after", "3"),
        ],
    )
    def test_one_thing_is_asked_for(self, shared: Backend, arguments: tuple[str, ...]) -> None:
        refused(*HISTORY, *arguments, "--db", shared.url)

    @pytest.mark.parametrize("option", ["--correlation", "--causation"])
    @pytest.mark.parametrize("text", ["\udcff", "'; DROP TABLE events; --", "%", "x" * 10_000, "a\nb"])
    def test_an_id_is_a_value_and_never_a_part_of_a_statement(self, shared: Backend, option: str, text: str) -> None:
        before = contents(shared)
        refused(*HISTORY, option, text, "--db", shared.url)
        assert contents(shared) == before


def test_an_event_that_cannot_be_read_is_shown_as_such(told: Backend) -> None:
    told.on_events(
        "INSERT INTO events (position, stream_id, version, topic, state, recorded_at, previous_hash, hash) "
        "SELECT 15, stream_id, 4, 'task.dreamt.v9', state, recorded_at, previous_hash, hash FROM events "
        "WHERE position = 8"
    )
    ran = tiu(*HISTORY, FIRST, "--db", told.url)
    assert ran.status == 0
    assert "This event cannot be read: no event has the topic 'task.dreamt.v9'." in " ".join(ran.out.split())
    assert events(FIRST, "--db", told.url)[-1]["fault"] == "no event has the topic 'task.dreamt.v9'"
