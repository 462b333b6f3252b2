"""Any sequence of commands: the product does what the model does, and its tables say what the model's say."""

from __future__ import annotations

from tests.model.machine import machine_on
from tests.model.stores import SQLite

TestOnSQLite = machine_on(SQLite).TestCase
