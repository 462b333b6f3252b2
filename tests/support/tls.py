"""TLS before a PostgreSQL server that may have none: certificates of a test's own, and a proxy that speaks TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PASSWORD_WANTED = b"R" + struct.pack("!ii", 8, 3)


class Pair(NamedTuple):
    """A certificate's file, and its key's."""

    certificate: Path
    key: Path


class Authority:
    """Who signs certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = folder / f"{name}.crt"
        certificate = self._signed(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.root.write_bytes(certificate)

    def pair(self, name: str, *addresses: str) -> Pair:
        """Make a key and its certificate, for a host or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        others = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        names = x509.SubjectAlternativeName([x509.DNSName(name), *others])
        made = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        made.certificate.write_bytes(self._signed(_named(name), key.public_key(), names))
        made.key.touch(mode=0o600)
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return made

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(self._name, name, key, x509.random_serial_number(), now - day, now + day)
        signed = builder.add_extension(extension, critical=True).sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Proxy:
    """What a client meets at 127.0.0.1: TLS, and behind it a server at a socket; or nobody who lets it in."""

    def __init__(self, listening: socket.socket, context: ssl.SSLContext | None, server: Path | None) -> None:
        self._listening, self._context, self._server = listening, context, server
        self.port: int = listening.getsockname()[1]
        self.clients: list[str | None] = []
        """The TLS version that each connection had, None without."""
        self.certificates: list[str] = []
        """What the certificates that clients showed are called."""
        self.passwords: list[str] = []
        """What was given as a password, where nobody is let in."""

    def run(self) -> None:
        with suppress(OSError):  # until it is closed
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._meet, args=(client,), daemon=True).start()

    def _meet(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if self._context is None:
                self._refuse(client)
                return
            asked = client.recv(8, socket.MSG_PEEK)
            if asked != SSL_REQUEST:
                self.clients.append(None)
                return
            client.recv(8)
            client.sendall(b"S")
            with self._context.wrap_socket(client, server_side=True) as secured:
                self.clients.append(secured.version())
                shown = secured.getpeercert()
                if shown:
                    self.certificates.append(str(shown["subject"][0][0][1]))
                self._pass_on(secured)

    def _pass_on(self, client: ssl.SSLSocket) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server))
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            server.shutdown(socket.SHUT_RDWR)
            back.join()

    def _refuse(self, client: socket.socket) -> None:
        """Ask for the password, and do not take it."""
        if client.recv(8, socket.MSG_PEEK) == SSL_REQUEST:
            client.recv(8)
            client.sendall(b"N")
        client.recv(4096)
        client.sendall(PASSWORD_WANTED)
        self.passwords.append(client.recv(4096)[5:-1].decode())
        fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "ada"\0\0'
        client.sendall(b"E" + struct.pack("!i", 4 + len(fields)) + fields)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(server: Path | None = None, pair: Pair | None = None, clients_of: Authority | None = None) -> Iterator[Proxy]:
    """Listen on a free port of 127.0.0.1. Without a certificate, whoever comes is asked for a password and refused."""
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        if clients_of is not None:
            context.load_verify_locations(clients_of.root)
            context.verify_mode = ssl.CERT_OPTIONAL
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Proxy(listening, context, server)
        threading.Thread(target=made.run, daemon=True).start()
        yield made
