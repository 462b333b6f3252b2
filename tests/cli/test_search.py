"""`tiu show search`: projects by their words, files by what is in them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.running import done, json_lines, refused
from tests.cli.story import NOBODY, PROJECT, at, project, uid
from tests.support.stores import Backend

OTHER = uid(40)


def file(path: str, minute: int, **fields: Any) -> dict[str, Any]:
    return {"command": "CreateFile", "project_id": PROJECT, "file_path": path, "occurred_at": at(minute), **fields}


@pytest.fixture
def filed(told: Backend) -> Backend:
    commands = [
        project(project_id=OTHER, name="Parsers", description="of invoices", occurred_at=at(20)),
        file("src/a.py", 21, content="def parser(): pass"),
        file("\x1b[31m[red]\u202e", 22, content="the parser", project_id=OTHER),
        file("logo.png", 23, content_hash="0" * 64, size_bytes=9_000_000),
    ]
    done("apply", "-", "--db", told.url, stdin=json_lines(commands))
    done("projector", "run", "--once", "--db", told.url)
    return told


def test_json_has_projects_and_files(filed: Backend) -> None:
    found = done("show", "search", "parser", "--db", filed.url, "--json").json

    assert found.keys() == {"projects", "files"}
    assert [row["name"] for row in found["projects"]] == ["Parsers"]
    assert [row["project_id"] for row in found["files"]] == [OTHER, PROJECT]
    assert found["files"][1] | {"id": None} == {
        "id": None,
        "project_id": PROJECT,
        "file_path": "src/a.py",
        "content_hash": "2b198e73538cae7d41772c4808444e8907ad1b59d9d75b595204b06d665b25cc",
        "size_bytes": 18,
        "status": "created",
        "validation_score": 0.0,
        "metadata": {},
        "created_at": "2026-03-01T12:21:00Z",
        "updated_at": "2026-03-01T12:21:00Z",
    }


def test_of_a_project_its_files_alone(filed: Backend) -> None:
    found = done("show", "search", "parser", "--project", PROJECT, "--db", filed.url, "--json").json

    assert found["projects"] == []
    assert [row["file_path"] for row in found["files"]] == ["src/a.py"]
    assert "Projects" not in done("show", "search", "parser", "--project", PROJECT, "--db", filed.url).out


def test_the_table_shows_paths_and_breaks_no_id(filed: Backend) -> None:
    ran = done("show", "search", "parser", "--db", filed.url)

    assert all(len(line.rstrip()) <= 80 for line in ran.lines)
    assert OTHER in ran.out
    assert "src/a.py" in ran.out
    assert not {"\x1b", "\u202e"} & set(ran.out)


def test_nothing_found_is_said(filed: Backend) -> None:
    ran = done("show", "search", "zebra", "--db", filed.url)

    assert ran.out == "Projects: none\nFiles: none\n"


def test_a_limit_is_kept(filed: Backend) -> None:
    assert len(done("show", "search", "parser", "--limit", 1, "--db", filed.url, "--json").json["files"]) == 1


@pytest.mark.parametrize("text", ["x" * 1_001, "\udcff"], ids=ascii)
def test_what_cannot_be_searched_for_is_one_line(filed: Backend, text: str) -> None:
    assert "search" in refused("show", "search", text, "--db", filed.url)


def test_an_unknown_project_is_refused(filed: Backend) -> None:
    assert NOBODY in refused("show", "search", "parser", "--project", NOBODY, "--db", filed.url)
