"""The page beside a bundle: made of the bundle alone, of an archived project too, and of none that does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claude_tiu import ArchiveProject, CompleteProject, CreateProject, DiscardParkedEvents, RestoreProject, Tiu, connect
from claude_tiu.infrastructure.audit.bundle.check import check_bundle
from claude_tiu.infrastructure.audit.bundle.export import export
from claude_tiu.infrastructure.audit.bundle.page import page, write_page
from claude_tiu.infrastructure.errors import BundleUnreadable, FileExists
from tests.support.bundling import KEY, Made, made_in
from tests.support.every_table import LEGACY
from tests.support.history import create_user, uid
from tests.support.stores import Backend


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with made_in(tmp_path_factory.mktemp("made")) as made:
        yield made


def test_it_tells_of_the_project_and_of_what_is_proved(made: Made) -> None:
    checked = check_bundle(made.path, keys=[KEY.public])
    text = page(checked)
    for told in ("Billing", "Parser", "28.6", f"As of position {checked.position}", checked.digest, KEY.public.hex()):
        assert told in text, told
    for sentence in (*checked.proves, *checked.leaves_open):
        assert sentence.split(":")[0].split("'")[0] in text


def test_it_is_the_same_each_time(made: Made) -> None:
    checked = check_bundle(made.path)
    assert page(checked) == page(check_bundle(made.path))


def test_an_archived_project_has_its_page_too(made: Made, tmp_path: Path) -> None:
    export(made.events, made.seals, LEGACY, tmp_path / "a.zip")
    text = page(check_bundle(tmp_path / "a.zip"))
    assert "The project is archived" in text
    for told in ("Legacy", "Parser", "Mock"):
        assert told in text, told


@pytest.mark.parametrize(
    ("commands", "status"),
    [
        ([CompleteProject, ArchiveProject], "archived"),
        ([CompleteProject, ArchiveProject, RestoreProject], "active"),
        ([ArchiveProject, RestoreProject, CompleteProject], "completed"),
        ([CompleteProject], "completed"),
    ],
)
def test_its_status_is_the_projects(sqlite: Backend, tmp_path: Path, commands: list[Any], status: str) -> None:
    with connect(sqlite.url, project=False) as tiu:
        project = a_project(tiu)
        for command in commands:
            tiu.execute(command(project_id=project))
        tiu.export(project, tmp_path / "a.zip")
    assert f"The project is {status}" in page(check_bundle(tmp_path / "a.zip"))


def test_its_status_is_not_that_of_what_was_discarded(sqlite: Backend, tmp_path: Path) -> None:
    with connect(sqlite.url, project=False) as tiu:
        project = a_project(tiu)
        at = tiu.execute(ArchiveProject(project_id=project)).position
        tiu.execute(DiscardParkedEvents(unit_id=project, first_position=at, last_position=at, reason="a mistake"))
        tiu.export(project, tmp_path / "a.zip")
    assert "The project is active" in page(check_bundle(tmp_path / "a.zip"))


def a_project(tiu: Tiu) -> UUID:
    user = tiu.execute(create_user(user_id=uid("somebody"))).id
    return tiu.execute(CreateProject(user_id=user, name="A project")).id


def test_of_what_does_not_hold_there_is_no_page(made: Made) -> None:
    checked = check_bundle(made.path, keys=[bytes(32)])
    assert not checked.holds
    with pytest.raises(BundleUnreadable, match="there is no page of it"):
        page(checked)


def test_of_another_file_than_was_checked_there_is_no_page(made: Made) -> None:
    checked = check_bundle(made.path)
    with pytest.raises(BundleUnreadable, match="there is no page of it"):
        page(replace(checked, digest="00" * 32))


def test_it_is_written_into_a_new_file_of_its_owners_alone(made: Made, tmp_path: Path) -> None:
    checked = check_bundle(made.path)
    write_page(checked, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page(checked)
    assert (tmp_path / "a.html").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExists):
        write_page(checked, tmp_path / "a.html")
