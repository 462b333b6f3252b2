"""`tiu audit chain`: whether the log is what was appended, as far as that can be known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..audit.chain import ChainReport, check_chain
from ..audit.seals import KEY_BYTES, Seal
from ..errors import BadSeal, BadSettings
from .apply import opened
from .output import DbOption, JsonOption, console, plain, print_json, print_rows, shown
from .session import events_of

MAX_BYTES = 16 << 20


def chain(
    seal: Annotated[
        list[str] | None,
        typer.Option(
            "--seal", metavar="FILE", help="Seals that were kept elsewhere, one a line; - for standard input."
        ),
    ] = None,
    public_key: Annotated[
        list[str] | None,
        typer.Option("--public-key", metavar="HEX", help="Whose seals the database may hold, besides those given."),
    ] = None,
    db: DbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every event, the chain of hashes, and the seals.

    What is found is named: events changed, removed, inserted, reordered or cut, seals removed or replaced. Up to the
    last seal kept elsewhere the log is then proved to be what was sealed. Exit 1 where anything was found.
    """
    kept = [one for file in seal or () for one in seals_in(file)]
    keys = [key_of(text) for text in public_key or ()]
    with events_of(db) as events:
        report = check_chain(events, kept, keys=keys)
    if as_json:
        print_json(_json(report))
    else:
        _print(report, given=bool(kept))
    if report.count:
        raise typer.Exit(1)


def seals_in(file: str) -> list[Seal]:
    """Return the seals of a file. Raises BadSeal, BadSettings."""
    with opened(file) as stream:
        text = stream.read(MAX_BYTES + 1)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(text) > MAX_BYTES or not lines:
        raise BadSeal(f"{file} holds no seal")
    found = []
    for number, line in lines:
        try:
            found.append(Seal.parse(line))
        except BadSeal as error:
            raise BadSeal(f"{file}, line {number}: {error}") from None
    return found


def key_of(text: str) -> bytes:
    """Return the public key that an option was given. Raises BadSettings."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadSettings(f"--public-key: {2 * KEY_BYTES} hexadecimal digits, as a seal's key has them")
    return key


def _json(report: ChainReport) -> dict[str, Any]:
    return {**plain(report), "head": report.head.hex(), "root": report.root.hex()}


def _print(report: ChainReport, *, given: bool) -> None:
    if report.count:
        more = "" if report.count == len(report.findings) else f", of which the first {len(report.findings)}"
        title = f"{report.count} found in {report.events} events{more}"
        print_rows(title, report.findings, {"what": "kind", "from": "first", "to": "last", "in words": "said"})
    else:
        console.print(f"{report.events} events: each is what its hash covers, and the chain holds", soft_wrap=True)
    if report.seals:
        columns = {"seal": "number", "kept": "kept", "through": "position", "sealed": "sealed_at", "holds": "holds"}
        print_rows("Seals", report.seals, columns)
    for line in _claims(report, given):
        console.print(shown(line), soft_wrap=True)


def _claims(report: ChainReport, given: bool) -> Sequence[str]:
    """What is proved, and what is not."""
    claims = []
    if report.proved:
        claims.append(f"Proved: events 1 to {report.proved} are what a seal kept elsewhere says.")
    if not given:
        claims.append(
            "Nothing is proved without a seal kept elsewhere (--seal FILE): whoever may write the database can make "
            "the chain and the seals in it anew."
        )
    elif report.proved < report.events and not report.count:
        claims.append(
            f"Not sealed elsewhere: events {report.proved + 1} to {report.events}, of which the chain alone holds."
        )
    return claims
