"""Databases under load, on both stores."""

from __future__ import annotations

from tests.infrastructure.conftest import backend, postgresql, sqlite, sqlite_template

__all__ = ["backend", "postgresql", "sqlite", "sqlite_template"]
