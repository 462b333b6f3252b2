"""The read tables of the specification, as one projection: their rows refer to each other."""

from __future__ import annotations

from . import agents, files, parking, projects, retention, tasks, templates, users, validation, workflows
from .projection import Projection
from .tables import PRIVATE_TABLES, READ_TABLES

NAME = "read_model"

READ_MODEL = Projection(
    name=NAME,
    version=1,
    tables=(*READ_TABLES, *PRIVATE_TABLES),
    handlers={
        **users.HANDLERS,
        **projects.HANDLERS,
        **tasks.HANDLERS,
        **validation.HANDLERS,
        **workflows.HANDLERS,
        **agents.HANDLERS,
        **templates.HANDLERS,
        **files.HANDLERS,
        **retention.HANDLERS,
        **parking.discards_of(NAME),
    },
    parking=parking.READ_MODEL_PARKING,
)
