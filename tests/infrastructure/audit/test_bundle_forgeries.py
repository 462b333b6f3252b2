"""Bundles whose digest is right, made by somebody who knows their form: what was forged is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_tiu.infrastructure.audit import merkle
from claude_tiu.infrastructure.audit.bundle.check import check_bundle
from claude_tiu.infrastructure.audit.bundle.form import LOG, PROOFS, ROWS, SCHEMAS, SEALS, event_of, line, seal_line
from claude_tiu.infrastructure.audit.seals import Inclusion, Seal
from claude_tiu.infrastructure.event_store import EventRow
from tests.support.bundling import (
    ANOTHERS,
    KEY,
    Forge,
    Made,
    Members,
    change_about,
    change_event,
    drop_event,
    edited,
    found,
    made_in,
    rehashed,
    remake_rows,
    said_by,
    values_of,
    write,
)
from tests.support.every_table import LEGACY, PROJECT
from tests.support.history import uid


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made_in(tmp_path_factory.mktemp("made")) as made:
        yield made


def repeat_event(members: Members) -> None:
    members[LOG].insert(10, members[LOG][9])


def swap_events(members: Members) -> None:
    members[LOG][9:11] = members[LOG][9:11][::-1]


def drop(name: str, index: int) -> Forge:
    def forge(members: Members) -> None:
        del members[name][index]

    return forge


def swap_proofs(members: Members) -> None:
    first, second = values_of(members[PROOFS][:2])
    members[PROOFS][0] = line(first | {"path": second["path"]})


def proof_of_nothing(members: Members) -> None:
    members[PROOFS].append(edited(members[PROOFS][-1], position=84))


def change_row(**values: Any) -> Forge:
    def forge(members: Members) -> None:
        row = json.loads(members[ROWS][0])
        members[ROWS][0] = line(row | {"row": row["row"] | values})

    return forge


def change_seal(index: int, /, **values: Any) -> Forge:
    def forge(members: Members) -> None:
        found = json.loads(members[SEALS][index])
        members[SEALS][index] = line(found | {"seal": found["seal"] | values})

    return forge


def change_growth(members: Members) -> None:
    found = json.loads(members[SEALS][0])
    members[SEALS][0] = line(found | {"growth": [bytes(32).hex(), *found["growth"][1:]]})


def growth_of_the_last(members: Members) -> None:
    members[SEALS][-1] = edited(members[SEALS][-1], growth=[bytes(32).hex()])


def reseal_otherwise(members: Members) -> None:
    """Somebody else's seal, of the same log, in place of the last one."""
    last = Seal.parse(json.dumps(json.loads(members[SEALS][-1])["seal"]))
    members[SEALS][-1] = seal_line(ANOTHERS.sign(**said_by(last, head=bytes(32)), before=None), ())


def swap_seals(members: Members) -> None:
    members[SEALS][0:2] = members[SEALS][0:2][::-1]


def change_schema(members: Members) -> None:
    schema = json.loads(members[SCHEMAS][0])
    members[SCHEMAS][0] = line(schema | {"schema": {"type": "object"}})


def rehash(change: Callable[[EventRow], EventRow]) -> Forge:
    def forge(members: Members) -> None:
        rehashed(members, change)

    return forge


def claim_more(row: EventRow) -> EventRow:
    return row._replace(state=row.state.replace(b'"claimed":70', b'"claimed":90'))


def of_another_project(row: EventRow) -> EventRow:
    return row._replace(project_id=LEGACY) if row.version > 1 and row.project_id else row


FORGERIES: dict[str, tuple[Forge, str]] = {
    "an event's body": (change_event(12, state="{}"), "does not have the hash"),
    "an event's actor": (
        change_event(12, actor="eve"),
        "dependency_added.v1): its row does not have",
    ),
    "when it was recorded": (change_event(12, recorded_at="2020-01-01T00:00:00.000000Z"), "recorded before the event"),
    "its command": (change_event(12, command_id=str(uid("x"))), "does not have the hash"),
    "its command's digest": (change_event(12, command_digest="00"), "does not have the hash"),
    "its correlation": (change_event(12, correlation_id="x"), "does not have the hash"),
    "its cause": (change_event(12, causation_id="x"), "does not have the hash"),
    "its version": (change_event(12, version=9), "version 9 of its stream comes after version 1"),
    "its stream": (change_event(12, stream_id=str(uid("x"))), "comes after version 0"),
    "its topic": (change_event(12, topic="task.completed.v1"), "does not have the hash"),
    "its project": (change_event(12, project_id=str(LEGACY)), "it is of another project"),
    "its key": (change_event(12, key_id=str(uid("x"))), "does not have the hash"),
    "its hash": (change_event(12, hash="00" * 32), "does not have the hash"),
    "the hash before it": (change_event(12, previous_hash="00" * 32), "does not continue the chain"),
    "its position": (change_event(12, position=13), "it does not stand"),
    "an event taken out": (drop_event(4), "version 2 of its stream comes after version 0"),
    "the project's first event taken out": (
        drop_event(3),
        f"no event of the project {PROJECT} itself is in here",
    ),
    "an event twice": (repeat_event, "does not stand behind"),
    "two events swapped": (swap_events, "does not stand behind"),
    "a body changed, and all hashes after it": (rehash(claim_more), "not in the log that seal 3 has sealed"),
    "events of another project, with their hashes": (rehash(of_another_project), "it is of another project"),
    "what is discarded": (
        rehash(lambda row: row._replace(state=row.state.replace(b'"reason":"made up"', b'"reason":"true"'))),
        "the bundle's head",
    ),
    "a proof taken out": (drop(PROOFS, 4), "has no proof"),
    "a proof of another event": (swap_proofs, "not in the log that seal 3 has sealed"),
    "a proof too many": (proof_of_nothing, "there is a proof of event 84, and no such event"),
    "a row's value": (change_row(real_progress=100.0), "real_progress is 100.0, not 28.63"),
    "a row's text": (change_row(name="Better"), "name is 'Better', not 'Billing'"),
    "a row's key": (change_row(id=str(uid("x"))), "no event makes it"),
    "a row taken out": (drop(ROWS, 3), "follows from the events, and is not in here"),
    "the last row taken out": (drop(ROWS, -1), "follows from the events, and is not in here"),
    "a row twice": (lambda members: members[ROWS].insert(0, members[ROWS][0]), "no event makes it"),
    "the epoch": (change_about(epoch=str(uid("x"))), "seal 3 is of another log"),
    "the position": (change_about(position=80), "behind position 80"),
    "the head": (change_about(head="00" * 32), "is not the one that a seal, or the bundle's head, names"),
    "the project": (change_about(project_id=str(LEGACY)), "it is of another project"),
    "the version of the projection": (change_about(projection_version=7), "check it with claude-tiu '0.1.0'"),
    "a seal's position": (change_seal(2, position=86), "seal 3 was not signed with the key that it names"),
    "a seal's time": (change_seal(1, sealed_at="2020-01-01T00:00:00.000000Z"), "seal 2 was not signed"),
    "a seal's root": (change_seal(2, root="00" * 32), "not in the log that seal 3 has sealed"),
    "a seal's signature": (change_seal(0, signature="00" * 64), "seal 1 was not signed with the key that it names"),
    "a seal's key": (change_seal(2, key=ANOTHERS.public.hex()), "seal 3 was not signed"),
    "a seal of another head": (reseal_otherwise, "does not come after seal 2"),
    "how a seal was continued": (change_growth, "nothing shows that seal 3 continues seal 1"),
    "how the last seal continues itself": (growth_of_the_last, "nothing shows that seal 3 continues seal 3"),
    "two seals swapped": (swap_seals, "seal 1 does not come after seal 2"),
    "a seal taken out": (drop(SEALS, 2), "nothing shows that seal 2 continues seal 1"),
    "a schema": (change_schema, "its schemas are not those of this code"),
    "a schema taken out": (drop(SCHEMAS, 2), "its schemas are not those of this code"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_is_found_and_named(made: Made, tmp_path: Path, what: str) -> None:
    forge, told = FORGERIES[what]
    members = made.members()
    forge(members)
    assert told in found(check_bundle(write(tmp_path / "a.zip", members)))


def test_who_changes_and_signs_anew_is_found_by_what_was_kept(made: Made, tmp_path: Path) -> None:
    """And by nothing else: the file fits itself. It is said so, and whose key that is stays open."""
    members = made.members()
    forge_all(members)
    path = write(tmp_path / "a.zip", members)
    report = check_bundle(path)
    assert report.holds
    assert "anybody can make up a log, a key, and such a file of them" in " ".join(report.leaves_open)
    assert "which is not one that was given" in found(check_bundle(path, keys=[KEY.public]))
    assert "kept elsewhere" in found(check_bundle(path, seals=[made.seals[0]]))


def forge_all(members: Members) -> None:
    """Make up a log of these events alone, with a claim of 90, and seal it with another key."""
    rehashed(members, claim_more)
    rows = [event_of(text) for text in members[LOG]]
    epoch = uid("made up")
    last = rows[-1]
    entries = [bytes(32)] * last.position
    for row in rows:
        entries[row.position - 1] = row.hash
    root, proofs = merkle.prove_inclusion(entries, last.position, [row.position - 1 for row in rows])
    seal = ANOTHERS.sign(
        epoch=epoch, position=last.position, head=last.hash, root=root, before=None, sealed_at=last.recorded_at
    )
    change_about(epoch=str(epoch), position=last.position, head=last.hash.hex())(members)
    members[PROOFS] = [
        line(Inclusion(row.position, last.position, tuple(proofs[row.position - 1])).plain) for row in rows
    ]
    members[SEALS] = [seal_line(seal, ())]
    remake_rows(members)


@pytest.mark.parametrize("topic", ["retention.ran.v1", "parking.events_discarded.v1"])
def test_events_left_out_at_the_end_are_not_missed_and_that_is_said(made: Made, tmp_path: Path, topic: str) -> None:
    """Those without which the project has more rows: no offline check of some events shows that."""
    members = made.members()
    (position,) = (event["position"] for event in values_of(members[LOG]) if event["topic"] == topic)
    drop_event(position)(members)
    remake_rows(members)
    report = check_bundle(write(tmp_path / "a.zip", members), keys=[KEY.public], seals=made.seals)
    assert report.holds
    assert report.rows > check_bundle(made.path).rows
    said = "a whole stream of the project, the last events of one, or what discards some, would not be missed"
    assert said in " ".join(report.leaves_open)


def test_events_that_do_not_replay_are_told(made: Made, tmp_path: Path) -> None:
    """Its first tasks left out, with every event of theirs: what names them cannot be replayed."""
    members = made.members()
    first_task = next(event for event in values_of(members[LOG]) if event["topic"] == "task.added.v1")["stream_id"]
    gone = {event["position"] for event in values_of(members[LOG]) if event["stream_id"] == first_task}
    members[LOG] = [text for text in members[LOG] if json.loads(text)["position"] not in gone]
    members[PROOFS] = [text for text in members[PROOFS] if json.loads(text)["position"] not in gone]
    assert "no rows follow from its events" in found(check_bundle(write(tmp_path / "a.zip", members)))


def test_findings_are_counted_to_the_last_and_told_up_to_a_bound(made: Made, tmp_path: Path) -> None:
    members = made.members()
    members[PROOFS] = []
    report = check_bundle(write(tmp_path / "a.zip", members))
    assert (report.found, len(report.findings)) == (53, 20)
