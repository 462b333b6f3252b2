"""The kinds of what stands in the agenda: what is open or due, which only an exclusive command may ask for."""

from __future__ import annotations

OPEN_RUN = "validation_run"
COMPLETED_PROJECT = "completed_project"
ASSIGNMENT = "assignment"
"""An assignment by its agent's id, due at its deadline."""

OPEN_WORK = (ASSIGNMENT, OPEN_RUN)
"""What keeps a project from being archived."""
