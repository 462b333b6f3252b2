"""Every kind of tampering that docs/explanation/tamper-evidence.md lists is done by SQL, on both stores, and found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from claude_tiu.infrastructure.audit.chain import ChainReport, check_chain
from tests.support.stores import Backend
from tests.support.tampering import CASES, KEY, Case, sealed_history, without_triggers

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "tamper-evidence.md"


def kinds(report: ChainReport) -> set[str]:
    return {finding.kind for finding in report.findings}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_tampering_is_found_and_named(backend: Backend, case: Case) -> None:
    kept = sealed_history(backend)
    without_triggers(backend)
    case.tamper(backend)
    with_seals = check_chain(backend.events(), kept)
    of_itself = check_chain(backend.events())
    if case.of_events:  # whoever does that can do this too
        backend.on_events("DELETE FROM seals")
    alone = check_chain(backend.events())

    assert kinds(with_seals) == set(case.found)
    if case.place is not None:
        assert {(finding.first, finding.last) for finding in with_seals.findings} == {case.place}
    assert kinds(of_itself) == set(case.found if case.of_events else case.alone), "as far as the store has its seals"
    assert kinds(alone) == set(case.alone)
    assert alone.proved == alone.sealed == 0 or not case.of_events


@pytest.mark.parametrize("case", [case for case in CASES if case.found == ("rewritten",)], ids=lambda case: case.title)
def test_seals_that_still_hold_narrow_down_what_was_made_anew(backend: Backend, case: Case) -> None:
    first, second = sealed_history(backend)
    without_triggers(backend)
    case.tamper(backend)

    report = check_chain(backend.events(), [second, first])

    (finding,) = report.findings
    early = any(word in case.title for word in ("removed", "swapped", "replaced"))
    assert finding.first == (1 if early else first.statement.position + 1)
    assert finding.last == (first if early else second).statement.position
    assert report.proved == finding.first - 1


def test_a_key_that_is_known_finds_a_seal_of_another(backend: Backend) -> None:
    sealed_history(backend)
    without_triggers(backend)
    (case,) = (case for case in CASES if case.found == ("seal_replaced",))
    case.tamper(backend)

    assert kinds(check_chain(backend.events(), keys=[KEY.public])) == {"seal_replaced"}


def test_the_page_lists_what_is_tried_here() -> None:
    listed = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[2:]
    told = [tuple(kind for kind in re.findall(r"`(\w+)`", cell)) for row in listed for cell in row[1:]]
    assert [row[0] for row in listed] == [case.title for case in CASES]
    assert told == [found for case in CASES for found in (case.found, case.alone)]
