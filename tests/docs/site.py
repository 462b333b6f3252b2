"""Builds the documentation as a site: `python -m tests.docs.site FOLDER` (extra `docs`).

The pages are those of docs/, and beside them what they link to at the root of the repository.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.blocks import DOCS, ROOT

NEIGHBOURS = ("CHANGELOG.md", "CONTRIBUTING.md", "README.md")
LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+\.md)\)")
TO_DOCS = re.compile(r"\]\(docs/")


def _in_the_site(name: str) -> str:
    return name.lower().replace("readme", "about")


def assemble(folder: Path) -> Path:
    """Make the source of the site in an empty folder; return its configuration."""
    pages = folder / "docs"
    shutil.copytree(DOCS, pages)
    for name in NEIGHBOURS:
        text = TO_DOCS.sub("](", (ROOT / name).read_text(encoding="utf-8"))
        text = text.replace("](LICENSE)", "](license.md)")
        (pages / _in_the_site(name)).write_text(text, encoding="utf-8")
    (pages / "license.md").write_text(
        "# Licence\n\n" + (ROOT / "LICENSE").read_text(encoding="utf-8"), encoding="utf-8"
    )
    for page in pages.rglob("*.md"):
        up = "../" * (len(page.relative_to(pages).parts) - 1)
        text = page.read_text(encoding="utf-8")
        for name in NEIGHBOURS:
            text = re.sub(rf"\]\((?:\.\./)*{re.escape(name)}", f"]({up}{_in_the_site(name)}", text)
        page.write_text(text, encoding="utf-8")
    configuration = folder / "zensical.toml"
    text = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    configuration.write_text(text.replace("[project]", f"[project]\nnav = {navigation()}", 1), encoding="utf-8")
    return configuration


def navigation() -> str:
    """Return what is navigated, as TOML: the sections of docs/index.md, and the decisions."""
    index = (DOCS / "index.md").read_text(encoding="utf-8").partition("\n## ")[0]
    parts = re.split(r"^\*\*(.+?)\*\*", index, flags=re.MULTILINE)[1:]
    sections = {name: LINK.findall(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}
    decisions = LINK.findall((DOCS / "decisions" / "README.md").read_text(encoding="utf-8"))
    numbered = [(f"{path[:4]} {title}", f"decisions/{path}") for title, path in decisions if path[:4].isdigit()]
    start = [("Overview", "index.md"), ("About", "about.md"), ("Changelog", "changelog.md")]
    entries = [("Start", start), *sections.items(), ("Decisions", [("All", "decisions/README.md"), *numbered])]
    return "[" + ", ".join(_section(name, pages) for name, pages in entries) + "]"


def _section(name: str, pages: list[tuple[str, str]]) -> str:
    titled = [(title[0].upper() + title[1:], path) for title, path in pages]
    listed = ", ".join(f"{{ {json.dumps(title)} = {json.dumps(path)} }}" for title, path in titled)
    return f"{{ {json.dumps(name)} = [{listed}] }}"


def build(out: Path) -> None:
    """Build the site into a folder, which is replaced. Raises CalledProcessError where a link leads nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = assemble(Path(folder))
        script = Path(sys.executable).with_name("zensical")
        subprocess.run([script, "build", "--strict", "--config-file", configuration], cwd=folder, check=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(Path(folder, "site"), out)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
