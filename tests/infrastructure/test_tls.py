"""What libpq takes, it is given: TLS settings of the URL and of the environment, service files, password files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from claude_tiu import connect
from claude_tiu.infrastructure.errors import StoreUnavailable
from tests.support.history import create_user
from tests.support.tls import Authority, Proxy, proxy


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "root")


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "another-root")


@pytest.fixture
def secured(pg_url: str, authority: Authority) -> Iterator[Proxy]:
    """The test's database behind TLS, whose certificate is for the name localhost and the address 127.0.0.1."""
    parts = conninfo_to_dict(pg_url)
    server = Path(str(parts["host"])) / ".s.PGSQL.5432"
    with proxy(server, authority.pair("localhost", "127.0.0.1"), clients_of=authority) as made:
        yield made


def url(pg_url: str, secured: Proxy, host: str = "127.0.0.1", **options: object) -> str:
    parts = conninfo_to_dict(pg_url)
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"postgresql://{parts['user']}@{host}:{secured.port}/{parts['dbname']}?{query}"


def works(where: str | None, user: str = "ada") -> None:
    with connect(where) as tiu:
        position = tiu.execute(create_user(user)).position
        tiu.wait_for(position)


def test_a_server_whose_certificate_is_of_the_right_root_is_trusted(
    pg_url: str, secured: Proxy, authority: Authority
) -> None:
    works(url(pg_url, secured, "localhost", sslmode="verify-full", sslrootcert=authority.root))
    assert secured.clients
    assert {str(version)[:5] for version in secured.clients} == {"TLSv1"}  # the listener's and the pool's, all of them


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("root", "certificate verify failed"), ("host", "does not match host name"), ("missing", "root certificate file")],
)
def test_another_is_refused_in_one_line(
    pg_url: str, secured: Proxy, authority: Authority, another: Authority, tmp_path: Path, wrong: str, said: str
) -> None:
    roots = {"root": another.root, "missing": tmp_path / "none.crt"}
    host = "127.0.0.2" if wrong == "host" else "localhost"
    options = {"hostaddr": "127.0.0.1"} if wrong == "host" else {}
    where = url(pg_url, secured, host, sslmode="verify-full", sslrootcert=roots.get(wrong, authority.root), **options)
    with pytest.raises(StoreUnavailable, match=said) as caught:
        connect(where)
    assert "\n" not in str(caught.value)


def test_a_client_shows_its_certificate(pg_url: str, secured: Proxy, authority: Authority) -> None:
    ours = authority.pair("billing")
    options = {"sslrootcert": authority.root, "sslcert": ours.certificate, "sslkey": ours.key}
    works(url(pg_url, secured, "localhost", sslmode="verify-full", **options))
    assert set(secured.certificates) == {"billing"}


@pytest.mark.parametrize("root", ["right", "wrong"])
def test_the_environment_of_libpq_counts_with_our_settings(
    pg_url: str, secured: Proxy, authority: Authority, another: Authority, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    parts = conninfo_to_dict(pg_url)
    for name, value in (
        ("DB_HOST", "localhost"),
        ("DB_PORT", secured.port),
        ("DB_NAME", parts["dbname"]),
        ("DB_USER", parts["user"]),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", authority.root if root == "right" else another.root),
    ):
        monkeypatch.setenv(name, str(value))
    if root == "right":
        works(None)
        assert None not in secured.clients
    else:
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            connect()


def test_a_service_file_names_all_of_it(
    pg_url: str, secured: Proxy, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = conninfo_to_dict(pg_url)
    (tmp_path / "services").write_text(
        f"[billing]\nhost=localhost\nport={secured.port}\ndbname={parts['dbname']}\nuser={parts['user']}\n"
        f"sslmode=verify-full\nsslrootcert={authority.root}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    works("postgresql://?service=billing")
    assert secured.clients
    monkeypatch.setenv("PGSERVICE", "billing")
    works("postgresql://", "bob")


def test_a_password_file_gives_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as nobody:
        file = tmp_path / "passwords"
        file.touch(mode=0o600)
        file.write_text(f"127.0.0.1:{nobody.port}:*:ada:from the file\n")
        for where in (f"?passfile={file}", ""):
            with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
                connect(f"postgresql://ada@127.0.0.1:{nobody.port}/x{where}")
            assert "from the file" not in str(caught.value)
            monkeypatch.setenv("PGPASSFILE", str(file))
        assert set(nobody.passwords) == {"from the file"}
