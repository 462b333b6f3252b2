"""Other histories in the format of the demo's facts: from a seed, or drawn by Hypothesis.

What they have that the packaged file has not: clocks that repeat and fall, months that come back, paths listed twice in
one revision, deleted and added again, at any depth, in any script; directories that hold no Python, at first or ever.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Facts = list[dict[str, Any]]

PATHS = (
    "setup.py",
    "conftest.py",
    "README.md",
    "a/one.py",
    "a/two.py",
    "a/notes.txt",
    "a/b/three.py",
    "a/b/c/four.py",
    "a/b/c/d/five.py",
    "a/c.py/six.py",
    "A/one.py",
    "docs/index.rst",
    "docs/api/index.rst",
    "docs/conf.py",
    "late/data.json",
    "late/code.py",
    "no python/data.csv",
    "no python/script.pyc",
    ".hidden/x.py",
    "größe/ä.py",
    "gro\u0308ße/ä.py",  # the same to the eye: names are not normalised
    "日本/語/模块.py",
    "🎉/🐍.py",
    "sp ace/q'uo\"te%s.py",
    "line\u2028separator/next\u0085line.py",  # splitlines() would cut a line of JSON here
    "new\nline/tab\t.py",
    "back\\slash\\x.py",
)
TYPES = ("empty_function", "placeholder")


def write_facts(path: Path, facts: Facts) -> Path:
    """Write a history as gzipped JSON lines, the same bytes for the same facts, and return its path."""
    lines = [json.dumps(revision, ensure_ascii=False, separators=(",", ":")) + "\n" for revision in facts]
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    return path


def revision(number: int, at: datetime, changes: Sequence[tuple[str, str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """Return a revision; a change is (path, status, findings)."""
    files: list[dict[str, Any]] = []
    for index, (path, status, findings) in enumerate(changes):
        file: dict[str, Any] = {"path": path, "status": status}
        if status != "D":
            digest = sha256(f"{number}/{index}/{path}".encode()).hexdigest()
            file |= {"size": int(digest[:4], 16), "sha256": digest, "findings": findings}
        files.append(file)
    return {"revision": f"r{number}", "at": at.isoformat(), "files": files}


def random_facts(seed: int, *, revisions: int = 40, changes: int = 250, paths: Sequence[str] = PATHS) -> Facts:
    """Return the history of a seed, with exactly so many revisions and file changes in all."""
    rng = random.Random(seed)
    sizes = [0] * revisions
    for _ in range(changes):
        sizes[
            min(int(rng.expovariate(4 / revisions)), revisions - 1) if rng.random() < 0.3 else rng.randrange(revisions)
        ] += 1
    present: set[str] = set()
    times = _times(rng)
    return [
        revision(number, next(times), [_change(rng, present, paths) for _ in range(size)])
        for number, size in enumerate(sizes)
    ]


def many_paths(count: int, directories: int) -> list[str]:
    """Return `count` paths in so many directories of the first two components, beside PATHS."""
    generated = [
        f"src/part{n % directories:02}/{'deep/' * (n % 3)}module{n}{'.md' if n % 11 == 0 else '.py'}"
        for n in range(count)
    ]
    return [*PATHS, *generated]


def _change(rng: random.Random, present: set[str], paths: Sequence[str]) -> tuple[str, str, list[dict[str, Any]]]:
    path = rng.choice(paths)
    if path not in present:
        present.add(path)
        return path, "A", _findings(rng)
    if rng.random() < 0.25:
        present.remove(path)
        return path, "D", []
    return path, "M", _findings(rng)


def _findings(rng: random.Random) -> list[dict[str, Any]]:
    if rng.random() < 0.5:
        return []
    return [{"line": rng.randint(1, 30), "type": rng.choice(TYPES)} for _ in range(rng.randint(1, 4))]


def _times(rng: random.Random) -> Iterator[datetime]:
    """Yield times that mostly rise, but repeat, fall (also into months that were), and stand on the edges of months."""
    now = datetime(2019, 11, 3, 8, 30, tzinfo=UTC)
    while True:
        yield now
        chance = rng.random()
        if chance < 0.15:
            continue
        if chance < 0.30:
            now -= timedelta(seconds=rng.randint(1, 80 * 86_400))
        elif chance < 0.35:
            now = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        elif chance < 0.40:
            now = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
        else:
            now += timedelta(seconds=rng.randint(1, 30 * 86_400), microseconds=rng.choice((0, 0, 1, 999_999)))


TIMES = st.one_of(
    st.sampled_from(
        [
            datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
            datetime(2024, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(2024, 2, 1, tzinfo=UTC),
            datetime(2024, 2, 29, 12, tzinfo=UTC),
            datetime(2025, 2, 1, tzinfo=UTC),
        ]
    ),
    st.datetimes(datetime(2024, 1, 1), datetime(2024, 4, 30), timezones=st.just(UTC)),  # noqa: DTZ001 - st asks for naive
)
FINDINGS = st.lists(
    st.builds(lambda line, kind: {"line": line, "type": kind}, st.integers(1, 5), st.sampled_from(TYPES)), max_size=3
)
SMALL_PATHS = ("root.py", "root.txt", "a/x.py", "a/y.py", "a/z.txt", "a/b/x.py", "a/b/c/x.py", "only/text.md", "ä/é.py")


@st.composite
def histories(draw: st.DrawFn) -> Facts:
    """Small histories; every change fits what is there: only what is absent is added, only what is there deleted."""
    present: set[str] = set()
    facts = []
    for number in range(draw(st.integers(1, 7))):
        changes = []
        for path in draw(st.lists(st.sampled_from(SMALL_PATHS), max_size=5)):
            status = draw(st.sampled_from("MD")) if path in present else "A"
            (present.discard if status == "D" else present.add)(path)
            changes.append((path, status, [] if status == "D" else draw(FINDINGS)))
        facts.append(revision(number, draw(TIMES), changes))
    return facts
