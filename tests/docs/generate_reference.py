"""Writes docs/reference from the code: `python -m tests.docs.generate_reference` at the root.

tests/docs/test_reference.py fails while a page differs from what this would write.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import typer

import claude_tiu
from claude_tiu import TiuError
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.cli.app import app
from claude_tiu.infrastructure.settings import Database, Settings, sqlite_url
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.projections.projection import Kind, Table
from claude_tiu.projections.tables import PRIVATE_TABLES, READ_TABLES
from tests.docs.markdown import code, page, prose, table
from tests.docs.meanings import SETTINGS, TABLES
from tests.docs.messages_reference import commands_page, events_page
from tests.docs.observability_reference import observability_page
from tests.docs.python_reference import projections_page, python_page, testing_page

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def cli_page() -> str:
    """Return docs/reference/cli.md."""
    return page(
        "Command line",
        "Every verb has `--json`. An error is one line on standard error. The exit status is 0 where `tiu` did what it "
        "says, 1 where it could not, 2 where it was called wrongly, 130 where it was interrupted.",
        "Without `--db` the [settings](settings.md) say which database is meant.",
        *_verbs(typer.main.get_command(app), "tiu"),
    )


def _verbs(command: Any, path: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield _verb(command, path)
    else:
        for name, sub in inner.items():
            yield from _verbs(sub, f"{path} {name}")


def _verb(command: Any, path: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([path, *map(_usage, arguments), "[OPTIONS]"])
    rows = [(code(_usage(p)), _shown_default(p), p.help) for p in arguments]
    rows += [
        (code(" ".join([p.opts[0], *([_value(p)] if not p.is_flag else [])])), _shown_default(p), p.help)
        for p in options
    ]
    return "\n\n".join(
        [
            f"## {path}",
            f"```text\n{usage}\n```",
            prose(command.help),
            table(["argument or option", "default", "meaning"], rows),
        ]
    )


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper()
    return name if argument.required else f"[{name}]"


def _value(option: Any) -> str:
    return str(option.metavar or option.name.upper())


def _shown_default(parameter: Any) -> str:
    if parameter.required:
        return "**required**"
    return "–" if parameter.default in (None, False) else code(str(parameter.default))


KINDS = {
    Kind.UUID: ("UUID", "text"),
    Kind.TEXT: ("VARCHAR or TEXT", "text"),
    Kind.INTEGER: ("INTEGER or BIGINT", "integer"),
    Kind.EXACT: ("NUMERIC", "text"),
    Kind.DOUBLE: ("FLOAT", "real"),
    Kind.FLAG: ("BOOLEAN", "0 or 1"),
    Kind.JSON: ("JSONB", "JSON as text"),
    Kind.TIME: ("TIMESTAMP WITH TIME ZONE", "text, ISO 8601 in UTC with microseconds"),
}


def tables_page() -> str:
    """Return docs/reference/tables.md; keys and null-ness are those of a migrated SQLite file."""
    kinds = table(["holds", "on PostgreSQL", "on SQLite"], [(kind.value, *forms) for kind, forms in KINDS.items()])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.db"
        migrations.up(Database(path, sqlite_url(path)))
        with closing(sqlite3.connect(read_path(path, 1))) as connection:
            reads = [_table(connection, one) for one in READ_TABLES]
            private = [_table(connection, one) for one in PRIVATE_TABLES]
    return page(
        "Read tables",
        "The read tables are made from the events and from nothing else: `tiu projector rebuild` makes them "
        "again. Read them with SQL as you like; never write to them.",
        "On PostgreSQL they stand in the same schema as the events. On SQLite they have a file of their own: beside "
        "`app.db` it is `app.read-1.db`, and each rebuild makes the next; `SELECT generation FROM read_files "
        "WHERE projection = 'read_model'` in `app.db` says which is in use.",
        kinds,
        "The migrations hold their checks and indexes: `infrastructure/postgresql/migrations` and "
        "`infrastructure/sqlite/migrations/read`.",
        *reads,
        "## The projection's own tables",
        "What the projection must remember to go on from where it stands. They are no part of the read side, and may "
        "change. `checkpoints` says up to which position the tables have come.",
        *[text.replace("## ", "### ", 1) for text in private],
    )


def _table(connection: sqlite3.Connection, one: Table) -> str:
    references = {row[3]: f"{row[2]}({row[4]})" for row in connection.execute(f"PRAGMA foreign_key_list({one.name})")}
    unique = {columns[0] for columns in one.unique if len(columns) == 1}
    rows = []
    for column, kind in one.columns.items():
        notes = ["key"] if column == one.key else []
        notes += ["unique"] if column in unique else []
        notes += [f"→ {code(references[column])}"] if column in references else []
        notes += ["may be NULL"] if (one.name.removesuffix("_archive"), column) in NULLABLE else []
        rows.append((code(column), kind.value, ", ".join(notes)))
    pairs = [f"Unique together: {', '.join(map(code, columns))}." for columns in one.unique if len(columns) > 1]
    return "\n\n".join([f"## {one.name}", TABLES[one.name], table(["column", "holds", ""], rows), *pairs])


NULLABLE = {
    ("users", "last_login"),
    ("projects", "description"),
    ("projects", "template_id"),
    ("projects", "completed_at"),
    ("project_files", "content"),
    ("tasks", "description"),
    ("tasks", "ai_prompt"),
    ("tasks", "estimated_duration"),
    ("tasks", "actual_duration"),
    ("tasks", "completed_at"),
    ("validation_issues", "task_id"),
    ("validation_issues", "file_path"),
    ("validation_issues", "line_number"),
    ("validation_issues", "suggested_fix"),
    ("validation_issues", "resolved_at"),
    ("project_files", "content"),
    ("project_files", "content_hash"),
    ("templates", "description"),
    ("templates", "category"),
    ("templates", "workflow_template"),
    ("templates", "created_by"),
    ("workflows", "description"),
    ("workflows", "template"),
    ("workflow_steps", "ai_prompt"),
    ("step_executions", "started_at"),
    ("step_executions", "completed_at"),
    ("agents", "name"),
    ("agent_assignments", "completed_at"),
    ("cleanup_log", "cutoff"),
    ("task_state", "in_progress_since"),
    ("agent_state", "assignment_metadata"),
    ("parked_units", "behind"),
    ("staged_issues", "task_id"),
    ("staged_issues", "file_path"),
    ("staged_issues", "line_number"),
    ("staged_issues", "suggested_fix"),
}
"""What the projection may write NULL to: the specification's columns allow it of more."""


def errors_page() -> str:
    """Return docs/reference/errors.md."""
    rows = []
    for error in _subclasses(TiuError):
        public = error.__name__ if error.__name__ in claude_tiu.__all__ else f"{error.__name__} (internal)"
        parent = error.__bases__[0].__name__
        rows.append((code(error.code), public, parent, prose(error.__doc__)))
    return page(
        "Errors",
        "Every error that claude-tiu raises on purpose is a `TiuError`: `code` names the rule and never changes, "
        "`message` is one line for people, `details` is JSON with the ids and values. `as_json()` returns all three; "
        "it is what `tiu apply` prints.",
        "`Refused` is the base of what the domain's rules refuse: nothing was stored, and the same command will be "
        "refused again until something changes. Personal values (names, emails, password hashes) stand in no error.",
        table(["code", "class", "is a", "meaning"], rows),
    )


def _subclasses(error: type[TiuError]) -> Iterator[type[TiuError]]:
    for sub in error.__subclasses__():
        if sub.__module__.startswith("claude_tiu."):
            yield sub
            yield from _subclasses(sub)


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    schema = Settings.model_json_schema()["properties"]
    rows = [(code(name.upper()), _default_of(schema[name]), _bounds(schema[name]), SETTINGS[name]) for name in schema]
    return page(
        "Settings",
        "Settings are environment variables. A URL that is given (`connect(url)`, `--db URL`) goes before them.",
        table(["variable", "default", "bounds", "meaning"], rows),
        "A setting that cannot be used is refused as `BadSettings`, which names every bad variable and repeats no "
        "value.",
        "URLs: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`, or what libpq takes, "
        "`postgresql://user@host:5432/name`.",
    )


def _default_of(field: dict[str, Any]) -> str:
    return "–" if field.get("default") is None else code(str(field["default"]))


BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}


def _bounds(field: dict[str, Any]) -> str:
    found = [f"{words} {field[name]:g}" for name, words in BOUNDS.items() if name in field]
    return ", ".join(found) or "–"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "events.md": events_page,
    "cli.md": cli_page,
    "tables.md": tables_page,
    "errors.md": errors_page,
    "settings.md": settings_page,
    "observability.md": observability_page,
    "python.md": python_page,
    "projections.md": projections_page,
    "testing.md": testing_page,
}


def write() -> None:
    """Write every page."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    write()
