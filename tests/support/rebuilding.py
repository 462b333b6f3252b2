"""Rebuilds of a backend's tables, in this process and in another; and what there is to compare before and after."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from claude_tiu.infrastructure.rebuild import Rebuild, RebuildProgress, RebuildReport, Shadow
from claude_tiu.infrastructure.settings import Settings, database
from claude_tiu.infrastructure.shadows import shadow_of
from claude_tiu.infrastructure.tiu import open_stores
from claude_tiu.projections.read_model import READ_MODEL
from tests.support.stores import Backend, PostgreSQLBackend, SQLiteBackend, place_of

ROOT = Path(__file__).parents[2]
TABLES = [table.name for table in READ_MODEL.tables]
CASTS = re.compile(r"::(character varying|text)(\[\])?|[()]| ")


class Stopped(Exception):
    """What ends a rebuild from outside."""


def shadow(backend: Backend) -> Shadow:
    return shadow_of(database(backend.url, Settings()), READ_MODEL, Settings())


def rebuild(
    backend: Backend,
    *,
    accept: bool = False,
    tell: Callable[[RebuildProgress], None] | None = None,
    batch_size: int = 1_000,
) -> RebuildReport:
    """Rebuild the tables as another process would."""
    where, settings = database(backend.url, Settings()), Settings()
    events, reads = open_stores(where, settings)
    with closing(events), closing(reads), closing(shadow(backend)) as beside:
        return Rebuild(events, reads, beside, READ_MODEL, tell=tell, batch_size=batch_size).run(accept=accept)


def stops_at(number: int) -> Callable[[RebuildProgress], None]:
    """What ends a rebuild the `number`th time that it tells how far it is."""
    told = 0

    def tell(_: RebuildProgress) -> None:
        nonlocal told
        told += 1
        if told == number:
            raise Stopped

    return tell


def is_left(backend: Backend) -> bool:
    """Whether a rebuild has left tables beside the live ones."""
    with closing(shadow(backend)) as beside:
        return beside.abandoned()


def traces(backend: Backend) -> list[str]:
    """What there is beside the live tables: files, or schemas."""
    if isinstance(backend, SQLiteBackend):
        ours = {backend.path.name, backend.read_path.name}
        names = [path.name for path in backend.path.parent.iterdir() if path.is_file()]
        return sorted(name for name in names if name.removesuffix("-wal").removesuffix("-shm") not in ours)
    found = backend.on_events("SELECT nspname FROM pg_namespace WHERE nspname ~ '_rebuild$'")
    return [name for (name,) in found]


def catalogue(backend: Backend) -> set[tuple[Any, ...]]:
    """What the tables are: columns, constraints, indexes, triggers, comments, owners and rights.

    How PostgreSQL writes the casts in an index's expression may change when it is made of its own text.
    """
    if isinstance(backend, SQLiteBackend):
        return set(backend.on_reads("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    rows = backend.on_events(CATALOGUE, TABLES)
    return {(kind, table, name, CASTS.sub("", told) if kind == "index" else told) for kind, table, name, told in rows}


CATALOGUE = """
WITH t AS (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname = ANY (?)
), o AS (
    SELECT relname, oid FROM t
    UNION SELECT relname, indexrelid FROM t JOIN pg_index ON indrelid = t.oid
    UNION SELECT relname, k.oid FROM t JOIN pg_constraint k ON conrelid = t.oid
    UNION SELECT relname, g.oid FROM t JOIN pg_trigger g ON tgrelid = t.oid
)
SELECT 'column', relname, attname, concat_ws(
        ' ', row_number() OVER (PARTITION BY t.relname ORDER BY attnum), format_type(atttypid, atttypmod), attnotnull,
        attstorage, attcollation, attstattarget, attoptions, attacl, pg_get_expr(adbin, adrelid))
FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = attnum
UNION ALL SELECT 'constraint', relname, conname, concat_ws(' ', contype, convalidated, pg_get_constraintdef(k.oid))
FROM t JOIN pg_constraint k ON conrelid = t.oid
UNION ALL SELECT 'index', relname, indexrelid::regclass::text, concat_ws(
        ' ', pg_get_indexdef(indexrelid), indisvalid, indisready, indisreplident)
FROM t JOIN pg_index i ON indrelid = t.oid
UNION ALL SELECT 'trigger', relname, tgname, concat_ws(' ', tgenabled, pg_get_triggerdef(g.oid))
FROM t JOIN pg_trigger g ON tgrelid = t.oid AND NOT tgisinternal
UNION ALL SELECT 'table', relname, relowner::regrole::text, concat_ws(
        ' ', relkind, relpersistence, relreplident, reloptions, reltablespace, relrowsecurity,
        (SELECT array_agg(a ORDER BY a::text) FROM unnest(relacl) a))
FROM t
UNION ALL SELECT 'comment', relname, pg_describe_object(classoid, objoid, objsubid), description
FROM o JOIN pg_description d ON objoid = o.oid
"""


def rebuild_half(name: str, place: str) -> None:
    """Rebuild in tiny steps, in this process; when half is loaded, print up to where, and stand still."""

    def tell(progress: RebuildProgress) -> None:
        if progress.done * 2 > progress.total:
            print(progress.done, flush=True)  # noqa: T201 - it is read by whoever kills this process
            signal.pause()

    backend: Backend = SQLiteBackend(Path(place)) if name == "sqlite" else PostgreSQLBackend(place)
    rebuild(backend, tell=tell, batch_size=7)


def killed_half_way(backend: Backend) -> int:
    """Kill a process that rebuilds (SIGKILL), and return up to which position it had loaded."""
    program = "import sys; from tests.support.rebuilding import rebuild_half; rebuild_half(*sys.argv[1:])"
    command = [sys.executable, "-c", program, backend.name, place_of(backend)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        position = int(process.stdout.readline())
        process.kill()
    return position
