"""What `tiu demo` must make of a facts file, computed from the file alone: nothing of the product is used here.

The product keeps integers in micro-percents and running sums. Here every number is a fraction of percents, added up
from all tasks after every event, and turned into a double (correctly rounded) at the very end: only rules are shared.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

SEVERITY = {"placeholder": "medium", "empty_function": "low"}
SEVERITIES = ("low", "medium", "high", "critical")
TYPES = ("placeholder", "empty_function", "mock_data", "broken_logic", "security_risk")
NAMES = ("real_progress", "fake_progress", "authenticity_rate", "quality_score")
HUNDRED = Fraction(100)


class Numbers(NamedTuple):
    """A project's four numbers, in the order of their metrics."""

    real: float = 0.0
    fake: float = 0.0
    authenticity: float = 100.0
    quality: float = 0.0


class Issue(NamedTuple):
    file_path: str
    line: int
    type: str
    severity: str
    task: str
    description: str


class Metric(NamedTuple):
    """A row of progress_metrics; `task` is whose event it was, None where it was a run's."""

    name: str
    value: float
    recorded_at: datetime
    seq: int
    task: str | None


@dataclass
class Task:
    name: str
    created_at: datetime
    updated_at: datetime
    status: str = "in_progress"
    claimed: Fraction = Fraction(0)
    authentic: Fraction = HUNDRED
    completed_at: datetime | None = None
    actual_duration: int | None = None

    @property
    def real(self) -> float:
        return float(self.claimed * self.authentic / 100)

    @property
    def fake(self) -> float:
        return float(self.claimed - self.claimed * self.authentic / 100)

    @property
    def authenticity(self) -> float:
        return float(self.authentic)


@dataclass(frozen=True)
class Report:
    created_at: datetime
    numbers: Numbers
    quality_metrics: dict[str, float]
    issues_summary: dict[str, dict[str, int]]
    issues: Counter[Issue]


@dataclass
class Expected:
    """The tables of one project, in the order of its events."""

    name: str
    created_at: datetime
    updated_at: datetime
    numbers: Numbers = field(default_factory=Numbers)
    tasks: list[Task] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    events: int = 2
    """Of which the user's and the project's are two. Every command is one event."""

    @property
    def issues(self) -> int:
        return sum(report.issues.total() for report in self.reports)

    @property
    def newest_report(self) -> Report:
        return max(self.reports, key=lambda report: report.created_at)


class Change(NamedTuple):
    status: str
    findings: list[dict[str, Any]]


class Revision(NamedTuple):
    at: datetime
    changes: dict[str, Change]


def revisions(path: Path) -> Iterator[Revision]:
    """Yield a facts file's revisions in file order; of a path listed twice in one, the last counts."""
    with gzip.open(path, "rb") as file:
        for line in file:
            fact = json.loads(line)
            at = datetime.fromisoformat(fact["at"]).astimezone(UTC)
            yield Revision(at, {f["path"]: Change(f["status"], f.get("findings", [])) for f in fact["files"]})


def directory(path: str) -> str:
    """Return the task that a path belongs to."""
    return "/".join(path.split("/")[:-1][:2]) or "(root)"


def is_python(path: str) -> bool:
    return path.endswith(".py")


def percent(part: int, whole: int) -> Fraction:
    """Return 100 x part / whole, rounded to 2 decimals by round() of the double, as the decimal that it then shows."""
    return Fraction(repr(round(100 * part / whole, 2)))


def expected(path: Path) -> Expected:
    """Return what the tables must hold of the facts file `path`."""
    history = list(revisions(path))
    holds_python = {
        directory(file)
        for revision in history
        for file, change in revision.changes.items()
        if is_python(file) and change.status != "D"
    }
    touches = [sorted({directory(file) for file in revision.changes} & holds_python) for revision in history]
    in_all = Counter(name for touched in touches for name in touched)

    first = history[0].at
    result = Expected(path.name.split("-")[0].split(".")[0], first, first)
    so_far: Counter[str] = Counter()
    tasks: dict[str, Task] = {}
    python_files: dict[str, list[dict[str, Any]]] = {}
    months: set[tuple[int, int]] = set()

    for revision, touched in zip(history, touches, strict=True):
        for file, change in revision.changes.items():
            if change.status == "D":
                python_files.pop(file, None)
            elif is_python(file):
                python_files[file] = change.findings
        for name in touched:
            so_far[name] += 1
            if name not in tasks:
                tasks[name] = Task(name, revision.at, revision.at)
                result.tasks.append(tasks[name])
                result.events += 1
                _changed(result, revision.at, result.numbers.quality, name)
                result.events += 1  # its start: no number changes by it
            _claim(tasks[name], percent(so_far[name], in_all[name]), so_far[name] == in_all[name], revision.at)
            result.events += 1
            _changed(result, revision.at, result.numbers.quality, name)
        if (month := (revision.at.year, revision.at.month)) not in months:
            months.add(month)
            _validate(result, python_files, revision.at)
    return result


def _claim(task: Task, claimed: Fraction, last: bool, at: datetime) -> None:
    task.updated_at = at
    task.claimed = HUNDRED if last else claimed
    if last:
        task.status = "completed"
        task.completed_at = at
        task.actual_duration = max(at - task.created_at, timedelta(0)) // timedelta(minutes=1)


def _validate(result: Expected, python_files: dict[str, list[dict[str, Any]]], at: datetime) -> None:
    """Let a run assess every task and report every finding; both take effect with its completion."""
    of_task: dict[str, list[str]] = defaultdict(list)
    for file in python_files:
        of_task[directory(file)].append(file)
    for task in result.tasks:
        files = of_task[task.name]
        clean = sum(not python_files[file] for file in files)
        task.authentic = percent(clean, len(files)) if files else HUNDRED
        task.updated_at = at
    issues = Counter(_issues(python_files))
    marked = sum(bool(findings) for findings in python_files.values())
    quality = float(percent(len(python_files) - marked, len(python_files)) if python_files else HUNDRED)

    result.events += 1 + len(result.tasks) + issues.total() + 1
    _changed(result, at, quality, None)
    metrics = {"files": len(python_files), "files_with_findings": marked, "findings": issues.total()}
    result.reports.append(
        Report(at, result.numbers, metrics | {"quality_score": quality}, _summary(issues.elements()), issues)
    )


def _issues(python_files: dict[str, list[dict[str, Any]]]) -> Iterator[Issue]:
    for file, findings in python_files.items():
        for finding in findings:
            type_, line = finding["type"], finding["line"]
            yield Issue(file, line, type_, SEVERITY[type_], directory(file), f"{type_} at {file}:{line}")


def _summary(issues: Iterable[Issue]) -> dict[str, dict[str, int]]:
    found = list(issues)
    return {
        "by_severity": {severity: sum(issue.severity == severity for issue in found) for severity in SEVERITIES},
        "by_type": {type_: sum(issue.type == type_ for issue in found) for type_ in TYPES},
    }


def _changed(result: Expected, at: datetime, quality: float, task: str | None) -> None:
    """Take the project's numbers after an event, and write a row for each double that is another than before.

    An event that changes none of them leaves the project's row alone, its updated_at too.
    """
    before, after = result.numbers, _numbers(result.tasks, quality)
    for name, old, new in zip(NAMES, before, after, strict=True):
        if new != old:
            result.metrics.append(Metric(name, new, at, len(result.metrics) + 1, task))
    if after != before:
        result.updated_at = at
    result.numbers = after


def _numbers(tasks: list[Task], quality: float) -> Numbers:
    """Return the means over all tasks (all weigh 1), and how much of what is claimed is real."""
    if not tasks:
        return Numbers(quality=quality)
    claimed = sum((task.claimed for task in tasks), Fraction(0))
    real = sum((task.claimed * task.authentic / 100 for task in tasks), Fraction(0))
    rate = 100 * real / claimed if claimed else HUNDRED
    return Numbers(float(real / len(tasks)), float((claimed - real) / len(tasks)), float(rate), quality)
