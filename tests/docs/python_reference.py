"""docs/reference/python.md: what Python code calls, from the code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

import claude_tiu
import claude_tiu.projections
import claude_tiu.testing
from claude_tiu import Command, Event, TiuError
from claude_tiu.infrastructure.audit.as_of import AsOf
from claude_tiu.infrastructure.checkpoints import Lag
from claude_tiu.infrastructure.monitor import Monitor
from claude_tiu.infrastructure.queries import Queries
from tests.docs.markdown import code, page, prose

REACHED: dict[str, type] = {"Queries": Queries, "AsOf": AsOf, "Monitor": Monitor, "Lag": Lag}
"""What is no public name, but what public ones lead to."""


ALIASES = {
    "Change": "an `Insert`, an `Update`, a `Delete` or an `Operation`",
    "Handler": "a function of (`Recorded`, the event, `Rows`) that gives changes, in order",
    "Row": "a mapping of columns to values",
}
"""The names of types that are no classes."""


def python_page() -> str:
    """Return docs/reference/python.md."""
    public = {name: getattr(claude_tiu, name) for name in claude_tiu.__all__}
    told = {name: value for name, value in public.items() if not _has_its_own_page(value)}
    functions = {name: value for name, value in told.items() if inspect.isfunction(value)}
    classes = {name: value for name, value in told.items() if inspect.isclass(value)} | REACHED
    return page(
        "Python",
        "`import claude_tiu` gives these names, the [commands](commands.md), the [events](events.md) and the "
        "[errors](errors.md). Whatever begins with an underscore, and whatever is imported from further inside, may "
        "change at any time.",
        *(f"## {name}\n\n{_called(name, value)}" for name, value in functions.items()),
        *(f"## {name}\n\n{_described(value)}" for name, value in sorted(classes.items())),
    )


def testing_page() -> str:
    """Return docs/reference/testing.md."""
    values = {name: getattr(claude_tiu.testing, name) for name in claude_tiu.testing.__all__}
    functions = {name: value for name, value in values.items() if inspect.isfunction(value)}
    classes = {name: value for name, value in values.items() if inspect.isclass(value)}
    return page(
        "Test kit",
        "`import claude_tiu.testing` gives these names; it wants the extra `test-kit`, and belongs into tests alone. "
        "[How to test](../how-to/test.md) shows them at work. `AT` is "
        f"{code(claude_tiu.testing.AT.isoformat())}, when whatever says no other time occurs.",
        *(f"## {name}\n\n{_called(name, value)}" for name, value in functions.items()),
        *(f"## {name}\n\n{_described(value)}" for name, value in classes.items()),
    )


def projections_page() -> str:
    """Return docs/reference/projections.md."""
    values = {name: getattr(claude_tiu.projections, name) for name in claude_tiu.projections.__all__}
    functions = {name: value for name, value in values.items() if inspect.isfunction(value)}
    classes = {name: value for name, value in values.items() if inspect.isclass(value)}
    assert values.keys() == functions.keys() | classes.keys() | ALIASES.keys()
    return page(
        "Projections",
        "`import claude_tiu.projections` gives what a projection of a service's own is written with: ours are written "
        "with the same. [How to write one](../how-to/write-a-projection.md) shows it at work.",
        *(f"## {name}\n\n{_called(name, value)}" for name, value in functions.items()),
        *(f"## {name}\n\n{_described(value)}" for name, value in classes.items()),
        "## Types\n\n" + "\n".join(f"- {code(name)}: {says}" for name, says in ALIASES.items()),
    )


def _has_its_own_page(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Command | Event | TiuError)


def _called(name: str, value: Any) -> str:
    return f"```text\n{name}{signature_of(value)}\n```\n\n{prose(inspect.getdoc(value))}"


def _described(kind: type) -> str:
    return prose(inspect.getdoc(kind)) + "\n\n" + "\n".join(members_of(kind))


def members_of(kind: type) -> Iterator[str]:
    """Yield a public class's fields, properties and methods, each as a line of a list."""
    if issubclass(kind, Enum):
        yield from (f"- {code(name)}" for name in kind.__members__)
    for name, text in fields_of(kind).items():
        yield "- " + code(f"{name}: {text}")
    for name, value in sorted(vars(kind).items()):
        if name.startswith("_") or name in fields_of(kind):
            continue
        if isinstance(value, property):
            yield f"- {code(f'{name}: {_returns(value)}')} {_line(value.__doc__)}"
        elif callable(value) or isinstance(value, classmethod):
            called = getattr(kind, name)
            yield f"- {code(name + signature_of(called))} {_line(inspect.getdoc(called))}"


def _line(docstring: str | None) -> str:
    return " ".join((docstring or "").split())


def fields_of(kind: type) -> dict[str, str]:
    """Return the public fields that a class declares, and their types as they are written."""
    declared = vars(kind).get("__annotations__", {})
    texts = {name: str(getattr(text, "__forward_arg__", text)) for name, text in declared.items()}
    return {name: text for name, text in texts.items() if not name.startswith("_") and "ClassVar" not in text}


def _returns(value: property) -> str:
    return str(inspect.signature(value.fget).return_annotation) if value.fget else ""


def signature_of(value: Any) -> str:
    """Return how something is called, without the object that it is called on."""
    signature = inspect.signature(value)
    kept = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    return str(signature.replace(parameters=kept)).replace("'", "")
