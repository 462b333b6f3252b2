"""Bad input is refused at the command's door, all its faults at once; what comes in is in its normal form."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from math import copysign, inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.domain.dependency_graph import AddDependency
from claude_tiu.domain.errors import InvalidCommand
from claude_tiu.domain.messages import Command
from claude_tiu.domain.progress import micros
from claude_tiu.domain.project import CreateProject
from claude_tiu.domain.project_metrics import STANDARD_METRICS, RecordMetric
from claude_tiu.domain.session import StartSession
from claude_tiu.domain.task import AddTask, ClaimProgress, StartTask
from claude_tiu.domain.user import CreateUser
from claude_tiu.domain.validation_run import AssessTask, CompleteRun, ReportIssue, StartRun
from tests.domain.door import GOOD, faulty_fields, made
from tests.domain.given import AT, COMMAND_ID, NEW_ID, PROJECT_ID, TASK_ID, USER_ID


@pytest.mark.parametrize("command", GOOD)
def test_a_good_command_comes_in(command: type[Command]) -> None:
    made(command)


def test_every_fault_is_told_at_once() -> None:
    fields = faulty_fields(
        AddTask,
        project_id="no id",
        name="",
        priority="urgent",
        expected_outputs={},
        validation_criteria=[],
        estimated_duration=0,
        occurred_at="yesterday",
        expected_version=-1,
        unheard_of=1,
    )
    assert sorted(fields) == [
        "estimated_duration",
        "expected_outputs",
        "expected_version",
        "name",
        "occurred_at",
        "priority",
        "project_id",
        "unheard_of",
        "validation_criteria",
    ]


@pytest.mark.parametrize(("command", "field"), [(command, field) for command in GOOD for field in GOOD[command]])
def test_what_must_be_given_is_named_when_it_is_missing(command: type[Command], field: str) -> None:
    with pytest.raises(InvalidCommand) as caught:
        command(**{name: value for name, value in GOOD[command].items() if name != field})
    assert [(fault.field, fault.value) for fault in caught.value.faults] == [(field, None)]


@pytest.mark.parametrize("field", ["self", "values", "command", "progress", "Claimed", "", "a b"])
def test_a_field_that_a_command_does_not_have_is_refused(field: str) -> None:
    assert faulty_fields(ClaimProgress, **{field: 1}) == [field]


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (StartRun, "validation_type"),
        (AddTask, "priority"),
        (AddDependency, "dependency_type"),
        (ReportIssue, "issue_type"),
        (ReportIssue, "severity"),
        (CreateUser, "role"),
    ],
)
@pytest.mark.parametrize("value", ["", "unheard of", "HIGH", "high ", None, 1, True, ["high"]])
def test_only_the_specifications_words_are_taken(command: type[Command], field: str, value: Any) -> None:
    assert faulty_fields(command, **{field: value}) == [field]


class TestText:
    TEXTS = (
        (AddTask, "name"),
        (AddTask, "description"),
        (AddTask, "ai_prompt"),
        (CreateProject, "name"),
        (CreateProject, "description"),
        (CreateUser, "username"),
        (CreateUser, "email"),
        (CreateUser, "password_hash"),
        (RecordMetric, "metric_name"),
        (StartSession, "token_hash"),
        (ReportIssue, "description"),
        (ReportIssue, "file_path"),
        (ReportIssue, "suggested_fix"),
        (StartTask, "actor"),
        (StartTask, "correlation_id"),
    )

    @pytest.mark.parametrize(("command", "field"), TEXTS)
    @pytest.mark.parametrize(
        "value", ["a\0b@c", "\0", "a\ud800b@c", "\udfff", 7, b"bytes", True, ["a"]], ids=lambda value: ascii(value)
    )
    def test_what_one_of_the_databases_cannot_hold_is_refused(
        self, command: type[Command], field: str, value: Any
    ) -> None:
        assert faulty_fields(command, **{field: value}) == [field]

    @pytest.mark.parametrize("text", ["é", "🙂", "\ud83d\ude42".encode("utf-16", "surrogatepass").decode("utf-16")])
    @pytest.mark.parametrize(
        ("command", "field", "limit"),
        [(AddTask, "name", 255), (CreateUser, "username", 255), (RecordMetric, "metric_name", 100)],
    )
    def test_the_limit_counts_characters(self, command: type[Command], field: str, limit: int, text: str) -> None:
        assert getattr(made(command, **{field: text * limit}), field) == text * limit
        assert faulty_fields(command, **{field: text * (limit + 1)}) == [field]
        assert faulty_fields(command, **{field: ""}) == [field]

    def test_256_characters_are_no_name(self) -> None:
        assert faulty_fields(CreateProject, name="a" * 256) == ["name"]

    def test_text_stays_as_it_was_given(self) -> None:
        text = " \u00e9 e\u0301 \u2028\r\n\t\x01\ufeff "
        assert made(AddTask, description=text, name=text).description == text

    def test_a_file_path_has_at_most_1000_characters_and_2000_bytes(self) -> None:
        assert made(ReportIssue, file_path="a" * 1000).file_path == "a" * 1000
        assert made(ReportIssue, file_path="é" * 1000).file_path == "é" * 1000
        assert faulty_fields(ReportIssue, file_path="a" * 1001) == ["file_path"]
        assert faulty_fields(ReportIssue, file_path="é" * 999 + "€") == ["file_path"]
        assert faulty_fields(ReportIssue, file_path="🙂" * 501) == ["file_path"]
        assert faulty_fields(ReportIssue, file_path="") == ["file_path"]

    @pytest.mark.parametrize(("name", "character"), [("Billing", "a"), ("é" * 255, "é"), ("B", "🙂")])
    def test_a_projects_name_and_description_have_16_kib_together(self, name: str, character: str) -> None:
        left = (16 * 1024 - len(name.encode())) // len(character.encode())
        made(CreateProject, name=name, description=character * left)
        assert faulty_fields(CreateProject, name=name, description=character * (left + 1)) == ["description"]

    def test_a_tasks_text_has_a_mebibyte(self) -> None:
        made(AddTask, ai_prompt="a" * (1 << 20))
        assert faulty_fields(AddTask, ai_prompt="a" * (1 << 20) + "a") == ["ai_prompt"]
        assert faulty_fields(AddTask, description="é" * (1 << 19) + "a") == ["description"]


PERCENTAGES = ((ClaimProgress, "claimed"), (AssessTask, "authenticity"), (CompleteRun, "quality_score"))


@pytest.mark.parametrize(("command", "field"), PERCENTAGES)
class TestPercentages:
    @pytest.mark.parametrize(
        "value",
        [
            *(100.0001, 100.00000000000001, 101, -1, -0.0000001, -5e-324, inf, -inf, nan, 10**400, 1e308),
            *(True, False, "50", "", None, b"5", [50], 50j),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_what_is_no_number_from_0_to_100_is_refused(self, command: type[Command], field: str, value: Any) -> None:
        """Before it is rounded: what rounding would bring back to 100 is out, too."""
        assert faulty_fields(command, **{field: value}) == [field]

    @pytest.mark.parametrize(
        ("given", "held"),
        [
            (0, 0.0),
            (100, 100.0),
            (0.0000005, 0.0),  # half: to the even neighbour below
            (0.0000015, 0.000002),  # half: to the even neighbour above, though the double is below the half
            (0.0000025, 0.000002),
            (0.0000035, 0.000004),
            (33.3333335, 33.333334),
            (33.3333345, 33.333334),
            (99.9999995, 100.0),
            (99.9999994, 99.999999),
            (5e-324, 0.0),
            (12.5, 12.5),
            (0.1 + 0.2, 0.3),
        ],
    )
    def test_6_decimals_are_held_half_even_from_the_shortest_form(
        self, command: type[Command], field: str, given: float, held: float
    ) -> None:
        value = getattr(made(command, **{field: given}), field)
        assert value == held
        assert type(value) is float

    def test_minus_zero_is_zero(self, command: type[Command], field: str) -> None:
        assert copysign(1, getattr(made(command, **{field: -0.0}), field)) == 1

    @given(value=st.floats(0, 100))
    def test_every_percentage_equals_its_decimal_rounding(
        self, command: type[Command], field: str, value: float
    ) -> None:
        held = getattr(made(command, **{field: value}), field)
        exact = Decimal(repr(value)).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
        assert Decimal(repr(held)) == exact
        assert micros(held) == int(exact * 10**6)
        assert getattr(made(command, **{field: held}), field) == held


class TestNumbers:
    INTEGERS = ((AddTask, "estimated_duration", 1), (ReportIssue, "line_number", 1), (StartTask, "expected_version", 0))

    @pytest.mark.parametrize(("command", "field", "least"), INTEGERS)
    def test_an_integer_has_32_bits(self, command: type[Command], field: str, least: int) -> None:
        for value in (least, 2**31 - 1):
            assert getattr(made(command, **{field: value}), field) == value
        for value in (least - 1, -(2**31), 2**31, 2**63, 10**5000):
            assert faulty_fields(command, **{field: value}) == [field]

    @pytest.mark.parametrize(("command", "field", "least"), INTEGERS)
    @pytest.mark.parametrize("value", [True, False, 5.0, 1.5, "5", nan, inf, Decimal(5)])
    def test_only_an_integer_is_one(self, command: type[Command], field: str, least: int, value: Any) -> None:
        assert faulty_fields(command, **{field: value}) == [field]

    @pytest.mark.parametrize("value", [True, "81.5", None, nan, inf, -inf, 10**400])
    def test_a_metrics_value_is_a_finite_number(self, value: Any) -> None:
        assert faulty_fields(RecordMetric, value=value) == ["value"]

    @pytest.mark.parametrize("value", [0.0, -1.5, 1e308, -1e308, 5e-324, 2**53])
    def test_a_metrics_value_is_held_as_it_is(self, value: float) -> None:
        assert made(RecordMetric, value=value).value == value

    def test_a_metrics_minus_zero_is_zero(self) -> None:
        """One of the databases forgets the sign."""
        assert copysign(1, made(RecordMetric, value=-0.0).value) == 1

    @pytest.mark.parametrize("value", [1, 0, "yes", "true", None])
    def test_a_flag_is_true_or_false(self, value: Any) -> None:
        assert faulty_fields(ReportIssue, auto_fix_available=value) == ["auto_fix_available"]


class TestTimes:
    @pytest.mark.parametrize(
        "value",
        [
            "2026-03-01T12:00:00",
            "2026-03-01",
            datetime(2026, 3, 1, 12),  # noqa: DTZ001 - a time without an offset is the fault
            date(2026, 3, 1),
            1772366400,
            1772366400.5,
            "1772366400",
            True,
            "",
            "yesterday",
            "2026-13-01T12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-03-01T12:00:00+25:00",
            "1899-12-31T23:59:59.999999Z",
            "3000-01-01T00:00:00Z",
            "1900-01-01T00:30:00+01:00",
            "2999-12-31T23:30:00-01:00",
            datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
            "12026-03-01T12:00:00Z",
        ],
        ids=str,
    )
    def test_a_time_has_an_offset_and_lies_in_1900_to_2999(self, value: Any) -> None:
        assert faulty_fields(StartTask, occurred_at=value) == ["occurred_at"]

    @pytest.mark.parametrize(
        ("given", "held"),
        [
            ("2026-03-01T12:00:00Z", AT),
            ("2026-03-01T14:00:00+02:00", AT),
            ("2026-03-01 06:30:00-05:30", AT),
            (AT, AT),
            (AT.astimezone(timezone(timedelta(hours=-8))), AT),
            ("1900-01-01T00:00:00Z", datetime(1900, 1, 1, tzinfo=UTC)),
            ("2999-12-31T23:59:59.999999Z", datetime(2999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ],
        ids=str,
    )
    def test_a_time_is_held_in_utc(self, given: Any, held: datetime) -> None:
        at = made(StartTask, occurred_at=given).at
        assert at == held
        assert at.utcoffset() == timedelta()


class TestReservedNames:
    @pytest.mark.parametrize("name", STANDARD_METRICS)
    def test_a_custom_metric_may_not_take_one_of_the_four(self, name: str) -> None:
        assert faulty_fields(RecordMetric, metric_name=name) == ["metric_name"]

    def test_the_four_are_these(self) -> None:
        assert STANDARD_METRICS == ("real_progress", "fake_progress", "authenticity_rate", "quality_score")

    @pytest.mark.parametrize("key", ["aggregation_level", "event_id", "seq"])
    def test_a_custom_metric_may_not_set_what_the_core_sets(self, key: str) -> None:
        assert faulty_fields(RecordMetric, metadata={key: "daily"}) == ["metadata"]
        made(RecordMetric, metadata={"nested": {key: "daily"}})

    def test_quality_metrics_leave_quality_score_to_its_field(self) -> None:
        assert faulty_fields(CompleteRun, quality_metrics={"quality_score": 1}) == ["quality_metrics"]

    @pytest.mark.parametrize("field", ["username", "email"])
    def test_no_user_can_take_the_name_of_a_forgotten_one(self, field: str) -> None:
        assert faulty_fields(CreateUser, **{field: f"forgotten:{USER_ID}@x"}) == [field]


class TestStamping:
    def test_what_was_left_out_is_filled_in(self) -> None:
        command = made(CreateProject).stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID)
        assert (command.at, command.command_id, command.project_id) == (AT, COMMAND_ID, NEW_ID)

    def test_what_was_given_stays(self) -> None:
        original = made(CreateProject, project_id=PROJECT_ID, command_id=COMMAND_ID, occurred_at=AT)
        other = datetime(2030, 1, 1, tzinfo=UTC)
        assert original.stamped(at=other, command_id=NEW_ID, new_id=NEW_ID) == original

    def test_a_command_about_what_exists_takes_no_new_id(self) -> None:
        assert made(StartTask).stamped(at=AT, command_id=COMMAND_ID, new_id=NEW_ID).task_id == TASK_ID

    def test_a_command_that_was_not_stamped_has_no_time(self) -> None:
        with pytest.raises(ValueError, match="not stamped"):
            _ = made(StartTask).at

    @pytest.mark.parametrize("value", [USER_ID, str(USER_ID), "agent-7", "svc:ci/main.2_b"])
    def test_an_actor_is_an_id(self, value: Any) -> None:
        assert made(StartTask, actor=value).actor == str(value)

    @pytest.mark.parametrize("value", ["", " ", "Ada Lovelace", "ada@example.org", "-a", "a" * 256, "a\n", "é"])
    def test_an_actor_is_neither_a_name_nor_an_email(self, value: str) -> None:
        assert faulty_fields(StartTask, actor=value) == ["actor"]
