"""The check of projections finds each way of breaking the contract, and its smallest history; in good ones nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings

from claude_tiu import AddTask, BadProjection, CompleteTask, CreateProject, migrate_up
from claude_tiu.projections import Projection
from claude_tiu.projections.read_model import READ_MODEL
from claude_tiu.testing import BrokenProjection, check_projection, histories
from claude_tiu.testing.checking import SETTINGS
from tests.testing import broken
from tests.testing.own import OWN

BROKEN = [
    (broken.COUNTS_IN_ITS_MODULE, 3, "the second time"),
    (broken.REMEMBERS_THE_ONE_BEFORE, 2, "its tables differ, .*crash="),
    (broken.LEAVES_OUT_WHAT_IT_WAS_GIVEN, 1, "the second time"),
    (broken.ASKS_THE_CLOCK, 1, "the second time"),
    (broken.ASKS_THE_CALENDAR, 1, "in another process"),
    (broken.THROWS_DICE, 1, "the second time"),
    (broken.FOLLOWS_A_SET, 1, "in another process"),
    (broken.CHANGES_ITS_EVENT, 2, "changes the event"),
    (broken.CHANGES_ITS_ROW, 3, "changes a row of counts"),
    (broken.READS_WHAT_IS_NOT_ITS_OWN, 4, "it reads tasks"),
    (broken.UPDATES_WHAT_IS_NOT_THERE, 4, "not there"),
    (broken.KEEPS_WHAT_IS_FORGOTTEN, 2, "after persons were forgotten"),
    (broken.RAISES, 3, "IndexError"),
    (broken.DEPENDS_ON_BORDERS, 2, "its tables differ, one event after the other"),
]


@pytest.mark.parametrize(("projection", "events", "told"), BROKEN)
def test_what_breaks_the_contract_is_found_with_its_smallest_history(
    projection: Projection, events: int, told: str
) -> None:
    with pytest.raises(BrokenProjection, match=told) as caught:
        check_projection(projection)
    history = caught.value.history
    assert history is not None
    assert len(history.events) == events, str(history)
    assert type(history.events[-1].event).__name__ in str(caught.value)


FEW = settings(SETTINGS, max_examples=8)
MANY = settings(SETTINGS, max_examples=400)


@pytest.mark.parametrize("projection", [OWN, broken.CHILDREN_FIRST, READ_MODEL], ids=lambda one: one.tables[0].name)
def test_a_good_one_passes(projection: Projection) -> None:
    check_projection(projection, settings=FEW)


def test_a_good_one_passes_on_postgresql(pg_url: str) -> None:
    migrate_up(pg_url, projections=[OWN])
    check_projection(OWN, url=pg_url, histories=histories(AddTask, CompleteTask, max_size=6), settings=FEW)


@pytest.mark.long
def test_a_broken_one_is_found_on_postgresql(pg_url: str) -> None:
    bad = broken.REMEMBERS_THE_ONE_BEFORE
    migrate_up(pg_url, projections=[bad])
    with pytest.raises(BrokenProjection, match="its tables differ") as caught:
        check_projection(bad, url=pg_url, histories=histories(CreateProject), settings=settings(MANY, max_examples=50))
    assert caught.value.history is not None
    assert len(caught.value.history.events) <= 3


@pytest.mark.long
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("projection", [OWN, READ_MODEL], ids=lambda one: one.name)
def test_good_ones_pass_at_length(projection: Projection, pg_url: str) -> None:
    check_projection(projection, settings=MANY)
    migrate_up(pg_url, projections=[OWN])
    check_projection(projection, url=pg_url, settings=settings(MANY, max_examples=100))


def test_one_that_cannot_be_imported_elsewhere_is_refused_or_checked_here_alone() -> None:
    local = Projection("local", 1, OWN.tables, {})
    with pytest.raises(ValueError, match="another_process=False"):
        check_projection(local, settings=FEW)
    check_projection(local, settings=FEW, another_process=False, histories=histories(CreateProject))


def test_one_that_no_store_would_take_is_refused() -> None:
    with pytest.raises(BadProjection, match="has no tables"):
        check_projection(Projection("nothing", 1, (), {}))
