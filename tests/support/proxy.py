"""Stands between clients and a PostgreSQL server, and cuts a connection at the worst moment: around a commit."""

from __future__ import annotations

import re
import selectors
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.support.postgres_server import database_url

COMMITS = re.compile(rb"\0append|\0insert_one|COMMIT")
"""What a client sends to append, and to end a transaction."""
READY = re.compile(rb"Z\0\0\0\x05[ITE]$")
"""With what an answer of the server ends."""
SOCKET = ".s.PGSQL.5432"
MOST = 1 << 16


class Cut(Enum):
    """When a connection is cut."""

    BEFORE = "before the server is told to commit"
    WHILE = "while the server commits: nobody waits for its answer"
    AFTER = "when the server has committed, and nothing of its answer has arrived"
    WITHIN = "when the server has committed, and a part of its answer has arrived"


class Proxy:
    """Forwards connections to a server's socket. Clients find it at `url`."""

    def __init__(self, folder: Path, server: str) -> None:
        to = {key: str(value) for key, value in conninfo_to_dict(server).items()}
        self._behind = str(Path(to["host"]) / SOCKET)
        self.url = database_url(f"host={folder} user={to['user']}", to["dbname"])
        self._cutting = 0
        self._wanted: list[Cut] = []
        self._changed = threading.Condition()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / SOCKET))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next(self, *cuts: Cut) -> None:
        """Cut the connections of the next commits, in this order."""
        with self._changed:
            self._wanted += cuts

    def wait_for_cuts(self, timeout: float = 60.0) -> None:
        """Wait until every cut was made that was asked for."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._wanted and not self._cutting, timeout), "nobody commits"

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # or accept() goes on
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._behind)
            self._forward(client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Forward both ways, until one end closes or it is cut."""
        cut, answer = None, b""
        try:
            for source, data in _received(client, server):
                if source is client:
                    cut = cut or (self._next() if COMMITS.search(data) else None)
                    if cut is not Cut.BEFORE:
                        server.sendall(data)
                elif cut is None:
                    client.sendall(data)
                else:
                    answer += data
                if cut in (Cut.BEFORE, Cut.WHILE) or READY.search(answer):
                    break
            if cut is Cut.WITHIN:
                client.sendall(answer[: len(answer) // 2])
        finally:
            if cut:
                self._tell()

    def _next(self) -> Cut | None:
        with self._changed:
            self._cutting += bool(self._wanted)
            return self._wanted.pop(0) if self._wanted else None

    def _tell(self) -> None:
        with self._changed:
            self._cutting -= 1
            self._changed.notify_all()


def _received(*sockets: socket.socket) -> Iterator[tuple[socket.socket, bytes]]:
    """Yield what arrives, and where, until one of them is closed."""
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                data = key.data.recv(MOST)
                if not data:
                    return
                yield key.data, data


@contextmanager
def proxy_to(server: str) -> Iterator[Proxy]:
    """Give a proxy to the server's database at a URL."""
    folder = Path(tempfile.mkdtemp(prefix="tiu-"))  # the path of a socket must be short
    try:
        proxy = Proxy(folder, server)
        try:
            yield proxy
        finally:
            proxy.close()
    finally:
        shutil.rmtree(folder)
