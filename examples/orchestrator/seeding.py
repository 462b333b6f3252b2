"""What the service begins with: an owner, agents, a template, and a first project.

Every command has an id that is the same each time, so it is simply executed at each start: a retry stores nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple
from uuid import UUID, uuid5

from claude_tiu import AsyncTiu, Command, CreateProject, CreateTemplate, CreateUser, RegisterAgent

SERVICE = UUID("0b5a3e5c-7f0e-5d0c-9a55-6f2f6d1d3a10")
"""Whatever the service names by itself, it names under this."""
OWNER, TEMPLATE, PROJECT = (uuid5(SERVICE, name) for name in ("owner", "template", "project"))


class Agent(NamedTuple):
    """A simulated agent; `diligence` is the share of its work that it really does, whatever it claims."""

    name: str
    agent_type: Literal["backend-developer", "tester"]
    diligence: float

    @property
    def id(self) -> UUID:
        return uuid5(SERVICE, f"agent {self.name}")


CREW = (
    Agent("careful-1", "backend-developer", 1.0),
    Agent("hasty-1", "backend-developer", 0.6),
    Agent("boastful-1", "tester", 0.2),
)

STRUCTURE = {
    "tasks": [
        {"key": "layout", "name": "Invoice layout", "priority": "high", "estimated_duration": 60},
        {"key": "rates", "name": "Rates of all countries", "priority": "critical", "estimated_duration": 120},
        {"key": "plan", "name": "Test plan", "priority": "high", "agent_type": "tester", "estimated_duration": 30},
        {
            "key": "ledger",
            "name": "Ledger",
            "priority": "critical",
            "depends_on": ["rates"],
            "estimated_duration": 240,
        },
        {"key": "render", "name": "Render invoices", "depends_on": ["layout"], "estimated_duration": 90},
        {
            "key": "tests",
            "name": "Tests of the ledger",
            "agent_type": "tester",
            "depends_on": ["plan", "ledger"],
            "estimated_duration": 120,
        },
        {
            "key": "release",
            "name": "Release",
            "priority": "low",
            "depends_on": ["render", "tests"],
            "estimated_duration": 15,
        },
    ]
}


async def seed(tiu: AsyncTiu) -> None:
    """Make what the service needs, where it is not there yet."""
    commands: list[Command] = [
        CreateUser(
            command_id=uuid5(SERVICE, "create owner"),
            user_id=OWNER,
            username="orchestrator",
            email="orchestrator@example.org",
            password_hash="$argon2id$" + "x" * 22,
        ),
        *(
            RegisterAgent(
                command_id=uuid5(SERVICE, f"register {agent.name}"),
                agent_id=agent.id,
                agent_type=agent.agent_type,
                name=agent.name,
            )
            for agent in CREW
        ),
        CreateTemplate(
            command_id=uuid5(SERVICE, "create template"),
            template_id=TEMPLATE,
            name="Billing service",
            created_by=OWNER,
            structure=STRUCTURE,
        ),
        CreateProject(
            command_id=uuid5(SERVICE, "create project"),
            project_id=PROJECT,
            user_id=OWNER,
            name="Billing",
            description="A first project, from the template.",
            template_id=TEMPLATE,
        ),
    ]
    await tiu.wait_for((await tiu.execute_all(commands))[-1])
