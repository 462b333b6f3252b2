"""The form in which values are compared that two stores keep in their own ways.

It is that of the read tables on SQLite, with text as its bytes: ids, exact integers and times are text
(sqlite/values.py), flags are 0 and 1, doubles stay doubles. JSON that a database keeps in a form of its own is brought
to one: keys sorted, no spaces, every digit of a number as it is kept. What is long stands as its SHA-256, so that rows
are of bounded size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

from pydantic_core import from_json

from ..projections.projection import Kind, Table

Value = bytes | int | float | None
ComparableRow = tuple[Value, ...]
"""One value for each column of a table, in their order."""

LONG_BYTES = 4_096
"""What is longer stands as its digest."""
DIGEST = b"sha256:"
"""How a digest begins; so what begins like one stands as its digest too, however short it is."""

_EXPONENT = re.compile(rb"e-\d{2,3}[],}]")
_BETWEEN = ("\0", b',"\\u0000",')
"""What stands between values that are encoded at once, and how it is encoded: no stored text has that character."""
_MARKED = re.compile(rb'"\\u0000(-?[0-9.]+)"')
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def bounded(text: bytes) -> bytes:
    """Return a text, or its digest."""
    if len(text) <= LONG_BYTES and not text.startswith(DIGEST):
        return text
    return DIGEST + sha256(text).hexdigest().encode()


def one_json(texts: Sequence[bytes], *, ours: bool = False) -> list[bytes]:
    """Return JSON in one form, whichever database gives it; digests stay. What is `ours` our own encoder has made: only
    its numbers may have another form. All at once takes a third of the time; what nobody can decode stays as it is."""
    plain = [text for text in texts if not text.startswith(DIGEST)]
    joined = b"[" + b",".join(plain) + b"]"
    broken = b"." in joined or b"e+" in joined or _EXPONENT.search(joined) is not None  # a number, or a text like one
    if ours and not broken:
        encoded = plain
    else:
        try:
            values = json.loads(joined, parse_float=_digits) if broken else from_json(joined)
            encoded = _encoded(values)
        except (ValueError, RecursionError):
            return [*texts] if len(texts) == 1 else [one_json([text], ours=ours)[0] for text in texts]
    if max(map(len, encoded), default=0) > LONG_BYTES:
        encoded = [*map(bounded, encoded)]
    if len(plain) == len(texts):
        return encoded
    one_by_one = iter(encoded)
    return [text if text.startswith(DIGEST) else next(one_by_one) for text in texts]


def _encoded(values: list[Any]) -> list[bytes]:
    mark, marked = _BETWEEN
    spread = [mark] * (2 * len(values) - 1)
    spread[::2] = values
    return _ENCODE(spread)[1:-1].encode().split(marked) if values else []


def _digits(number: str) -> int | str:
    """Return every digit of a number that is no plain integer, behind a character that no stored text has."""
    digits = format(Decimal(number), "f")
    return "\0" + digits if "." in digits else int(digits)


def json_columns(table: Table) -> list[int]:
    """Return where a table's rows hold JSON."""
    return [index for index, kind in enumerate(table.columns.values()) if kind is Kind.JSON]


def with_one_json(rows: list[ComparableRow], indexes: Sequence[int], *, ours: bool = False) -> list[ComparableRow]:
    """Return rows with the JSON at these places in one form."""
    if not indexes:
        return rows
    columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
    for index in indexes:
        changed = iter(one_json([text for text in columns[index] if text is not None], ours=ours))
        columns[index] = [None if text is None else next(changed) for text in columns[index]]
    return [*zip(*columns, strict=True)]


def text_of(value: Value) -> str | None:
    """Return a value as a person reads it."""
    if isinstance(value, bytes):
        return _MARKED.sub(rb"\1", value).decode(errors="backslashreplace")
    return None if value is None else str(value)
