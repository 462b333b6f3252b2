"""The root is the package, so what the wheel holds is listed by hand: here is what notices something forgotten."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FLOORS = ("domain", "projections", "infrastructure", "testing")
SETUPTOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def folder_of(package: str) -> Path:
    return ROOT.joinpath(*package.split(".")[1:])


def test_every_package_is_listed() -> None:
    found = {"claude_tiu"} | {
        ".".join(("claude_tiu", *path.parent.relative_to(ROOT).parts))
        for floor in FLOORS
        for path in (ROOT / floor).rglob("__init__.py")
    }
    assert set(SETUPTOOLS["packages"]) == found


def test_every_python_file_is_in_a_package() -> None:
    lost = [
        path for floor in FLOORS for path in (ROOT / floor).rglob("*.py") if not (path.parent / "__init__.py").exists()
    ]
    assert lost == []


def test_every_data_file_is_in_the_wheel_and_nothing_else() -> None:
    found = {ROOT / "py.typed"} | {
        path
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and not path.name.startswith(".")
    }
    listed = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in folder_of(package).glob(pattern)
    }
    assert listed == found


def test_the_example_is_not_in_the_wheel() -> None:
    assert not any("example" in name for name in (*SETUPTOOLS["packages"], *SETUPTOOLS["package-data"]))


def test_no_other_module_lies_at_the_root() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]


def test_type_checkers_are_shown_every_floor() -> None:
    links = ROOT / ".types" / "claude_tiu"
    for name in ("__init__.py", *FLOORS):
        assert (links / name).readlink() == Path("../..", name)
    assert {path.name for path in links.iterdir()} == {"__init__.py", *FLOORS}


def test_the_tests_are_no_package() -> None:
    """With an __init__.py here, pytest would take the clone's folder for their package, and its name for ours."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
