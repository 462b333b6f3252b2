"""Files, told at random: the rows are what the rules say, a rebuild gives the same, and both stores hold the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_tiu import CreateProject, CreateUser
from claude_tiu.testing.model.commands import NASTY, PROJECTS, START, USERS, free_json, near_times, percentages
from claude_tiu.testing.model.door import micro_percents, normal_json
from claude_tiu.testing.model.machine import ask_store, batch_sizes
from claude_tiu.testing.model.model import Asked
from tests.model.stores import PostgreSQL, SQLite, Store, exactly

HASH = "$2b$12$" + "./ABCxyz0" * 5 + "./ABCxyz"
PRESENT = ("created", "modified", "validated", "failed_validation")
PATHS = ["src/a.py", "./src/a.py", "dependency_graph", "1", "é\n🙂"]
CONTENTS = ["", *NASTY, "parser " * 1_000]
MEASURES = st.fixed_dictionaries({"content_hash": st.just("AB" * 32), "size_bytes": st.sampled_from([0, 2**31 - 1])})

metadata = st.dictionaries(st.sampled_from(NASTY), free_json, max_size=2)
contents = st.sampled_from(CONTENTS).map(lambda text: {"content": text}) | MEASURES
places = st.fixed_dictionaries({"project_id": st.sampled_from(PROJECTS[:2]), "file_path": st.sampled_from(PATHS)})


@st.composite
def commands(draw: st.DrawFn) -> Asked:
    """A command to one of few files; now and then one that closes or opens a project."""
    names = ["CreateFile", "CreateFile", "ModifyFile", "ValidateFile", "FailFileValidation", "DeleteFile"]
    name = draw(st.sampled_from([*names * 3, "CompleteProject", "ReactivateProject"]))
    fields = {**draw(places), "occurred_at": draw(near_times)}
    if name in ("CompleteProject", "ReactivateProject"):
        return Asked(name, {"project_id": fields["project_id"], "occurred_at": fields["occurred_at"]})
    if name in ("CreateFile", "ModifyFile"):
        fields |= draw(contents) | draw(st.just({}) | st.fixed_dictionaries({"metadata": metadata}))
    if name == "ValidateFile" or (name == "FailFileValidation" and draw(st.booleans())):
        fields["validation_score"] = draw(percentages)
    return Asked(name, fields)


@dataclass
class Model:
    """The rows of project_files, as the rules say; and which projects are active."""

    rows: dict[tuple[UUID, str], dict[str, Any]] = field(default_factory=dict)
    active: set[UUID] = field(default_factory=lambda: set(PROJECTS[:2]))

    def execute(self, asked: Asked) -> bool:
        """Make what a command asks for; return whether it was allowed."""
        name, said, project = asked.name, asked.fields, asked.fields["project_id"]
        if name in ("CompleteProject", "ReactivateProject"):
            allowed = (project in self.active) == (name == "CompleteProject")
            self.active ^= {project} if allowed else set()
            return allowed
        key = project, said["file_path"]
        status = self.rows.get(key, {}).get("status", "deleted")
        creatable = project in self.active and status == "deleted"
        allowed = creatable if name == "CreateFile" else status in PRESENT
        if allowed:
            self.change(name, key, said)
        return allowed

    def change(self, name: str, key: tuple[UUID, str], said: Any) -> None:
        at = said["occurred_at"].astimezone(UTC)
        row = self.rows.setdefault(key, {"project_id": key[0], "file_path": key[1], "created_at": at})
        row["updated_at"] = at
        match name:
            case "CreateFile" | "ModifyFile":
                row |= {**measured(said), "status": "created" if name == "CreateFile" else "modified"}
                row["validation_score"] = 0.0
                if name == "CreateFile" or "metadata" in said:
                    row["metadata"] = normal_json(said.get("metadata", {}))
            case "ValidateFile" | "FailFileValidation":
                row["status"] = "validated" if name == "ValidateFile" else "failed_validation"
                row["validation_score"] = micro_percents(said.get("validation_score", 0)) / 10**6
            case "DeleteFile":
                row |= {"status": "deleted", "content": None}


def measured(said: Any) -> dict[str, Any]:
    if "content" not in said:
        return {"content": None, "content_hash": said["content_hash"].lower(), "size_bytes": said["size_bytes"]}
    data = said["content"].encode()
    return {"content": said["content"], "content_hash": sha256(data).hexdigest(), "size_bytes": len(data)}


def begin(store: Store) -> None:
    """A user with two active projects."""
    user = CreateUser(user_id=USERS[0], username="ana", email="ana@x.org", password_hash=HASH, occurred_at=START)
    owned = [CreateProject(project_id=id_, user_id=USERS[0], name="x", occurred_at=START) for id_ in PROJECTS[:2]]
    store.tiu.execute_all([user, *owned])


def files_of(store: Store) -> dict[tuple[UUID, str], dict[str, Any]]:
    """The table's rows by project and path; the id of each is that of its stream."""
    rows = {(row["project_id"], row["file_path"]): row for row in store.rows("project_files")}
    ids = {key: row.pop("id") for key, row in rows.items()}
    assert all(ids[key] == uuid5(*key) for key in ids if key[1] != "dependency_graph")
    assert all(store.tiu.get(ids[key]).status == row["status"] for key, row in rows.items())
    return rows


def by_key(rows: dict[tuple[UUID, str], dict[str, Any]]) -> dict[str, str]:
    return {str(key): exactly(row) for key, row in rows.items()}


def tell(store: Store, history: Sequence[Asked]) -> Model:
    model = Model()
    for asked in history:
        answer = ask_store(store, [asked])
        assert isinstance(answer, list) == model.execute(asked), f"{asked}: {answer}"
    return model


@given(
    history=st.lists(commands(), min_size=1, max_size=40),
    sizes=st.lists(batch_sizes, min_size=3, max_size=3),
)
def test_the_rows_are_what_the_rules_say_and_a_rebuild_is_the_same(history: list[Asked], sizes: list[int]) -> None:
    with closing(SQLite()) as store:
        begin(store)
        model = tell(store, history)
        store.projector(sizes[0]).catch_up()
        assert by_key(files_of(store)) == by_key(model.rows)
        live = store.dump()
        for size in sizes[1:]:
            store.tiu.projector.reset()
            store.projector(size).catch_up()
            assert exactly(store.dump()) == exactly(live), f"rebuilt in batches of {size}"
        store.check_hash_chain()


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_both_stores_hold_the_same(pg_server: str, pg_template: str, seed: int) -> None:
    history = seeded(random.Random(seed), 150)
    with closing(SQLite()) as one, closing(PostgreSQL(pg_server, pg_template)) as other:
        for store in (one, other):
            begin(store)
            model = tell(store, history)
            store.tiu.projector.catch_up()
            assert by_key(files_of(store)) == by_key(model.rows)
        assert exactly(one.rows("project_files")) == exactly(other.rows("project_files"))


def seeded(draw: random.Random, count: int) -> list[Asked]:
    """A history without Hypothesis: longer, with larger contents."""
    history = []
    for number in range(count):
        place = {"project_id": draw.choice(PROJECTS[:2]), "file_path": draw.choice(PATHS)}
        at = {"occurred_at": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=number)}
        text = " ".join(draw.choice(NASTY[:-2]) for _ in range(draw.randrange(2_000)))
        asked: dict[str, dict[str, Any]] = {
            "CreateFile": {"content": text, "metadata": {"n": number / 4}},
            "ModifyFile": draw.choice([{"content": text}, {"content_hash": "0" * 64, "size_bytes": number}]),
            "ValidateFile": {"validation_score": draw.uniform(0, 100)},
            "FailFileValidation": {},
            "DeleteFile": {},
        }
        name = draw.choice(list(asked))
        history.append(Asked(name, {**place, **at, **asked[name]}))
    return history
