"""The arithmetic of progress against exact fractions: float(Fraction) is correctly rounded."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from claude_tiu.domain.progress import FULL, Sums, micros, task_numbers

MICROS = st.integers(0, 10**8) | st.sampled_from([0, 1, 10**8 - 1, 10**8])
WEIGHTS = st.integers(1, 2**31 - 1) | st.sampled_from([1, 2**31 - 1])
TASKS = st.lists(st.tuples(WEIGHTS, MICROS, MICROS), max_size=30)
"""(weight, claimed, authenticity): the last two in micro-percents."""

MICRO_PERCENT = Fraction(1, 10**6)


def sums_of(tasks: list[tuple[int, int, int]]) -> Sums:
    sums = Sums()
    for task in tasks:
        sums = sums.plus(*task)
    return sums


@given(MICROS)
def test_every_percentage_of_6_decimals_is_exact_in_micros(n: int) -> None:
    assert micros(n / 10**6) == n
    assert micros(float(f"{n // 10**6}.{n % 10**6:06d}")) == n


def test_full_is_100_percent() -> None:
    assert micros(100.0) == FULL == 10**8


@given(MICROS, MICROS)
def test_a_tasks_numbers_are_correctly_rounded(claimed: int, authenticity: int) -> None:
    c, a = claimed * MICRO_PERCENT, authenticity * MICRO_PERCENT
    real, fake = c * a / 100, c - c * a / 100
    assert task_numbers(claimed, authenticity) == (float(real), float(fake))


@given(MICROS, MICROS)
def test_real_and_fake_are_the_claim_exactly_before_the_division(claimed: int, authenticity: int) -> None:
    real, fake = task_numbers(claimed, authenticity)
    assert claimed * authenticity + claimed * (FULL - authenticity) == claimed * FULL
    exact = claimed * MICRO_PERCENT
    assert abs(Fraction(real) + Fraction(fake) - exact) <= exact * Fraction(1, 2**53)


@given(MICROS, MICROS)
def test_a_tasks_numbers_never_leave_0_to_100(claimed: int, authenticity: int) -> None:
    assert all(0 <= number <= 100 for number in task_numbers(claimed, authenticity))


@given(MICROS)
def test_all_is_real_at_100_and_all_is_fake_at_0(claimed: int) -> None:
    assert task_numbers(claimed, FULL) == (claimed / 10**6, 0.0)
    assert task_numbers(claimed, 0) == (0.0, claimed / 10**6)


@given(TASKS)
def test_a_projects_numbers_are_the_means_weighted_by_duration(tasks: list[tuple[int, int, int]]) -> None:
    weight = sum(w for w, _, _ in tasks)
    claimed = sum((w * c * MICRO_PERCENT for w, c, _ in tasks), Fraction())
    real = sum((w * c * MICRO_PERCENT * a * MICRO_PERCENT / 100 for w, c, a in tasks), Fraction())
    expected = (
        float(real / weight) if weight else 0.0,
        float((claimed - real) / weight) if weight else 0.0,
        float(100 * real / claimed) if claimed else 100.0,
    )
    assert sums_of(tasks).numbers() == expected


@given(TASKS)
def test_a_projects_numbers_never_leave_0_to_100(tasks: list[tuple[int, int, int]]) -> None:
    assert all(0 <= number <= 100 for number in sums_of(tasks).numbers())


def test_a_project_without_tasks_is_wholly_authentic() -> None:
    assert Sums().numbers() == (0.0, 0.0, 100.0)


@given(WEIGHTS, MICROS)
def test_a_project_that_claims_nothing_is_wholly_authentic(weight: int, authenticity: int) -> None:
    assert Sums().plus(weight, 0, authenticity).numbers() == (0.0, 0.0, 100.0)


@given(st.data(), TASKS)
def test_the_order_of_events_cannot_matter(data: st.DataObject, tasks: list[tuple[int, int, int]]) -> None:
    shuffled = data.draw(st.permutations(tasks))
    assert sums_of(shuffled) == sums_of(tasks)
    assert sums_of(shuffled).numbers() == sums_of(tasks).numbers()


@given(TASKS.filter(bool), MICROS)
def test_a_live_sum_equals_a_rebuilt_one(tasks: list[tuple[int, int, int]], assessed: int) -> None:
    """A task assessed anew, against all of them added up anew."""
    weight, claimed, authenticity = tasks[0]
    live = sums_of(tasks).reassessed(weight, claimed, authenticity, assessed)
    assert live == sums_of([*tasks[1:], (weight, claimed, assessed)])


@given(WEIGHTS, MICROS, MICROS)
def test_a_project_of_one_task_has_that_tasks_numbers(weight: int, claimed: int, authenticity: int) -> None:
    assert Sums().plus(weight, claimed, authenticity).numbers()[:2] == task_numbers(claimed, authenticity)
