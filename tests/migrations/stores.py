"""Databases to migrate, seen through their own catalogues: statements are written once for both."""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.migrations.samples import PRIVATE, ROWS, uid

MIGRATIONS = Path(__file__).resolve().parents[2] / "infrastructure"
NAMES = (
    "002_users_and_projects",
    "003_tasks",
    "004_validation",
    "005_metrics",
    "006_projections",
    "007_user_sessions",
    "008_project_files",
    "009_workflows",
    "010_agents",
    "011_templates",
    "012_archive",
    "014_parking",
)


class Store(ABC):
    """A database under test; statements are written once, with ? for a parameter."""

    name: str
    folder: Path
    refusals: tuple[type[Exception], ...]

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def script(self, text: str) -> None:
        """Run many statements as one transaction, as the migration runner does."""

    @abstractmethod
    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def many(self, statement: str, params: Sequence[tuple[object, ...]]) -> None: ...

    @abstractmethod
    def columns(self, table: str) -> list[tuple[str, str, bool]]:
        """(name, type, NOT NULL) of every column, in order."""

    @abstractmethod
    def foreign_keys(self, table: str) -> set[tuple[str, str, str]]:
        """(column, referenced table, ON DELETE) of every foreign key."""

    @abstractmethod
    def tables(self) -> set[str]:
        """The names of all tables, but for those that hold a text index."""

    @abstractmethod
    def unique(self, table: str) -> set[tuple[str, ...]]:
        """The columns of the primary key and of every UNIQUE."""

    @abstractmethod
    def indexed(self, table: str) -> set[str]:
        """The columns that come first in an index that has every row."""

    @abstractmethod
    def indexes(self) -> set[str]: ...

    @abstractmethod
    def catalogue(self) -> list[tuple[Any, ...]]:
        """Everything the migrations made, in an order that does not depend on when."""

    @abstractmethod
    def plan(self, query: str, *params: object) -> str: ...

    @abstractmethod
    def search(self, words: str) -> set[str]:
        """The ids of the projects whose name or description has all the words."""

    @abstractmethod
    def search_files(self, words: str) -> set[str]:
        """The ids of the files whose content has all the words."""

    def up(self) -> None:
        for name in NAMES:
            self.script((self.folder / f"{name}.up.sql").read_text())

    def down(self) -> None:
        for name in reversed(NAMES):
            self.script((self.folder / f"{name}.down.sql").read_text())

    def insert(self, table: str, **values: object) -> None:
        row = {**(ROWS | PRIVATE)[table], **values}
        self.rows(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())

    def accepts(self, table: str, **values: object) -> bool:
        """Whether a row goes in; it is taken out again."""
        self.rows("SAVEPOINT one_row")
        try:
            self.insert(table, **values)
        except self.refusals:
            return False
        finally:
            self.rows("ROLLBACK TO one_row")
            self.rows("RELEASE one_row")
        return True


class PostgreSQL(Store):
    name = "postgresql"
    folder = MIGRATIONS / "postgresql" / "migrations"
    refusals = (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.DatatypeMismatch)

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("BEGIN")

    def close(self) -> None:
        self.connection.close()

    def script(self, text: str) -> None:
        self.connection.execute(text.encode())
        self.connection.execute("COMMIT")
        self.connection.execute("BEGIN")

    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement.replace("?", "%s").encode(), params or None)
        return cursor.fetchall() if cursor.description else []

    def many(self, statement: str, params: Sequence[tuple[object, ...]]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s").encode(), params)

    def columns(self, table: str) -> list[tuple[str, str, bool]]:
        return self.rows(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
            "WHERE attrelid = ?::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            table,
        )

    def foreign_keys(self, table: str) -> set[tuple[str, str, str]]:
        definitions = self.rows(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = ?::regclass AND contype = 'f'", table
        )
        pattern = r"FOREIGN KEY \((\w+)\) REFERENCES (\w+)\(id\) ON DELETE (.+)"
        return {(m[1], m[2], m[3]) for (definition,) in definitions if (m := re.fullmatch(pattern, definition))}

    def tables(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def unique(self, table: str) -> set[tuple[str, ...]]:
        found = self.rows(
            "SELECT array_agg(attname::text ORDER BY place) FROM pg_constraint k "
            "CROSS JOIN unnest(conkey) WITH ORDINALITY AS c (number, place) "
            "JOIN pg_attribute ON attrelid = conrelid AND attnum = number "
            "WHERE conrelid = ?::regclass AND contype IN ('p', 'u') GROUP BY k.oid",
            table,
        )
        return {tuple(columns) for (columns,) in found}

    def indexed(self, table: str) -> set[str]:
        found = self.rows(
            "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
            "WHERE indrelid = ?::regclass AND indpred IS NULL",
            table,
        )
        return {column for (column,) in found}

    def indexes(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}

    def catalogue(self) -> list[tuple[Any, ...]]:
        return self.rows(
            """
            SELECT 'column', c.relname::text, a.attnum::text, concat_ws(' ', a.attname,
                   format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            UNION ALL
            SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION ALL
            SELECT 'index', tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT 'trigger', tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid)
            FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL
            SELECT 'function', proname::text, '', pg_get_functiondef(oid)
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            ORDER BY 1, 2, 3
            """
        )

    def plan(self, query: str, *params: object) -> str:
        return "\n".join(line for (line,) in self.rows(f"EXPLAIN {query}", *params))

    def search(self, words: str) -> set[str]:
        found = self.rows(
            "SELECT id::text FROM projects WHERE to_tsvector('english', name || ' ' || COALESCE(description, '')) "
            "@@ plainto_tsquery('english', ?)",
            words,
        )
        return {project for (project,) in found}

    def search_files(self, words: str) -> set[str]:
        found = self.rows(
            "SELECT id::text FROM project_files WHERE to_tsvector('english', left(content, 65536)) "
            "@@ plainto_tsquery('english', ?)",
            words,
        )
        return {file for (file,) in found}


class SQLite(Store):
    name = "sqlite"
    folder = MIGRATIONS / "sqlite" / "migrations" / "read"
    refusals = (sqlite3.IntegrityError,)

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute("PRAGMA synchronous = OFF")

    def close(self) -> None:
        self.connection.close()

    def script(self, text: str) -> None:
        self.connection.executescript(f"BEGIN; {text} COMMIT;")

    def rows(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, params).fetchall()

    def many(self, statement: str, params: Sequence[tuple[object, ...]]) -> None:
        self.connection.execute("SAVEPOINT many")
        self.connection.executemany(statement, params)
        self.connection.execute("RELEASE many")

    def columns(self, table: str) -> list[tuple[str, str, bool]]:
        return self.rows('SELECT name, type, "notnull" = 1 FROM pragma_table_info(?) ORDER BY cid', table)

    def foreign_keys(self, table: str) -> set[tuple[str, str, str]]:
        return set(
            self.rows('SELECT "from", "table", on_delete FROM pragma_foreign_key_list(?) WHERE "to" = \'id\'', table)
        )

    def tables(self) -> set[str]:
        found = self.rows(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'idx\\_%' ESCAPE '\\'"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
        return {name for (name,) in found}

    def unique(self, table: str) -> set[tuple[str, ...]]:
        found = self.rows("SELECT name FROM pragma_index_list(?) WHERE origin IN ('pk', 'u')", table)
        return {
            tuple(column for (column,) in self.rows("SELECT name FROM pragma_index_info(?) ORDER BY seqno", name))
            for (name,) in found
        }

    def indexed(self, table: str) -> set[str]:
        found = self.rows(
            "SELECT i.name FROM pragma_index_list(?) l, pragma_index_info(l.name) i WHERE seqno = 0 AND NOT partial",
            table,
        )
        return {column for (column,) in found}

    def indexes(self) -> set[str]:
        # The text search index is a virtual table here.
        return {name for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'idx\\_%' ESCAPE '\\'")}

    def catalogue(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT type, tbl_name, name, sql FROM sqlite_schema ORDER BY type, tbl_name, name")

    def plan(self, query: str, *params: object) -> str:
        return "\n".join(str(row[3]) for row in self.rows(f"EXPLAIN QUERY PLAN {query}", *params))

    def search(self, words: str) -> set[str]:
        found = self.rows(
            "SELECT i.project_id FROM idx_projects_search s JOIN projects_search_ids i ON i.docid = s.rowid "
            "WHERE idx_projects_search MATCH ?",
            words,
        )
        return {project for (project,) in found}

    def search_files(self, words: str) -> set[str]:
        found = self.rows(
            "SELECT i.file_id FROM idx_project_files_content_search s "
            "JOIN project_files_search_ids i ON i.docid = s.rowid WHERE idx_project_files_content_search MATCH ?",
            words,
        )
        return {file for (file,) in found}


def add_tasks(store: Store, *names: object) -> None:
    for position, name in enumerate(names, start=100):
        store.insert("tasks", id=uid(name), name=str(name), added_position=position)


def depend(store: Store, task: object, on: object, kind: str = "blocks") -> None:
    store.insert(
        "task_dependencies",
        id=uid(f"{task} on {on}"),
        task_id=uid(task),
        depends_on_task_id=uid(on),
        dependency_type=kind,
    )


def fill(store: Store) -> None:
    """Insert the good row of every table that there is and that has none yet."""
    there = store.tables()
    for table in (name for name in ROWS if name in there):
        if table.startswith("task_dependencies"):
            store.insert(table.replace("task_dependencies", "tasks"), id=uid("other task"))
        if not store.rows(f"SELECT 1 FROM {table}"):
            store.insert(table)
