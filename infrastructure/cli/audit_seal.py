"""`tiu audit seal`: a signed statement of what the log holds, to be kept elsewhere; and the key that signs it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ..audit.chain import seal_log
from ..audit.seals import Seal, SealingKey
from ..errors import BadSettings
from ..settings import load_settings
from .output import DbOption, JsonOption, console, print_json, shown
from .session import events_of


def seal(
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="FILE", help="The sealing key; without it, that of the setting SEALING_KEY."),
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option("--new-key", metavar="FILE", help="Make a sealing key in a new file (0600), and seal nothing."),
    ] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the seal to a new file, too.")] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the whole log, and seal it: sign what it holds. Keep the seal elsewhere.

    A seal is one line; with --json, nothing else is printed. With it `tiu audit chain --seal FILE` proves the log up
    to there, whoever may write the database. A log in which anything is found is not sealed.
    """
    if new_key is not None:
        if key is not None or out is not None:
            raise BadSettings("--new-key makes a key and seals nothing: call it without --key and --out")
        _make_key(new_key, as_json)
        return
    signing = _key(key)
    if out is not None and _is_there(out):
        raise BadSettings(f"--out: {out} is there already")
    with events_of(db) as events:
        made = seal_log(events, signing, datetime.now(UTC))
    if as_json:
        print(made.text, flush=True)  # noqa: T201 - the line as it is signed
    else:
        _print(made)
    if out is not None:  # last: the seal is stored, and was printed
        _write(out, made.text + "\n", 0o644, "--out")


def _make_key(file: str, as_json: bool) -> None:
    made = SealingKey.new()
    _write(file, made.secret_text + "\n", 0o600, "--new-key")
    if as_json:
        print_json({"file": file, "public_key": made.public.hex()})
        return
    console.print(f"{shown(file)}: a new sealing key. Keep it where the database's owner has no hand.", soft_wrap=True)
    console.print(f"Its public key, by which its seals are known: {made.public.hex()}", soft_wrap=True)


def _key(file: str | None) -> SealingKey:
    """Return the key to sign with. Raises BadSettings, which repeats nothing of it."""
    if file is None:
        found = load_settings().key_to_seal()
        if found is None:
            raise BadSettings("there is no sealing key: give --key FILE or SEALING_KEY; --new-key FILE makes one")
        return found
    try:
        path = Path(file)
        if path.stat().st_mode & 0o077:
            raise BadSettings(f"--key: others than its owner may read {file}: chmod 600 {file}")
        return SealingKey.parse(path.read_text(encoding="ascii"))
    except OSError as error:
        raise BadSettings(f"--key: cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise BadSettings(f"--key: {file} holds no sealing key: that is 32 bytes in base64") from None


def _is_there(file: str) -> bool:
    try:
        return Path(file).exists()
    except (OSError, ValueError):  # a name that no file can have: it is told when it is made
        return False


def _write(file: str, text: str, mode: int, option: str) -> None:
    """Write a new file. Raises BadSettings where it cannot be made or written, or is there: no part of it stays."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file's name"
        raise BadSettings(f"{option}: cannot make {file}: {reason}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(text)
    except OSError as error:
        Path(file).unlink()
        raise BadSettings(f"{option}: cannot write {file}: {error.strerror}") from None


def _print(made: Seal) -> None:
    said = made.statement
    through = f"events 1 to {said.position} of the log {said.epoch}"
    console.print(f"Sealed: {through}. Seal {said.number}, of the public key {said.key.hex()}", soft_wrap=True)
    console.print("Keep this line elsewhere:", soft_wrap=True)
    console.print(made.text, soft_wrap=True)
