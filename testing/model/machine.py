"""The machine: commands go to a store and to the model, and after each the two must say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ...domain.errors import InvalidCommand, Refused
from ...domain.registry import COMMANDS, command_json, parse_command
from ...infrastructure.settings import sqlite_url
from ...infrastructure.tiu import Tiu, connect
from ..exact import exactly
from . import commands
from .model import TASK_MOVES, Asked, Refusal, execute
from .store import OpenStore, Store
from .world import Answer, World

Outcome = list[Answer] | frozenset[str]
"""The answers of a unit; or the codes of the rules that may be named for its refusal."""

turns = st.integers(0, 35)
batch_sizes = st.sampled_from([1, 2, 3, 5, 8, 1_000])


def ask_store(store: Store, unit: Sequence[Asked]) -> list[Answer] | str:
    """Give a unit to a store: its answers, or the code of its refusal."""
    try:
        built = [COMMANDS[asked.name](**asked.fields) for asked in unit]
        return [Answer(*answer) for answer in store.tiu.execute_all(built)]
    except (InvalidCommand, Refused) as refusal:
        return refusal.code


def ask_model(world: World, unit: Sequence[Asked]) -> tuple[World, Outcome]:
    """Give a unit to the model: the next world and the answers, or the same world and the codes of the refusal."""
    try:
        return execute(world, unit)
    except Refusal as refusal:
        return world, refusal.codes


def assert_same_tables(store: Store, world: World) -> None:
    """Every row of every read table is as the model has it, value by value, doubles exactly."""
    expected, found = world.tables(), store.tables()
    for table, rows in expected.items():
        difference = [
            (mine, theirs)
            for mine, theirs in zip(map(exactly, rows), map(exactly, found[table]), strict=False)
            if mine != theirs
        ]
        assert not difference, f"{store.name}, {table}: expected, then found:\n" + "\n".join(difference[0])
        assert len(rows) == len(found[table]), f"{store.name}, {table}: {len(rows)} rows expected"
    staged = {str(issue["id"]) for issue in store.raw("staged_issues")}
    assert staged == world.staged(), f"{store.name}: issues are staged while their run is open, and no longer"


def fitted(world: World, asked: Asked, turn: int) -> tuple[World, Asked]:
    """The command, with other ids where the model would refuse it with its own, so that histories get somewhere; and
    the world after it."""
    after, outcome = ask_model(world, [asked])
    if isinstance(outcome, list):
        return after, asked
    named = [name for name in commands.IDS if name in asked.fields]
    said = {name: value for name, value in asked.fields.items() if name not in ("expected_version", "command_id")}
    choices = list(product(*(commands.IDS[name] for name in named)))
    for ids in choices[turn % len(choices) :] + choices[: turn % len(choices)]:
        other = Asked(asked.name, {**said, **dict(zip(named, ids, strict=True))})
        after, outcome = ask_model(world, [other])
        if isinstance(outcome, list):
            return after, other
    return world, asked


class Machine(RuleBasedStateMachine):
    """`new_store` is what it runs on."""

    new_store: Callable[[], Store]

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).new_store()
        self.world = World()
        self.past: list[Asked] = []
        self.agreed = True

    def give(self, *unit: Asked) -> None:
        """Execute a unit on both, and compare all that can be seen of it."""
        self.agreed = False
        self.world, expected = ask_model(self.world, unit)
        answer = ask_store(self.store, unit)
        note(f"-> {answer}")
        if isinstance(expected, list):
            assert answer == expected
            self.past += [asked for asked in unit if asked.fields.get("command_id")]
        else:
            refused = isinstance(answer, str) and answer in expected
            assert refused, f"{unit}: {answer}, where the rules say {sorted(expected)}"
        self.store.tiu.projector.catch_up()
        assert_same_tables(self.store, self.world)
        self.agreed = True

    def fitting(self, asked: Asked, turn: int) -> Asked:
        return fitted(self.world, asked, turn)[1]

    @initialize(
        user=commands.command("CreateUser"),
        projects=st.lists(commands.command("CreateProject"), min_size=1, max_size=2),
        tasks=st.lists(commands.command("AddTask"), min_size=1, max_size=4),
    )
    def begin(self, user: Asked, projects: list[Asked], tasks: list[Asked]) -> None:
        for turn, asked in enumerate([user, *projects, *tasks]):
            self.give(self.fitting(asked, turn))

    @rule(command=commands.one_of(*commands.OF_TASKS), turn=turns)
    def work_on_a_task(self, command: Asked, turn: int) -> None:
        self.give(self.fitting(command, turn))

    @rule(command=commands.one_of(*commands.OF_DEPENDENCIES), turn=turns)
    def order_tasks(self, command: Asked, turn: int) -> None:
        self.give(self.fitting(command, turn))

    @rule(
        add=commands.command("AddDependency"),
        moves=st.lists(st.tuples(commands.command("StartTask"), turns), min_size=1, max_size=6),
        turn=turns,
    )
    def work_on_what_waits(self, add: Asked, moves: list[tuple[Asked, int]], turn: int) -> None:
        """Of two tasks of which one waits for the other, each goes where its own status lets it, if the other does."""
        add = self.fitting(add, turn)
        self.give(add)
        for asked, move in moves:
            task_id = add.fields["task_id" if move % 3 else "depends_on_task_id"]
            task = self.world.tasks.get(task_id)
            ways = [name for name, (before, _) in TASK_MOVES.items() if task is None or task.status in before]
            self.give(Asked(ways[move % len(ways)], {**asked.fields, "task_id": task_id}))
        around = {"task_id": add.fields["depends_on_task_id"], "depends_on_task_id": add.fields["task_id"]}
        self.give(Asked(add.name, {**add.fields, **around}))

    @precondition(lambda self: self.world.dependencies)
    @rule(add=commands.command("AddDependency"), which=turns, far=turns)
    def close_a_cycle(self, add: Asked, which: int, far: int) -> None:
        """What a task waits for, however far, may not wait for the task."""
        task = sorted(self.world.dependencies)[which % len(self.world.dependencies)][0]
        needed = sorted(self.world.needed_by(task))
        pair = {"task_id": needed[far % len(needed)], "depends_on_task_id": task}
        self.give(Asked(add.name, {**add.fields, **pair}))

    @rule(command=commands.one_of(*commands.OF_RUNS), turn=turns)
    def validate(self, command: Asked, turn: int) -> None:
        self.give(self.fitting(command, turn))

    @rule(
        start=commands.command("StartRun"),
        findings=st.lists(commands.one_of("AssessTask", "ReportIssue", "ReportIssue"), min_size=1, max_size=4),
        end=commands.one_of("CompleteRun", "CompleteRun", "FailRun"),
        turn=turns,
    )
    def validate_at_length(self, start: Asked, findings: list[Asked], end: Asked, turn: int) -> None:
        start = self.fitting(start, turn)
        self.give(start)
        for asked in [*findings, end]:
            asked = Asked(asked.name, {**asked.fields, "run_id": start.fields["run_id"]})
            self.give(self.fitting(asked, turn))

    @precondition(lambda self: any(run.report for run in self.world.runs.values()) and self.world.issues)
    @rule(command=commands.one_of(*commands.OF_ISSUES), turn=turns)
    def work_on_an_issue(self, command: Asked, turn: int) -> None:
        self.give(self.fitting(command, turn))

    @rule(command=commands.one_of(*commands.OF_PROJECTS), turn=turns)
    def run_a_project(self, command: Asked, turn: int) -> None:
        self.give(self.fitting(command, turn))

    @rule(command=commands.one_of(*commands.ANY))
    def anything(self, command: Asked) -> None:
        self.give(command)

    @rule(command=commands.spoilt())
    def bad_input(self, command: Asked) -> None:
        self.give(command)

    @rule(unit=st.lists(commands.one_of(*commands.ANY), max_size=4), known=st.integers(0, 30))
    def several_at_once(self, unit: list[Asked], known: int) -> None:
        """A refused one among them leaves nothing of the others; one may be known already."""
        if known < len(self.past):
            unit.insert(known % 2, self.past[known])
        self.give(*unit)

    @rule(choices=st.lists(commands.one_of(*commands.OF_TASKS, *commands.OF_RUNS), min_size=2, max_size=8), turn=turns)
    def several_allowed(self, choices: list[Asked], turn: int) -> None:
        """The later ones of a unit rest on what the earlier ones did."""
        world = self.world
        unit: list[Asked] = []
        for asked in choices:
            after, other = fitted(world, asked, turn)
            if after is not world and other.fields.get("command_id") is None:
                world, unit = after, [*unit, other]
        self.give(*unit)

    @precondition(lambda self: self.past)
    @rule(which=turns, times=st.integers(1, 2), actor=st.sampled_from([None, "bob"]))
    def try_again(self, which: int, times: int, actor: str | None) -> None:
        """The first answer comes again, whoever asks, and nothing is stored."""
        first = self.past[which % len(self.past)]
        again = Asked(first.name, {**first.fields, "actor": actor, "correlation_id": "again"})
        self.give(*[again] * times)

    @precondition(lambda self: self.past)
    @rule(which=turns, other=commands.one_of(*commands.ANY))
    def reuse_a_command_id(self, which: int, other: Asked) -> None:
        known = self.past[which % len(self.past)]
        self.give(Asked(other.name, {**other.fields, "command_id": known.fields["command_id"]}))

    @rule(command=commands.one_of(*commands.ANY))
    def as_json(self, command: Asked) -> None:
        """Commands are data: through JSON and back, they are the same."""
        try:
            built = COMMANDS[command.name](**command.fields)
        except InvalidCommand:
            return
        assert parse_command(command_json(built)) == built

    @rule(sizes=st.lists(batch_sizes, min_size=1, max_size=4), forget=st.booleans())
    def rebuild(self, sizes: list[int], forget: bool) -> None:
        """In batches split anywhere, by one projector or by several that know only what is stored: the same tables."""
        live = self.store.dump()
        self.store.tiu.projector.reset()
        projector, done = self.store.projector(sizes[0]), 1
        for step in range(1, 1_000):
            done = projector.step()
            if not done:
                break
            if forget:
                projector = self.store.projector(sizes[step % len(sizes)])
        assert exactly(self.store.dump()) == exactly(live)

    def teardown(self) -> None:
        try:
            if self.agreed:
                self.rebuild_all()
                self.store.check_hash_chain()
        finally:
            self.store.close()

    def rebuild_all(self) -> None:
        live = self.store.dump()
        for size in (1, 1 + self.world.events % 7, 1_000):
            self.store.tiu.projector.reset()
            self.store.projector(size).catch_up()
            assert exactly(self.store.dump()) == exactly(live), f"rebuilt in batches of {size}"


def machine_on(new_store: Callable[[], Store]) -> Any:
    """The machine's class, on stores that `new_store` makes."""
    return type(
        f"MachineOn{getattr(new_store, '__name__', 'Store')}", (Machine,), {"new_store": staticmethod(new_store)}
    )


def machine_for(opened: Callable[[], AbstractContextManager[Tiu]] | None = None) -> type[RuleBasedStateMachine]:
    """Return a state machine of Hypothesis that gives any commands to a store and to a model of the rules, and holds
    answers, refusals and every row of the main tables of the one against the other.

    `opened` gives a connection to an empty, migrated database, made with project=False; it is closed at the end of each
    run, and what it leaves is `opened`'s to remove. Without, it is a new SQLite file. Run it with
    `hypothesis.stateful.run_state_machine_as_test(machine_for(...))`, or as a test: `machine_for(...).TestCase`.
    """
    found: type[RuleBasedStateMachine] = machine_on(partial(OpenStore, opened or new_sqlite))
    return found


@contextmanager
def new_sqlite() -> Iterator[Tiu]:
    """Give a connection to a new database in a temporary folder."""
    with TemporaryDirectory(prefix="tiu-") as folder, connect(sqlite_url(Path(folder, "tiu.db")), project=False) as tiu:
        yield tiu
