"""The text search finds projects by the words of their names and descriptions, and follows them as they change."""

from __future__ import annotations

from tests.migrations.samples import uid
from tests.migrations.stores import Store


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
