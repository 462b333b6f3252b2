"""Searching files and projects: words find what holds them, on either store, and nothing in them is an operator."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from claude_tiu import CreateFile, CreateProject, DeleteFile, InvalidQuery, ModifyFile, Tiu, connect
from claude_tiu.infrastructure.postgresql import read_store as on_postgresql
from claude_tiu.infrastructure.sql import for_psycopg
from claude_tiu.infrastructure.sqlite import read_store as on_sqlite
from claude_tiu.infrastructure.words import match_expression
from tests.support.history import START, USER, create_user, uid
from tests.support.stores import Backend, PostgreSQLBackend

PROJECT, OTHER = uid("project"), uid("other project")
OTHER_USER = uid("other user")
MIB = 1 << 20

HOSTILE = [
    '"',
    '""',
    '"parser',
    'parser"',
    'parser" OR "x',
    "'",
    "''parser''",
    "%parser%",
    "parser*",
    "*",
    "^parser",
    "content:parser",
    "content : parser",
    "{content} : parser",
    "- parser",
    "-parser",
    "!parser",
    "parser & !parser",
    "parser | zebra",
    "parser <-> invoices",
    "parser:*",
    "NEAR(parser invoices, 1)",
    "parser AND NOT invoices",
    "parser OR zebra",
    "(parser",
    "parser)",
    ":text $1 ? %s %(text)s {0} \\",
    "'; DROP TABLE project_files; --",
    "🙂",
    "parser 🙂",
    "the",
    "the and of",
    "",
    " \n\t",
    "\u202e\u200b",
    "x" * 1_000,
    "a1 " * 333,
    " ".join(f"{number}" for number in range(200)),
]


@pytest.fixture
def tiu(backend: Backend) -> Iterator[Tiu]:
    with closing(connect(backend.url, project=False)) as connected:
        connected.execute_all(
            [
                create_user(user_id=USER),
                create_user("bob", user_id=OTHER_USER),
                CreateProject(
                    project_id=PROJECT,
                    user_id=USER,
                    name="Payment service",
                    description="reconciles the invoices",
                    occurred_at=START,
                ),
                CreateProject(
                    project_id=OTHER,
                    user_id=OTHER_USER,
                    name="Importer of payments",
                    occurred_at=START + timedelta(days=1),
                ),
            ]
        )
        yield connected


def create(path: str, content: str | None, *, day: int = 0, project_id: UUID = PROJECT, **more: Any) -> CreateFile:
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day)
    return CreateFile(project_id=project_id, file_path=path, content=content, occurred_at=at, **more)


@pytest.fixture
def search(tiu: Tiu) -> Callable[..., list[str]]:
    """Return the paths of the files that are found, when all that was stored is projected."""

    def found(text: str, **options: Any) -> list[str]:
        tiu.projector.catch_up()
        return [row.file_path for row in tiu.read.search_files(text, **options)]

    return found


class TestFiles:
    def test_every_word_must_be_there_by_its_stem_in_any_order(
        self, tiu: Tiu, search: Callable[..., list[str]]
    ) -> None:
        tiu.execute(create("a", "The parser\nparses running invoices"))
        tiu.execute(create("b", "An INVOICE of the month", day=1))
        assert search("invoices") == search("INVOICE") == ["b", "a"]
        assert search("invoice run") == search("run, invoice!") == search("the invoice which runs") == ["a"]
        assert search("invoice zebra") == []

    def test_what_changed_last_comes_first_up_to_a_limit(self, tiu: Tiu, search: Callable[..., list[str]]) -> None:
        for day, path in enumerate(["a", "b", "c"]):
            tiu.execute(create(path, "parser", day=day))
        later = START + timedelta(days=30)
        tiu.execute(ModifyFile(project_id=PROJECT, file_path="a", content="parser", occurred_at=later))
        assert search("parser") == ["a", "c", "b"]
        assert search("parser", limit=2) == ["a", "c"]

    def test_only_a_projects_own_where_it_is_named(self, tiu: Tiu, search: Callable[..., list[str]]) -> None:
        tiu.execute_all([create("a", "parser"), create("b", "parser", day=1, project_id=OTHER)])
        assert search("parser", project_id=PROJECT) == ["a"]
        assert search("parser", project_id=OTHER) == ["b"]
        assert search("parser", project_id=uid("nothing")) == []

    def test_what_is_modified_or_deleted_or_only_a_hash_is_not_found_by_what_it_was(
        self, tiu: Tiu, search: Callable[..., list[str]]
    ) -> None:
        tiu.execute_all([create("a", "parser"), create("b", "parser"), create("c", "parser")])
        assert len(search("parser")) == 3
        tiu.execute(ModifyFile(project_id=PROJECT, file_path="a", content="printer"))
        tiu.execute(DeleteFile(project_id=PROJECT, file_path="b"))
        tiu.execute(ModifyFile(project_id=PROJECT, file_path="c", content_hash="0" * 64, size_bytes=3 << 20))
        assert search("parser") == []
        assert search("printer") == ["a"]
        tiu.execute(create("b", "parser again"))
        assert search("parser") == ["b"]

    def test_a_row_says_what_the_file_is(self, tiu: Tiu, search: Callable[..., list[str]]) -> None:
        answer = tiu.execute(create("src/päth", "parser", metadata={"a": [1]}))
        assert search("parser") == ["src/päth"]
        (row,) = tiu.read.search_files("parser")
        assert (row.id, row.project_id, row.status, row.size_bytes) == (answer.id, PROJECT, "created", 6)
        assert (row.validation_score, row.metadata, row.created_at.utcoffset()) == (0.0, {"a": [1]}, timedelta())


class TestAnyTextIsJustWords:
    @pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:40])
    def test_it_is_answered(self, tiu: Tiu, search: Callable[..., list[str]], text: str) -> None:
        """Operators would let 'zebra' be missing, or forbid the parser; words do neither."""
        tiu.execute_all([create("a", "parser and invoices"), create("b", "quite 🙂 another", day=1)])
        expected = [["a"]] if text.count("parser") and not set(match_expression(text).lower().split()) - WORDS else [[]]
        assert [search(text)] == expected
        tiu.read.search_projects(text)

    @pytest.mark.parametrize("text", ["a\0b", "\0", "\ud800", "x" * 1_001], ids=lambda text: ascii(text)[:20])
    def test_what_no_database_could_hold_or_is_too_long_is_refused(self, tiu: Tiu, text: str) -> None:
        for ask in (tiu.read.search_files, tiu.read.search_projects):
            with pytest.raises(InvalidQuery):
                ask(text)


WORDS = {'"parser"', '"invoices"'}
"""What of a hostile text the first file holds."""


class TestProjects:
    def found(self, tiu: Tiu, text: str, **options: Any) -> list[UUID]:
        tiu.projector.catch_up()
        return [row.id for row in tiu.read.search_projects(text, **options)]

    def test_are_found_by_their_names_and_descriptions(self, tiu: Tiu) -> None:
        assert self.found(tiu, "payments") == [OTHER, PROJECT]
        assert self.found(tiu, "payments", limit=1) == [OTHER]
        assert self.found(tiu, "service of invoices") == [PROJECT]
        assert self.found(tiu, "payment", user_id=USER) == [PROJECT]
        assert self.found(tiu, "payment", user_id=uid("nobody")) == []
        assert self.found(tiu, "zebra") == []


def random_words() -> str:
    draw = random.Random(7)
    return " ".join(f"{draw.randrange(36**6):06x}" for _ in range(200_000))[:MIB]


LARGE: dict[str, str] = {
    "words": random_words(),
    "one word": "x" * MIB,
    "one word of two bytes": "é" * (MIB // 2),
    "letters": " ".join("abcdefghijklmnopqrstuvwxyz0123456789"[n % 36] for n in range(MIB // 2)),
    "compounds": "-".join(f"{n:x}" for n in range(300_000))[:MIB],
    "distinct characters": " ".join(map(chr, range(0x4E00, 0x9FFF))) + " " + "🙂" * 1_000,
    "paths and hosts": "".join(f"/a{n}.b{n}.c/" for n in range(100_000))[:MIB],
    "emails": " ".join(f"a{n}@b{n}.org" for n in range(100_000))[:MIB],
    "quotes": "'\"\\%" * (MIB // 4),
}
"""What would not fit into one tsvector, most of it: its limit is 1 MiB of different words."""


@pytest.mark.parametrize("kind", LARGE)
def test_a_file_of_a_mebibyte_is_stored_whole_and_searched_from_its_beginning(
    tiu: Tiu, search: Callable[..., list[str]], backend: Backend, kind: str
) -> None:
    text = ("parser " + LARGE[kind]).encode()[:MIB].decode(errors="ignore")
    tiu.execute(create("large", text))
    assert search("parser") == ["large"]
    assert backend.on_reads("SELECT content FROM project_files") == [(text,)]
    tiu.execute(ModifyFile(project_id=PROJECT, file_path="large", content="printer"))
    assert search("parser") == []
    assert search("printer") == ["large"]


class TestPlans:
    """Each search asks the specification's index, and not every row."""

    INDEXES = (("projects", "idx_projects_search"), ("files", "idx_project_files_content_search"))

    def test_on_sqlite(self, sqlite: Backend) -> None:
        for name, index in self.INDEXES:
            statement = on_sqlite.SEARCH[name].replace(":text", "'parser'").replace(":limit", "20")
            for parameter in (":user_id", ":project_id"):
                statement = statement.replace(parameter, "NULL")
            plan = [str(row[3]) for row in sqlite.on_reads(f"EXPLAIN QUERY PLAN {statement}")]
            assert plan[0].startswith("SCAN s VIRTUAL TABLE INDEX"), plan
            assert not [step for step in plan[1:] if step.startswith("SCAN")], plan
            assert index in statement

    def test_on_postgresql(self, postgresql: PostgreSQLBackend) -> None:
        fill(postgresql)
        with psycopg.connect(postgresql.url) as connection:
            connection.execute("SET plan_cache_mode = force_generic_plan")
            for name, index in self.INDEXES:
                statement = for_psycopg(on_postgresql.SEARCH[name])
                values = {"text": "parser", "user_id": None, "project_id": None, "limit": 20}
                rows = connection.execute(f"EXPLAIN {statement}".encode(), values).fetchall()
                assert index in "\n".join(line for (line,) in rows)


def fill(postgresql: PostgreSQLBackend) -> None:
    """Many projects and files, of which few hold the word that is looked for."""
    postgresql.on_reads("INSERT INTO users (username, email, password_hash) VALUES ('ada', 'a@x', '!')")
    postgresql.on_reads(
        "INSERT INTO projects (user_id, name) SELECT u.id, CASE n % 1000 WHEN 0 THEN 'parser' ELSE 'word' || n END"
        " FROM users u, generate_series(1, 3000) n"
    )
    postgresql.on_reads("INSERT INTO project_files (project_id, file_path, content) SELECT id, 'a', name FROM projects")
    postgresql.on_reads("ANALYZE projects, project_files")
