"""One step of a schema, as data."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

Store = Literal["postgresql", "sqlite"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a schema: the SQL that makes it, and the SQL that undoes it (none: there is no way back)."""

    version: str
    description: str
    up: str
    down: str = ""

    @property
    def checksum(self) -> str:
        return sha256(self.up.encode()).hexdigest()
