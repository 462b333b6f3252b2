"""What is promised to stay: `python -m tests.promises` adds what is new to its golden file, and drops nothing."""

from __future__ import annotations

import inspect
import json
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import typer

import claude_tiu
from claude_tiu import TiuError, projections, testing
from claude_tiu.domain.registry import COMMANDS, EVENTS
from claude_tiu.infrastructure import migrations
from claude_tiu.infrastructure.cli.app import app
from claude_tiu.infrastructure.settings import Settings, sqlite_url
from claude_tiu.infrastructure.sqlite.generations import read_path
from claude_tiu.projections.tables import READ_TABLES
from tests.docs.python_reference import ALIASES, REACHED, fields_of, signature_of

PROMISES = Path(__file__).parent / "golden" / "promises.json"

Promises = dict[str, dict[str, Any]]


def present() -> Promises:
    """Return what is there: by kind, a name and what it is."""
    return {
        "python": dict(_described({name: getattr(claude_tiu, name) for name in claude_tiu.__all__} | REACHED)),
        "projections": dict(_described({name: getattr(projections, name) for name in projections.__all__})),
        "testing": dict(_described({name: getattr(testing, name) for name in testing.__all__})),
        "commands": {name: _schema(model.model_json_schema()) for name, model in COMMANDS.items()},
        "events": {topic: _schema(model.model_json_schema()) for topic, model in EVENTS.items()},
        "errors": {error.code: error.__name__ for error in _errors(TiuError)},
        "settings": {name.upper(): str(field.annotation) for name, field in Settings.model_fields.items()},
        "tables": dict(_tables()),
        "verbs": dict(_verbs(typer.main.get_command(app), "tiu")),
    }


def _described(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(values.items()):
        if inspect.isfunction(value):
            yield name, signature_of(value)
        elif inspect.isclass(value) and issubclass(value, claude_tiu.Command | claude_tiu.Event | TiuError):
            yield name, "class"
        elif not inspect.isclass(value):
            yield name, "type" if name in ALIASES else type(value).__name__
        else:
            yield name, fields_of(value) | dict(_methods(value))


def _methods(kind: type) -> Iterator[tuple[str, str]]:
    for name, value in sorted(vars(kind).items()):
        if not name.startswith("_") and (callable(value) or isinstance(value, classmethod | property)):
            called = value.fget if isinstance(value, property) else getattr(kind, name)
            yield name, signature_of(called)


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    return {name: "required" if name in required else "optional" for name in sorted(schema.get("properties", {}))}


def _errors(kind: type[TiuError]) -> Iterator[type[TiuError]]:
    for error in kind.__subclasses__():
        if error.__module__.startswith("claude_tiu."):
            yield error
            yield from _errors(error)


def _tables() -> Iterator[tuple[str, dict[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "promised.db")
        migrations.migrate_up(sqlite_url(path))
        with closing(sqlite3.connect(read_path(path, 1))) as connection:
            for table in sorted(READ_TABLES, key=lambda table: table.name):
                columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", [table.name])
                yield table.name, dict(columns.fetchall())


def _verbs(command: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, sorted(p.opts[0] for p in command.params)
    else:
        for name, sub in inner.items():
            yield from _verbs(sub, f"{path} {name}")


def broken(promised: Any, there: Any, path: str = "") -> list[str]:
    """Return what was promised and is not there, or is otherwise."""
    if isinstance(promised, dict) and isinstance(there, dict):
        gone = [f"{path}{name}: gone" for name in promised if name not in there]
        kept = [name for name in promised if name in there]
        return gone + [one for name in kept for one in broken(promised[name], there[name], f"{path}{name}: ")]
    if isinstance(promised, list) and isinstance(there, list):
        return [f"{path}{name}: gone" for name in promised if name not in there]
    return [] if promised == there else [f"{path}{promised!r} is now {there!r}"]


def with_what_is_new(promised: Any, there: Any) -> Any:
    """Return what was promised, and beside it what is there and was not."""
    if isinstance(promised, dict) and isinstance(there, dict):
        return there | {name: with_what_is_new(value, there.get(name, value)) for name, value in promised.items()}
    if isinstance(promised, list) and isinstance(there, list):
        return sorted({*promised, *there})
    return promised


def read() -> Any:
    return json.loads(PROMISES.read_text(encoding="utf-8")) if PROMISES.exists() else {}


def write() -> None:
    text = json.dumps(with_what_is_new(read(), present()), indent=1, sort_keys=True, ensure_ascii=False)
    PROMISES.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
