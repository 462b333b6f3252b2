"""Settings: the specification's variables, and which database they mean."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .audit.seals import SealingKey
from .errors import BadSettings
from .keys import KEY_BYTES, KeyRing
from .postgresql.connections import MAX_POOL_SIZE, shown


def _a_key(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        _key_bytes(secret)
    return secret


def _key_bytes(secret: SecretStr) -> bytes:
    try:
        key = b64decode(secret.get_secret_value(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"should be {KEY_BYTES} bytes in base64: `openssl rand -base64 {KEY_BYTES}` makes one")
    return key


class Settings(BaseSettings):
    """The environment's variables of the same names, in upper case."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    db_host: str | None = None
    db_port: Annotated[int, Field(ge=1, le=65535)] = 5432
    db_name: str = "claude_tiu"
    db_user: str = "claude_tiu"
    db_password: SecretStr | None = None
    sqlite_path: Path = Path("data/claude_tiu.db")

    master_key: Annotated[SecretStr | None, AfterValidator(_a_key)] = None
    sealing_key: Annotated[SecretStr | None, AfterValidator(_a_key)] = None

    projections: str | None = None

    projector_on_poison: Literal["park", "stop"] = "park"
    projector_lease_seconds: Annotated[float, Field(ge=1, le=600)] = 10.0

    sqlite_timeout: Annotated[float, Field(ge=0, le=600)] = 20.0
    pool_size: Annotated[int, Field(ge=1, le=50)] = MAX_POOL_SIZE
    pool_timeout: Annotated[float, Field(gt=0, le=600)] = 30.0
    pool_recycle: Annotated[float, Field(gt=0)] = 3600.0

    @property
    def parks(self) -> bool:
        """Whether what cannot be projected is parked."""
        return self.projector_on_poison == "park"

    def key_ring(self) -> KeyRing:
        """Return what makes and wraps the keys of persons."""
        return KeyRing(_key_bytes(self.master_key) if self.master_key else None)

    def key_to_seal(self) -> SealingKey | None:
        """Return what seals are signed with, where it is set."""
        return SealingKey(_key_bytes(self.sealing_key)) if self.sealing_key else None


@dataclass(frozen=True)
class Database:
    """Which database is meant: a SQLite file's path, or a PostgreSQL connection string."""

    path: Path | None
    url: str = field(repr=False)  # it may hold a password
    by_default: bool = False
    """No URL was given: the folder of a SQLite file may be made."""

    def __str__(self) -> str:
        """A URL without secrets, that --db takes."""
        return shown(self.url) if self.path is None else sqlite_url(self.path)


def load_settings() -> Settings:
    """Return the environment's settings. Raises BadSettings, naming every bad variable and repeating no value."""
    try:
        return Settings()
    except ValidationError as error:
        faults = {str(fault["loc"][0]): fault["msg"] for fault in error.errors()}
        said = "; ".join(f"{name.upper()}: {message}" for name, message in faults.items())
        raise BadSettings(said, settings=list(faults)) from None


def database(url: str | None, settings: Settings) -> Database:
    """Return the database that a URL means; without one, PostgreSQL if DB_HOST is set, else SQLITE_PATH.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, or what libpq takes (`postgresql://...`). Raises BadSettings.
    """
    if url is None:
        return _from_settings(settings)
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        return Database(_sqlite_path(url), url)
    if scheme in ("postgresql", "postgres"):
        return _postgresql(url)
    raise BadSettings("a database URL begins with sqlite:/// or postgresql://")


def _postgresql(url: str) -> Database:
    """An unquoted @ or / in a password would make it part of the host or the name, which are shown."""
    try:
        parts = conninfo_to_dict(url)
    except (ProgrammingError, UnicodeError):
        raise BadSettings("the PostgreSQL URL cannot be read") from None
    if any("@" in str(parts.get(key) or "") for key in ("host", "dbname", "port")):
        raise BadSettings("the PostgreSQL URL cannot be read: write @ as %40, / as %2F and : as %3A in a password")
    return Database(None, url)


def _from_settings(settings: Settings) -> Database:
    if settings.db_host is None:
        path = settings.sqlite_path.absolute()
        return Database(path, sqlite_url(path), by_default=True)
    password = settings.db_password.get_secret_value() if settings.db_password else None
    url = make_conninfo(
        "",
        host=settings.db_host,
        port=settings.db_port,
        dbname=settings.db_name,
        user=settings.db_user,
        password=password,
    )
    return Database(None, url, by_default=True)


def _sqlite_path(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path[1:])
    if parts.netloc or parts.query or parts.fragment or not path or not path.isprintable():
        raise BadSettings("a SQLite URL is sqlite:///relative/path.db or sqlite:////absolute/path.db")
    if path == ":memory:":
        raise BadSettings("a database in memory would be gone with its first connection: name a file")
    return Path(path).absolute()


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite:///{quote(str(path))}"
