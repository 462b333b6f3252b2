"""No secret is told: not by an error, a log, a repr, a verb, the server's list of sessions or the list of processes."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from claude_tiu import TiuError, connect
from claude_tiu.infrastructure.audit.seals import SealingKey
from claude_tiu.infrastructure.settings import database, load_settings
from tests.cli.running import first_line, started, tiu
from tests.support.tls import proxy

PASSWORD = "hunter2-%/@:?#[]é"  # noqa: S105 - of nobody
KEY = base64.b64encode(b"k" * 31 + b"!").decode()
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), "hunter2", KEY, KEY[:12], base64.b64decode(KEY).hex(), "k" * 12)


def assert_untold(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == [], text


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_KEY", "SEALING_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("POOL_TIMEOUT", "0.2")


def urls(refusing: int) -> dict[str, str]:
    secret = quote(PASSWORD, safe="")
    return {
        "a port where nobody listens": f"postgresql://ada:{secret}@127.0.0.1:1/x",
        "a host that there is not": f"postgresql://ada:{secret}@nowhere.invalid/x?connect_timeout=2",
        "a wrong password": f"postgresql://ada:{secret}@127.0.0.1:{refusing}/x",
        "its password among the options": f"postgresql://127.0.0.1:{refusing}/x?user=ada&password={secret}",
        "an unknown option": f"postgresql://ada:{secret}@127.0.0.1/x?nonsense=1",
        "a bad TLS mode": f"postgresql://ada:{secret}@127.0.0.1/x?sslmode=nonsense",
        "a bad number": f"postgresql://ada:{secret}@127.0.0.1:{refusing}/x?connect_timeout=soon",
        "a bad port": f"postgresql://ada:{secret}@127.0.0.1:port/x",
        "a password that is not quoted": "postgresql://ada:hunter2@hunter2@127.0.0.1:1/x",
        "one with a slash": "postgresql://ada:hunter2/hunter2@127.0.0.1:1/x",
        "one with a percent sign": "postgresql://ada:hunter2%zz@127.0.0.1:1/x",
        "one in a host's place": "postgresql://hunter2",
        "another scheme": f"mysql://ada:{secret}@127.0.0.1/x",
        "one of SQLAlchemy's": f"postgresql+psycopg://ada:{secret}@127.0.0.1/x",
        "no scheme": f"host=127.0.0.1 port=1 password={secret}",
        "SQLite's with a user": f"sqlite://ada:{secret}@host/x.db",
        "a root certificate that is not there": f"postgresql://ada:{secret}@127.0.0.1:{refusing}/x?sslmode=verify-full&sslrootcert=/none",
        "a key's password": f"postgresql://ada@127.0.0.1:{refusing}/x?sslpassword={secret}",
    }


@pytest.fixture(scope="module")
def refusing() -> Iterator[int]:
    """The port of a server that takes no password."""
    with proxy() as nobody:
        yield nobody.port


NOT_SECRET = {"one in a host's place"}
"""A host is told."""


@pytest.mark.parametrize("case", urls(0))
def test_no_error_tells_a_password(refusing: int, case: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="")
    url = urls(refusing)[case]
    with pytest.raises(TiuError) as caught:
        connect(url)
    error = caught.value
    for told in (
        str(error),
        repr(error),
        str(error.as_json()),
        repr(error.__cause__),
        "".join(traceback.format_exception(error)),
    ):
        if case not in NOT_SECRET:
            lines = (line for line in told.splitlines() if "connect(url)" not in line)
            assert_untold("\n".join(lines))
    if case not in NOT_SECRET:
        assert_untold(caplog.text)


@pytest.mark.parametrize("case", ["a port where nobody listens", "a wrong password", "an unknown option", "no scheme"])
@pytest.mark.parametrize("verb", ["doctor", "projector status", "migrate up", "show dashboard", "audit chain"])
def test_no_verb_tells_one(refusing: int, verb: str, case: str) -> None:
    for form in [(), ("--json",)]:
        ran = tiu(*verb.split(), "--db", urls(refusing)[case], *form)
        assert ran.status == 1
        assert_untold(ran.out + ran.err)


def test_neither_do_settings(monkeypatch: pytest.MonkeyPatch, refusing: int) -> None:
    for name, value in (("DB_HOST", "127.0.0.1"), ("DB_PORT", str(refusing)), ("DB_PASSWORD", PASSWORD)):
        monkeypatch.setenv(name, value)
    settings = load_settings()
    where = database(None, settings)
    key = settings.key_to_seal()
    assert key is not None
    for told in map(repr, (settings, settings.key_ring(), key, where)):
        assert_untold(told)
    assert_untold(f"{settings} {where}")
    for form in [(), ("--json",)]:
        assert_untold("".join(tiu("doctor", *form)[1:]))
    monkeypatch.setenv("DB_PORT", "many")
    monkeypatch.setenv("MASTER_KEY", f"{PASSWORD}{KEY}")
    for form in [(), ("--json",)]:
        ran = tiu("doctor", *form)
        assert ran.status == 1
        assert_untold(ran.out + ran.err)
    with pytest.raises(TiuError) as caught:
        load_settings()
    assert_untold("".join(traceback.format_exception(caught.value)))


def test_a_key_is_not_told_by_what_holds_it(here: Path) -> None:
    with connect(f"sqlite:///{here / 'x.db'}") as tiu_:
        for held in (tiu_, tiu_.events, tiu_.projector, tiu_.read, SealingKey(b"k" * 32)):
            assert_untold(repr(held))
        assert_untold(repr(vars(tiu_)))


def test_the_server_and_the_list_of_processes_know_none(pg_url: str) -> None:
    """The password comes by the environment; nobody here asks for it, and it is passed on all the same."""
    parts = conninfo_to_dict(pg_url)
    given = {
        "DB_HOST": str(parts["host"]),
        "DB_NAME": str(parts["dbname"]),
        "DB_USER": str(parts["user"]),
        "DB_PASSWORD": PASSWORD,
        "SEALING_KEY": KEY,
    }
    with started("projector", "run", more=given) as process:
        assert_untold(first_line(process))
        for folder in Path("/proc").glob("[0-9]*"):
            assert_untold(_arguments(folder / "cmdline"))
        with psycopg.connect(pg_url) as connection:
            sessions = connection.execute("SELECT s::text FROM pg_stat_activity s").fetchall()
        assert "claude-tiu" in str(sessions)
        assert_untold(str(sessions))


def _arguments(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:  # it has ended
        return ""
