"""Who works on what, and what came of it: the assignments of a project's tasks, and the texts of its files."""

from __future__ import annotations

from datetime import timedelta

from claude_tiu import (
    AddTask,
    ClaimNextTask,
    CreateFile,
    CreateProject,
    DeleteFile,
    FinishTask,
    ModifyFile,
    RegisterAgent,
    ReleaseTask,
    connect,
)
from tests.support.history import PROJECT, START, USER, create_user, uid
from tests.support.stores import Backend

OTHER, ADA, EVE = uid("other project"), uid("ada"), uid("eve")


def test_the_assignments_of_a_project_come_the_latest_first_with_their_tasks_and_agents(backend: Backend) -> None:
    first, second = uid("first"), uid("second")
    commands = [
        create_user(user_id=USER),
        *(CreateProject(project_id=project, user_id=USER, name="Billing") for project in (PROJECT, OTHER)),
        RegisterAgent(agent_id=ADA, agent_type="tester", name="Ada"),
        RegisterAgent(agent_id=EVE, agent_type="reviewer"),
        AddTask(task_id=first, project_id=PROJECT, name="First"),
        AddTask(task_id=second, project_id=PROJECT, name="Second"),
        AddTask(project_id=OTHER, name="Elsewhere"),
        ClaimNextTask(agent_id=ADA, project_id=PROJECT),
        ClaimNextTask(agent_id=EVE, project_id=PROJECT),
        FinishTask(agent_id=ADA, task_id=first),
        ReleaseTask(agent_id=EVE, task_id=second),
        ClaimNextTask(agent_id=EVE, project_id=OTHER),
        ClaimNextTask(agent_id=ADA, project_id=PROJECT),
    ]
    times = (START + timedelta(minutes=number) for number in range(len(commands)))
    stamped = [c.model_copy(update={"occurred_at": at}) for c, at in zip(commands, times, strict=True)]
    with connect(backend.url) as tiu:
        tiu.wait_for(tiu.execute_all(stamped)[-1])

        found = tiu.read.assignments(PROJECT)

        assert [(row.task_name, row.agent_name, row.agent_type, row.status) for row in found] == [
            ("Second", "Ada", "tester", "assigned"),
            ("Second", None, "reviewer", "released"),
            ("First", "Ada", "tester", "completed"),
        ]
        assert [(row.task_id, row.agent_id, row.completed_at is None) for row in found] == [
            (second, ADA, True),
            (second, EVE, False),
            (first, ADA, False),
        ]
        assert found[0].assigned_at == START + timedelta(minutes=13)
        assert tiu.read.assignments(PROJECT, limit=1) == found[:1]


def test_a_files_text_is_what_it_was_given_last_and_none_where_there_is_none(backend: Backend) -> None:
    text = "def rate():\n    return 1 # é 🙂\n"
    with connect(backend.url) as tiu:
        tiu.execute_all([create_user(user_id=USER), CreateProject(project_id=PROJECT, user_id=USER, name="Billing")])
        tiu.execute(CreateFile(project_id=PROJECT, file_path="a.py", content="pass"))
        binary = CreateFile(project_id=PROJECT, file_path="b.png", content_hash="0" * 64, size_bytes=3)
        tiu.wait_for(tiu.execute_all([ModifyFile(project_id=PROJECT, file_path="a.py", content=text), binary])[-1])
        assert tiu.read.file_content(PROJECT, "a.py") == text
        assert [tiu.read.file_content(PROJECT, path) for path in ("b.png", "none", "A.py")] == [None, None, None]
        assert tiu.read.file_content(OTHER, "a.py") is None
        tiu.wait_for(tiu.execute(DeleteFile(project_id=PROJECT, file_path="a.py")))
        assert tiu.read.file_content(PROJECT, "a.py") is None
