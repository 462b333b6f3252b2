"""The dashboard's queries, and what each asks of which metric."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql

DASHBOARD = Path(__file__).parents[2] / "infrastructure" / "grafana" / "claude-tiu.json"
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$projection": ".*", "$subscription": ".*"}
COUNTING = ("rate", "increase", "irate")
"""Functions of what only rises."""


class Asked(NamedTuple):
    """What a query asks of one series: its labels, whether its rate, and in a quantile or not."""

    series: str
    labels: frozenset[str]
    rate: bool


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def queries() -> list[tuple[str, str]]:
    """Return the title of each panel and each of its queries, with variables as Grafana would fill them in."""
    return [
        (panel["title"], with_values(target["expr"]))
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]


def with_values(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def asked(expression: Any, rate: bool = False) -> Iterator[Asked]:
    """Yield what a parsed query asks of each series."""
    match expression:
        case promql.VectorSelector():
            labels = [matcher.name for matcher in expression.matchers.matchers]
            yield Asked(str(expression.name), frozenset(labels), rate)
        case promql.MatrixSelector():
            yield from asked(expression.vector_selector, rate)
        case promql.Call():
            for argument in expression.args:
                yield from asked(argument, expression.func.name in COUNTING)
        case promql.AggregateExpr():
            grouped = frozenset(expression.modifier.labels if expression.modifier else ())
            for one in asked(expression.expr, rate):
                yield one._replace(labels=one.labels | grouped)
        case promql.BinaryExpr():
            yield from asked(expression.lhs, rate)
            yield from asked(expression.rhs, rate)
        case promql.ParenExpr():
            yield from asked(expression.expr, rate)
        case promql.NumberLiteral():
            return
        case _:
            raise TypeError(f"{type(expression).__name__}: not told apart yet")


def quantiles(expression: Any) -> Iterator[Any]:
    """Yield what each histogram_quantile is made of."""
    match expression:
        case promql.Call():
            if expression.func.name == "histogram_quantile":
                yield expression.args[1]
            for argument in expression.args:
                yield from quantiles(argument)
        case promql.AggregateExpr() | promql.ParenExpr():
            yield from quantiles(expression.expr)
        case promql.BinaryExpr():
            yield from quantiles(expression.lhs)
            yield from quantiles(expression.rhs)
