"""One migration, and what a database must do to be migrated: adapters in sqlite/schema.py and postgresql/schema.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Protocol

from ..projections.migration import Migration
from .errors import MigrationFailed, NoWayBack

__all__ = ["Migration", "Target", "failed", "migrations_in", "read_folder", "says_something", "way_back"]


@cache
def migrations_in(folder: str) -> Sequence[Migration]:
    """Return the migrations of infrastructure/`folder`, in order."""
    return tuple(read_folder(files(__package__).joinpath(*folder.split("/"))))


def read_folder(folder: Traversable) -> list[Migration]:
    """Return the migrations of a folder, in order: NNN_name.up.sql, and NNN_name.down.sql where there is a way back."""
    found = []
    for up in sorted(folder.iterdir(), key=lambda file: file.name):
        if up.name.endswith(".up.sql"):
            stem = up.name.removesuffix(".up.sql")
            version, _, name = stem.partition("_")
            down = folder.joinpath(f"{stem}.down.sql")
            undo = down.read_text(encoding="utf-8") if down.is_file() else ""
            found.append(Migration(version, name.replace("_", " "), up.read_text(encoding="utf-8"), undo))
    return found


class Target(Protocol):
    """A database, or one file of it, with migrations of its own."""

    migrations: Sequence[Migration]
    owner: str
    """The projection that they are of; empty: ours. A version of another's begins with its name and a slash."""

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
            f"migration {version} has no way back: it holds what is never dropped (events, keys), or says none",
            version=version,
        )
    return rollback


def failed(where: object, version: str, what: str, error: Exception) -> MigrationFailed:
    reason = " ".join(str(error).split())
    return MigrationFailed(
        f"{where}: migration {version} could not be {what}, nothing of it was: {reason}", version=version
    )
