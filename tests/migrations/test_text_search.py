"""The text search finds projects and files by their words, and follows them as they change."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import psycopg
import pytest

from tests.migrations.samples import uid
from tests.migrations.stores import Store

INDEXED = 65_536
"""How many characters of a file are searched."""
MEBIBYTE = 1 << 20


def test_the_text_search_follows_its_projects(graph: Store) -> None:
    """Words are found by their stem, in the name and the description, and no longer once they are gone."""
    graph.insert("projects", id=uid("p"), name="Payment service", description="reconciles invoices")
    graph.insert("projects", id=uid("q"), name="Importer", description=None)
    assert graph.search("payments") == graph.search("invoice") == {uid("p")}
    assert graph.search("payment invoice") == {uid("p")}
    assert graph.search("importer") == {uid("q")}

    graph.rows("UPDATE projects SET description = ? WHERE id = ?", "ledgers", uid("p"))
    assert graph.search("invoice") == set()
    assert graph.search("payment ledger") == {uid("p")}

    graph.rows("UPDATE projects SET real_progress = 50, name = name WHERE id = ?", uid("p"))
    graph.rows("UPDATE projects SET name = 'Exporter', description = 'a ledger' WHERE id = ?", uid("q"))
    assert graph.search("ledger") == {uid("p"), uid("q")}
    assert graph.search("importer") == set()

    graph.rows("DELETE FROM projects WHERE id = ?", uid("p"))
    assert graph.search("ledger") == {uid("q")}

    graph.rows("DELETE FROM projects")
    graph.insert("projects", id=uid("p"), name="Payment service", description="reconciles invoices")
    assert graph.search("ledger") == set()
    assert graph.search("service") == {uid("p")}


def test_on_sqlite_the_text_index_agrees_with_the_projects_through_a_vacuum_and_a_rebuild(sqlite: Store) -> None:
    sqlite.up()
    sqlite.insert("users")
    for n in range(20):
        sqlite.insert("projects", id=uid(n), name=f"Project number{n}", description=None if n % 2 else "even")
    sqlite.rows("DELETE FROM projects WHERE id IN (?, ?)", uid(0), uid(7))

    sqlite.rows("VACUUM")
    sqlite.rows(
        "INSERT INTO projects (id, user_id, name) VALUES (?, ?, 'Project number8') "
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        uid(8),
        uid("user"),
    )
    sqlite.rows("INSERT INTO idx_projects_search (idx_projects_search, rank) VALUES ('integrity-check', 1)")
    found = [sqlite.search(f"number{n}") for n in range(20)]

    assert found == [set() if n in (0, 7) else {uid(n)} for n in range(20)]
    sqlite.rows("INSERT INTO idx_projects_search (idx_projects_search) VALUES ('rebuild')")
    assert [sqlite.search(f"number{n}") for n in range(20)] == found


def test_the_text_search_follows_its_files(graph: Store) -> None:
    graph.insert("project_files", id=uid("a"), file_path="a", content="computes rates")
    graph.insert("project_files", id=uid("b"), file_path="b", content=None)
    assert graph.search_files("rate") == {uid("a")}

    graph.rows("UPDATE project_files SET content = ? WHERE id = ?", "tests the rates", uid("b"))
    assert graph.search_files("rates") == {uid("a"), uid("b")}
    assert graph.search_files("rate test") == {uid("b")}

    graph.rows("UPDATE project_files SET content = NULL, status = 'deleted' WHERE id = ?", uid("a"))
    assert graph.search_files("rate") == {uid("b")}

    graph.rows("DELETE FROM projects")
    graph.insert("projects")
    graph.insert("project_files", id=uid("b"), file_path="b", content="invoices")
    assert graph.search_files("rate") == set()
    assert graph.search_files("invoice") == {uid("b")}


def test_both_stores_search_the_same_beginning_of_a_file(graph: Store) -> None:
    """Counted in characters, and not in bytes."""
    begins = (" 𝄞" * INDEXED)[: INDEXED - len("rates")]
    graph.insert("project_files", content=f"{begins}rates and invoices")

    assert graph.search_files("rates") == {uid("file")}
    assert graph.search_files("invoices") == set()

    graph.rows("UPDATE project_files SET content = ?", f"invoices {begins}rates")
    assert graph.search_files("invoices") == {uid("file")}
    assert graph.search_files("rates") == set()


def test_on_sqlite_the_text_index_agrees_with_the_files(sqlite: Store) -> None:
    sqlite.up()
    sqlite.insert("users")
    sqlite.insert("projects")
    for n in range(6):
        sqlite.insert("project_files", id=uid(n), file_path=str(n), content=f"word{n} " * n * 5_000 or None)
    sqlite.rows("UPDATE project_files SET content = content || 'more' WHERE id IN (?, ?)", uid(1), uid(5))
    sqlite.rows("DELETE FROM project_files WHERE id = ?", uid(2))

    check = "INSERT INTO idx_project_files_content_search (idx_project_files_content_search, rank) VALUES (?, 1)"
    sqlite.rows(check, "integrity-check")

    assert [n for n in range(6) if sqlite.search_files(f"word{n}")] == [1, 3, 4, 5]


def plain(random: Random, letters: list[str], length: int) -> str:
    return "".join(random.choices(letters, k=length)) + " "


def compound(random: Random, letters: list[str], length: int) -> str:
    return f"{plain(random, letters, length).strip()}-{plain(random, letters, length)}"


def address(random: Random, letters: list[str], length: int) -> str:
    host, path, query = ("".join(random.choices("abcdefgh", k=length)) for _ in range(3))
    return f"{host}.org/{path}?{query}={plain(random, letters, length)}"


@pytest.mark.parametrize("words", [plain, compound, address])
@pytest.mark.parametrize("length", [1, 2, 3, 9, 250])
def test_a_file_of_a_mebibyte_is_stored_whatever_it_says(
    graph: Store, words: Callable[[Random, list[str], int], str], length: int
) -> None:
    """Words that never repeat, of four bytes a letter, and compounds, of which the whole and the parts are indexed."""
    random = Random(length)
    letters = [chr(code) for code in range(0x20000, 0x2A000)]
    text = ""
    while len(text.encode()) < MEBIBYTE:
        text += "".join(words(random, letters, length) for _ in range(1_000))
    text = text.encode()[:MEBIBYTE].decode(errors="ignore")

    graph.insert("project_files", content=text)

    assert graph.rows("SELECT content = ? FROM project_files", text) == [(True,)]


def test_a_whole_mebibyte_is_more_than_postgresql_can_search(postgresql: Store) -> None:
    """Why the index has the beginning alone; what that needs is far from the limit."""
    random = Random(1)
    letters = [chr(code) for code in range(0x20000, 0x2A000)]
    text = "".join(compound(random, letters, 2) for _ in range(44_000))

    ((size,),) = postgresql.rows("SELECT pg_column_size(to_tsvector('english', left(?, ?)))", text, INDEXED)
    assert size < 0.65 * MEBIBYTE
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="too long for tsvector"):
        postgresql.rows("SELECT to_tsvector('english', ?)", text)
