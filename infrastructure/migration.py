"""One migration, and what a database must do to be migrated: adapters in sqlite/schema.py and postgresql/schema.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Protocol

from .errors import MigrationFailed, NoWayBack


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a schema."""

    version: str
    description: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        return sha256(self.up.encode()).hexdigest()


def migrations_in(folder: str) -> list[Migration]:
    """Return the migrations of infrastructure/`folder`, in order."""
    found = []
    for up in sorted(files(__package__).joinpath(*folder.split("/")).iterdir(), key=lambda file: file.name):
        if up.name.endswith(".up.sql"):
            stem = up.name.removesuffix(".up.sql")
            version, _, name = stem.partition("_")
            down = files(__package__).joinpath(*folder.split("/"), f"{stem}.down.sql")
            sql = (up.read_text(encoding="utf-8"), down.read_text(encoding="utf-8"))
            found.append(Migration(version, name.replace("_", " "), *sql))
    return found


class Target(Protocol):
    """A database, or one file of it, with migrations of its own."""

    migrations: Sequence[Migration]

    def recorded(self) -> Mapping[str, tuple[str, str, str]]:
        """Return version -> (when it was applied, its description, its checksum); empty where nothing was yet."""

    def rollbacks(self) -> Mapping[str, str]:
        """Return version -> the recorded SQL that undoes it; empty where nothing was yet."""

    def up(self, migration: Migration) -> bool:
        """Apply and record a migration in one transaction; False where it is recorded already.

        Raises MigrationFailed, with nothing changed.
        """

    def down(self, version: str) -> None:
        """Undo a recorded migration and forget it, in one transaction.

        Raises NoWayBack or MigrationFailed, with nothing changed.
        """


def says_something(script: str) -> bool:
    """Whether there is more in a script than comments."""
    return any(line.strip() and not line.strip().startswith("--") for line in script.splitlines())


def way_back(version: str, rollback: str | None) -> str:
    """Return the recorded rollback of a migration. Raises NoWayBack where it holds nothing."""
    if rollback is None or not says_something(rollback):
        raise NoWayBack(
            f"migration {version} has no way back: it holds what is never dropped (events, keys)", version=version
        )
    return rollback


def failed(where: object, version: str, what: str, error: Exception) -> MigrationFailed:
    reason = " ".join(str(error).split())
    return MigrationFailed(
        f"{where}: migration {version} could not be {what}, nothing of it was: {reason}", version=version
    )
