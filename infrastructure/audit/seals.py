"""Seals: signed statements of what the log held, up to a position. Kept elsewhere, they tell when it was changed.

A seal names the log (its epoch), the position and hash of its last event, and the root of the Merkle tree over the
hashes of all events up to there, in order (merkle.py). Since an event's hash covers its whole row (event_hash.py), the
root covers every row; since every tree stands over the log from its first event, any seal proves any event before it,
and a later seal can be proved to continue an earlier one.

What is signed (Ed25519) is a seal's JSON without the signature: keys sorted, no spaces, ASCII alone. Hashes, keys and
signatures are in hexadecimal, times in UTC with microseconds. Nothing here asks a database: a seal is checked offline.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..errors import BadSeal
from . import merkle

FORMAT = "claude-tiu.seal.v1"
KEY_BYTES = HASH_BYTES = 32
SIGNATURE_BYTES = 64

_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a seal says: that the log `epoch` held `position` events, the last of them with the hash `head`.

    `root` is that of the Merkle tree over their hashes; `previous` is the digest of the store's seal before it, which
    had the `number` before it (None: it is the first, number 1); `key` is the public key of who says so.
    """

    number: int
    epoch: UUID
    position: int
    head: bytes
    root: bytes
    previous: bytes | None
    sealed_at: datetime
    key: bytes

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that are signed."""
        return _canonical(_plain(self) | {"format": FORMAT})


@dataclass(frozen=True, slots=True)
class Seal:
    """A statement and its signature, which may be false: see `is_genuine`."""

    statement: Statement
    signature: bytes

    @property
    def text(self) -> str:
        """The seal as one line of JSON: what is stored, printed and kept elsewhere."""
        return _canonical(_plain(self.statement) | {"format": FORMAT, "signature": self.signature.hex()}).decode()

    @property
    def digest(self) -> bytes:
        """The SHA-256 of its text: the next seal names it."""
        return sha256(self.text.encode()).digest()

    @property
    def is_genuine(self) -> bool:
        """Whether it was signed with the key that it names."""
        try:
            Ed25519PublicKey.from_public_bytes(self.statement.key).verify(self.signature, self.statement.signed_bytes)
        except (InvalidSignature, ValueError):
            return False
        return True

    @classmethod
    def parse(cls, text: str | bytes) -> Seal:
        """Return the seal that a JSON text holds; whether it is genuine is not asked. Raises BadSeal."""
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise BadSeal(f"not a seal of the format {FORMAT}")
            seal = _parsed(data)
        except (*_MALFORMED, RecursionError):
            raise BadSeal("not a seal: a field is missing, or of another form") from None
        if json.loads(seal.text) != data:
            raise BadSeal("not a seal: it holds more than one does, or in another form")
        return seal


class SealingKey:
    """The secret that seals are signed with: an Ed25519 key. Its text is 32 bytes in base64."""

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def new(cls) -> SealingKey:
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SealingKey:
        """Return the key of a text. Raises ValueError, which does not repeat it."""
        try:
            return cls(b64decode(text.strip(), validate=True))
        except ValueError:
            raise ValueError(f"a sealing key is {KEY_BYTES} bytes in base64") from None

    @property
    def secret_text(self) -> str:
        return b64encode(self._key.private_bytes_raw()).decode()

    @property
    def public(self) -> bytes:
        """The public key, as seals name it: 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(
        self, *, epoch: UUID, position: int, head: bytes, root: bytes, before: Seal | None, sealed_at: datetime
    ) -> Seal:
        """Return the seal that comes after another (the store's last one; None where there is none yet)."""
        number, previous = (before.statement.number + 1, before.digest) if before else (1, None)
        statement = Statement(number, epoch, position, head, root, previous, sealed_at.astimezone(UTC), self.public)
        return Seal(statement, self._key.sign(statement.signed_bytes))


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof that a log's tree has an event's hash at a position: with a seal of that log, and the event's row."""

    position: int
    size: int
    """How many events the tree stands over: the position of the seal."""
    path: tuple[bytes, ...]

    @property
    def plain(self) -> dict[str, Any]:
        """The proof as JSON can hold it."""
        return {"position": self.position, "size": self.size, "path": [hash_.hex() for hash_ in self.path]}

    @classmethod
    def parse(cls, plain: Any) -> Inclusion:
        """Return the proof that such JSON holds. Raises BadSeal."""
        try:
            path = tuple(_bytes(hash_, HASH_BYTES) for hash_ in plain["path"])
            proof = cls(_integer(plain["position"]), _integer(plain["size"]), path)
        except _MALFORMED:
            proof = None
        if proof is None or proof.plain != plain:
            raise BadSeal("not a proof of inclusion: a field is missing, or of another form")
        return proof


def has_event(seal: Seal, event_hash: bytes, proof: Inclusion) -> bool:
    """Return whether a proof shows that the sealed log has an event of this hash (event_hash.py makes it of a row).

    The seal itself is taken as it is: that it is genuine, and whose, is another question.
    """
    sealed = seal.statement
    return proof.size == sealed.position and merkle.includes(
        sealed.root, sealed.position, proof.position - 1, event_hash, proof.path
    )


def continues(seal: Seal, older: Seal, proof: tuple[bytes, ...]) -> bool:
    """Return whether a proof shows that the log of a seal begins with that of an older one, unchanged."""
    new, old = seal.statement, older.statement
    return new.epoch == old.epoch and merkle.extends(old.root, old.position, new.root, new.position, proof)


def _plain(statement: Statement) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in asdict(statement).items()}


def _plain_value(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case UUID():
            return str(value)
        case datetime():
            return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return value


def _canonical(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("ascii")


def _parsed(data: dict[str, Any]) -> Seal:
    """Raises one of _MALFORMED where it is none."""
    previous = data["previous"]
    statement = Statement(
        number=_integer(data["number"]),
        epoch=UUID(data["epoch"]),
        position=_integer(data["position"]),
        head=_bytes(data["head"], HASH_BYTES),
        root=_bytes(data["root"], HASH_BYTES),
        previous=None if previous is None else _bytes(previous, HASH_BYTES),
        sealed_at=datetime.fromisoformat(data["sealed_at"]).astimezone(UTC),
        key=_bytes(data["key"], KEY_BYTES),
    )
    return Seal(statement, _bytes(data["signature"], SIGNATURE_BYTES))


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**63:
        raise ValueError
    return value


def _bytes(value: Any, length: int) -> bytes:
    found = bytes.fromhex(value)
    if len(found) != length:
        raise ValueError
    return found
