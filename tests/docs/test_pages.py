"""What README shows runs, and where pages point there is something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, ROOT, blocks_of, environment

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ELSEWHERE = ("http:", "https:", "mailto:")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that a renderer gives a page's headings."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    kept = ("".join(c for c in heading.lower() if c.isalnum() or c in "_- ") for heading in headings)
    return {anchor.replace(" ", "-") for anchor in kept}


def test_the_readme_example_runs_as_it_stands(tmp_path: Path) -> None:
    (block,) = [block for block in blocks_of(ROOT / "README.md") if block.language == "python"]
    arguments = [sys.executable, "-W", "error", "-c", block.text]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "real_progress=15.0, fake_progress=45.0" in done.stdout
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 14


@pytest.mark.parametrize(
    "command",
    [
        "pip install . && tiu demo",
        "pip install -e '.[test]' && pytest",
        "pip install -e '.[example]' && python -m examples.orchestrator",
    ],
)
def test_the_readme_gives_the_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_what_the_demo_shows(tmp_path: Path) -> None:
    arguments = ["bash", "-c", "tiu demo"]
    env = environment(cold=True, TMPDIR=str(tmp_path))
    done = subprocess.run(arguments, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=True)
    table = [line.strip() for line in done.stdout.splitlines()[1:4]]
    assert "\n".join(f"    {line}" for line in table) in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(ELSEWHERE):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or not path.is_relative_to(ROOT) or (anchor and anchor not in anchors_of(path)):
            lost.append(link)
    assert lost == []


def test_every_page_can_be_reached() -> None:
    pointed_at = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if not link.startswith(ELSEWHERE)
    }
    assert [name_of(page) for page in DOCS.rglob("*.md") if page not in pointed_at] == []


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = DOCS / "decisions"
    pages = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    listed = [link for link in LINK.findall((folder / "README.md").read_text(encoding="utf-8")) if link[0].isdigit()]
    assert listed == [path.name for path in pages]
    assert [path.name[:4] for path in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for path in pages:
        headings = HEADING.findall(path.read_text(encoding="utf-8"))
        assert headings[1:] == ["Context", "Decision", "Consequence"], path.name


def test_no_page_names_a_machine() -> None:
    told = re.compile(r"/(work|tmp|home|root)/|\.\./shared|file://")
    assert [name_of(page) for page in PAGES if told.search(page.read_text(encoding="utf-8"))] == []
