"""`tiu apply`: bad lines are answered one by one, store nothing, and keep nobody else's from being stored."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.running import done, json_lines, stored, tiu
from tests.cli.story import FIRST, NOBODY, PROJECT, RUN, SECOND, THIRD, USER, depends, project, task, uid, user
from tests.support.stores import Backend

Line = dict[str, Any] | str | bytes

MALFORMED: dict[str, tuple[Line, list[str]]] = {
    "not JSON": ("{", ["not JSON"]),
    "two objects": ("{} {}", ["not JSON"]),
    "text": ("hello", ["not JSON"]),
    "an array": ("[]", ["should be a JSON object"]),
    "a string": ('"CreateUser"', ["should be a JSON object"]),
    "null": ("null", ["should be a JSON object"]),
    "no command": ({}, ["missing"]),
    "a command that is no text": ({"command": ["CreateUser"]}, ["unknown", "CreateUser"]),
    "an unknown command": ({"command": "DropTables"}, ["unknown", "DropTables", "tiu schema"]),
    "a command in another case": ({"command": "createuser"}, ["unknown", "createuser"]),
    "several bad fields": (
        task(uid(50), name="", priority="urgent", estimated_duration=0, nonsense=1, project_id="none"),
        ["name", "priority", "estimated_duration", "nonsense", "project_id"],
    ),
    "NUL": (project(project_id=uid(50), name="a\0b"), ["name", "NUL"]),
    "NUL, raw": (b'{"command": "CreateProject", "name": "a\0b"}', ["not JSON"]),
    "a lone surrogate": ('{"command": "CreateProject", "name": "\\ud800"}', ["not JSON"]),
    "a lone surrogate in the middle": ('{"command": "CreateProject", "name": "a\\udc00b"}', ["not JSON"]),
    "a lone surrogate as a key": ('{"\\ud83d": 1}', ["not JSON"]),
    "NaN": ('{"command": "ClaimProgress", "claimed": NaN}', ["not JSON"]),
    "infinity": ('{"command": "ClaimProgress", "claimed": -Infinity}', ["not JSON"]),
    "beyond a double": (f'{{"command": "ClaimProgress", "task_id": "{FIRST}", "claimed": 1e999}}', ["claimed"]),
    "a name of 256 characters": (project(project_id=uid(50), name="é" * 256), ["name", "255", "256 characters"]),
    "a percentage of 100.0001": (
        {"command": "ClaimProgress", "task_id": FIRST, "claimed": 100.0001},
        ["claimed", "100"],
    ),
    "a percentage below 0": ({"command": "ClaimProgress", "task_id": FIRST, "claimed": -1e-9}, ["claimed"]),
    "a percentage as text": ({"command": "ClaimProgress", "task_id": FIRST, "claimed": "50"}, ["claimed"]),
    "a time without an offset": (task(uid(50), name="x", occurred_at="2026-03-01T12:00:00"), ["occurred_at"]),
    "nesting of 10,000 levels": ('{"command": "x", "y": ' + "[" * 10_000 + "]" * 10_000 + "}", ["not JSON"]),
    "nesting of 10,000 objects": ('{"a":' * 10_000 + "1" + "}" * 10_000, ["not JSON"]),
    "bytes that are no UTF-8": (b'{"command": "\xff\xfe"}', ["not JSON"]),
    "UTF-16": ('{"command": "CreateUser"}'.encode("utf-16"), ["not JSON"]),
    "a number of 10,000 digits": ('{"command": ' + "9" * 10_000 + "}", []),
}
"""What the command's door refuses, and what the answer names."""

REFUSED: dict[str, tuple[Line, str]] = {
    "an unknown task": ({"command": "StartTask", "task_id": NOBODY}, "not_found"),
    "an unknown user": (project(project_id=uid(50), user_id=NOBODY), "not_found"),
    "an unknown project": (task(uid(50), name="x", project_id=NOBODY), "not_found"),
    "an unknown run": ({"command": "CompleteRun", "run_id": NOBODY, "quality_score": 1}, "not_found"),
    "an id of another kind": ({"command": "StartTask", "task_id": PROJECT}, "not_found"),
    "a stale expected_version": ({"command": "CompleteTask", "task_id": FIRST, "expected_version": 1}, "stale_version"),
    "a cycle": (depends(FIRST, THIRD), "dependency_cycle"),
    "a task that waits for itself": (depends(SECOND, SECOND), "dependency_cycle"),
    "a start before its dependencies": ({"command": "StartTask", "task_id": THIRD}, "unmet_dependencies"),
    "an id that is taken": (project(), "already_exists"),
    "a user name that is taken": (user(user_id=uid(50), email="grace@example.org"), "not_unique"),
    "a status that does not allow it": ({"command": "CompleteRun", "run_id": RUN, "quality_score": 1}, "wrong_status"),
}
"""What the rules refuse, and why."""


def apply(db: Backend, *lines: Line) -> tuple[int, list[dict[str, Any]]]:
    ran = tiu("apply", "-", "--db", db.url, stdin=json_lines(lines))
    assert ran.err == ""
    return ran.status, ran.answers


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_line_is_answered_with_all_that_is_wrong(empty: Backend, case: str) -> None:
    line, names = MALFORMED[case]

    status, (answer,) = apply(empty, line)

    assert status == 1
    assert set(answer) == {"line", "error"}
    assert set(answer["error"]) == {"code", "message", "details"}
    assert (answer["line"], answer["error"]["code"]) == (1, "invalid_command")
    assert [name for name in names if name not in answer["error"]["message"]] == []
    assert len(answer["error"]["message"]) < 1_000


def test_malformed_lines_store_nothing(empty: Backend) -> None:
    before = stored(empty)

    status, answers = apply(empty, *(line for line, _ in MALFORMED.values()))

    assert status == 1
    assert [answer["line"] for answer in answers] == list(range(1, len(MALFORMED) + 1))
    assert all("error" in answer for answer in answers)
    assert stored(empty) == before


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_rules_refuse_is_answered_with_the_rule(shared: Backend, case: str) -> None:
    line, code = REFUSED[case]
    before = stored(shared)

    status, (answer,) = apply(shared, line)

    assert (status, answer["error"]["code"]) == (1, code)
    assert stored(shared) == before


def test_no_error_repeats_what_is_personal(empty: Backend) -> None:
    _, (answer,) = apply(empty, user(username="x" * 256, email="secret name", password_hash="a plain password"))  # noqa: S106

    assert {fault["field"] for fault in answer["error"]["details"]["faults"]} == {"username", "email", "password_hash"}
    assert not [word for word in ("xxx", "secret", "plain") if word in str(answer)]


def test_later_lines_go_on_and_each_is_answered_in_order(db: Backend) -> None:
    status, answers = apply(
        db, user(), "{", "", project(), {"command": "No"}, "   ", task(FIRST, name="x"), task(FIRST, name="x")
    )

    assert status == 1
    assert [answer["line"] for answer in answers] == [1, 2, 4, 5, 7, 8]
    assert [answer.get("id") for answer in answers] == [USER, None, PROJECT, None, FIRST, None]
    assert [answer.get("position") for answer in answers] == [1, None, 2, None, 3, None]
    assert answers[-1]["error"]["code"] == "already_exists"
    assert db.on_events("SELECT count(*) FROM events") == [(3,)]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (b"%s\r\n%s\r\n", [1, 2]),
        (b"%s\n%s", [1, 2]),
        (b"\n\n  \n%s\n\t\r\n%s\n\n", [4, 6]),
        (b"\n%s\n%s\r", [2, 3]),
        (b"  %s  \n\t%s\n", [1, 2]),
    ],
    ids=["CRLF", "no newline at the end", "empty lines", "a lone CR at the end", "spaces around"],
)
def test_however_lines_end_they_are_read(db: Backend, given: bytes, lines: list[int]) -> None:
    both = tuple(json_lines([command]).strip() for command in (user(), project()))

    ran = done("apply", "-", "--db", db.url, stdin=given % both)

    assert [answer["line"] for answer in ran.answers] == lines
    assert db.on_events("SELECT count(*) FROM events") == [(2,)]


def test_a_byte_order_mark_at_the_start_is_taken_or_named(db: Backend) -> None:
    """RFC 8259: one who reads may ignore it. The line is either executed or refused; what follows goes on."""
    status, answers = apply(
        db, b"\xef\xbb\xbf" + json_lines([user()]).strip(), user(user_id=uid(50), username="b", email="b@c")
    )

    first, second = answers
    assert ("error" in first) == bool(status)
    assert first.get("error", {"code": "invalid_command"})["code"] == "invalid_command"
    assert second["id"] == uid(50)


def test_nothing_at_all_is_no_fault(empty: Backend) -> None:
    assert done("apply", "-", "--db", empty.url).out == ""


def test_a_retry_is_answered_alike_and_stores_nothing(db: Backend) -> None:
    command = user(command_id=uid(70))

    _, answers = apply(db, command, command)

    assert answers[0] == {**answers[1], "line": 1}
    assert db.on_events("SELECT count(*) FROM events") == [(1,)]


def test_a_command_id_with_other_content_is_refused(db: Backend) -> None:
    status, answers = apply(db, user(command_id=uid(70)), project(command_id=uid(70)))

    assert (status, answers[1]["error"]["code"]) == (1, "command_id_reused")


def test_every_answer_to_a_stored_command_has_the_same_form(db: Backend) -> None:
    ran = done("apply", "-", "--json", "--db", db.url, stdin=json_lines([user()]))

    assert ran.json == {"line": 1, "id": USER, "version": 1, "position": 1}
