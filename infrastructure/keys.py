"""Keys of persons: AES-256-GCM (cryptography). What is personal in an event is sealed under its person's own key.

A key may itself be wrapped under the master key of the settings, with the person's id as associated data. A sealed
text is nonce (12 bytes) and ciphertext with tag, in base64.
"""

from __future__ import annotations

import binascii
import os
from base64 import b64decode, b64encode
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import BadSettings

KEY_BYTES = 32
NONCE_BYTES = 12


def _encrypt(key: bytes, plain: bytes, associated: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, associated)


def _decrypt(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Raises InvalidTag where it was sealed under another key, or for another place."""
    if len(sealed) < NONCE_BYTES:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)


def seal(key: bytes, plain: bytes, place: bytes) -> str:
    """Return `plain` sealed under a key, bound to its place: it opens nowhere else."""
    return b64encode(_encrypt(key, plain, place)).decode()


def unseal(key: bytes, sealed: str, place: bytes) -> bytes:
    """Return what was sealed. Raises ValueError where it was not so, here, under this key."""
    try:
        return _decrypt(key, b64decode(sealed, validate=True), place)
    except (InvalidTag, binascii.Error):
        raise ValueError("this was not sealed here under this key") from None


class KeyRing:
    """Makes keys, and wraps them for the store where there is a master key."""

    def __init__(self, master: bytes | None = None) -> None:
        self._master = master

    def new_key(self) -> bytes:
        return AESGCM.generate_key(KEY_BYTES * 8)

    def wrap(self, person_id: UUID, key: bytes) -> tuple[bytes, bool]:
        """Return a key as it is stored, and whether it is wrapped."""
        return (key, False) if self._master is None else (_encrypt(self._master, key, person_id.bytes), True)

    def unwrap(self, person_id: UUID, stored: bytes, wrapped: bool) -> bytes:
        """Return a stored key. Raises BadSettings where the master key is not the one that wrapped it."""
        if not wrapped:
            return stored
        if self._master is None:
            raise BadSettings("MASTER_KEY: the keys of persons in this database are wrapped; set the key that did it")
        try:
            return _decrypt(self._master, stored, person_id.bytes)
        except InvalidTag:
            raise BadSettings("MASTER_KEY: another one wrapped the keys of persons in this database") from None
