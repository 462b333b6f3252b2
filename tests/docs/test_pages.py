"""What the pages show runs, and where they point there is something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

import claude_tiu
from tests.docs.blocks import DOCS, ROOT, blocks_of, environment, run_page
from tests.support.history import create_user, uid

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


def test_the_tutorial_runs_in_order(tmp_path: Path) -> None:
    assert run_page(DOCS / "tutorial.md", tmp_path, cold=True) > 10


def test_how_to_embed_runs(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "embed.md", tmp_path) > 5


def test_how_to_test_runs(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "test.md", tmp_path) > 2


def test_commands_in_a_transaction_of_the_services_own_run_as_shown(pg_url: str) -> None:
    (block,) = [block for block in blocks_of(DOCS / "how-to" / "embed.md") if block.language == "py"]
    names: dict[str, Any] = {name: getattr(claude_tiu, name) for name in ("AddTask", "CreateProject")}
    names |= {"psycopg": psycopg, "url": pg_url, "order_id": 7, "user_id": uid("user"), "project_id": uid("project")}
    with psycopg.connect(pg_url, autocommit=True) as orders, claude_tiu.connect(pg_url) as tiu:
        orders.execute("CREATE TABLE orders (id integer, state text)")
        orders.execute("INSERT INTO orders VALUES (7, 'new')")
        tiu.execute(create_user(user_id=uid("user")))
        exec(compile(block.text, "embed.md", "exec"), names | {"tiu": tiu})  # noqa: S102 - the page's own code is tested
        found = orders.execute("SELECT state, t.name FROM orders, tasks t").fetchall()
    assert found == [("planned", "Deliver it")]


def test_how_to_create_projects_from_a_template_runs(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "templates.md", tmp_path) > 4


def test_how_to_let_agents_claim_runs(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "agents.md", tmp_path) > 4


def test_how_to_see_it_in_a_service_runs(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "example.md", tmp_path) == 1


def test_how_to_subscribe_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "subscribe.md", tmp_path, DB="sqlite:///app.db") > 8


def test_how_to_subscribe_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "subscribe.md", tmp_path, DB=pg_empty) > 8


def test_how_to_operate_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "operate.md", tmp_path, DB="sqlite:///app.db") > 3


def test_how_to_operate_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "operate.md", tmp_path, DB=pg_empty) > 3


def test_how_to_upgrade_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "upgrade.md", tmp_path, DB="sqlite:///app.db") == 3


def test_how_to_upgrade_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "upgrade.md", tmp_path, DB=pg_empty) == 3


def test_how_to_forget_a_user_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "forget-a-user.md", tmp_path, DB="sqlite:///app.db") > 3


def test_how_to_forget_a_user_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "forget-a-user.md", tmp_path, DB=pg_empty) > 3


def test_how_to_let_old_rows_go_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "retention.md", tmp_path, DB="sqlite:///app.db") == 5


def test_how_to_let_old_rows_go_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "retention.md", tmp_path, DB=pg_empty) == 5


def test_how_to_monitor_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "monitor.md", tmp_path, DB="sqlite:///app.db") > 5


def test_how_to_monitor_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "monitor.md", tmp_path, DB=pg_empty) > 5


def test_how_to_observe_runs(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "observe.md", tmp_path) > 6


def test_how_to_audit_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "audit.md", tmp_path, DB="sqlite:///app.db") > 4


def test_how_to_audit_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "audit.md", tmp_path, DB=pg_empty) > 4


def test_how_to_see_to_what_is_parked_runs_on_sqlite(tmp_path: Path) -> None:
    assert run_page(DOCS / "how-to" / "parked.md", tmp_path, DB="sqlite:///app.db") > 4


def test_how_to_see_to_what_is_parked_runs_on_postgresql(tmp_path: Path, pg_empty: str) -> None:
    assert run_page(DOCS / "how-to" / "parked.md", tmp_path, DB=pg_empty) > 4


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_projection_that_is_copied_out_of_the_page_works_is_rebuilt_and_verified(
    store: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / "how-to" / "write-a-projection.md"
    (tmp_path / "board.py").write_text(blocks_of(page)[0].text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "board", raising=False)
    url = "sqlite:///app.db" if store == "sqlite" else str(request.getfixturevalue("pg_empty"))
    assert run_page(page, tmp_path, DB=url) == 6
    sys.modules.pop("board", None)


def test_the_pages_that_explain_run(tmp_path: Path) -> None:
    explained = sorted((DOCS / "explanation").glob("*.md"))
    for number, page in enumerate(explained):
        folder = tmp_path / str(number)
        folder.mkdir()
        run_page(page, folder)


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
