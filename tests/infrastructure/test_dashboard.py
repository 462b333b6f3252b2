"""The dashboard for Grafana asks for what a connection really says, and as it may be asked."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import promql_parser as promql
import pytest
from prometheus_client import CollectorRegistry

from claude_tiu import connect, register_metrics
from claude_tiu.infrastructure.metrics import METRICS
from tests.support.busy import keep_busy
from tests.support.dashboard import asked, dashboard, quantiles, queries, with_values
from tests.support.postgres_server import database_url, new_database

OF_A_SCRAPE = {"instance", "job"}
NOT_SHOWN = {"claude_tiu_log_position", "claude_tiu_checkpoint_position"}
"""Their difference is."""

Series = dict[str, tuple[str, set[str]]]


@pytest.fixture(scope="module")
def series(pg_server: str, pg_template: str) -> Series:
    """Each series that a busy connection says, with its type and its labels."""
    registry, found = CollectorRegistry(), Series()
    with (
        new_database(pg_server, "dashboard", pg_template) as name,
        connect(database_url(pg_server, name), project=False) as tiu,
    ):
        register_metrics(tiu, registry)
        keep_busy(tiu)
        for metric in registry.collect():
            for sample in metric.samples:
                found.setdefault(sample.name, (metric.type, set()))[1].update(sample.labels)
    return found


def faults(expression: str, series: Series) -> list[str]:
    """Return what is wrong with a query. Raises ValueError where it is none."""
    parsed: Any = promql.parse(expression)
    found = []
    for one in asked(parsed):
        if one.series not in series:
            found.append(f"{one.series}: is not there")
            continue
        kind, labels = series[one.series]
        if unknown := one.labels - labels - OF_A_SCRAPE:
            found.append(f"{one.series}: has no {', '.join(sorted(unknown))}")
        if one.rate != (kind in ("counter", "histogram")):
            found.append(f"{one.series}: a {kind}, {'its' if one.rate else 'not its'} rate")
    for inner in quantiles(parsed):
        if not all(one.series.endswith("_bucket") and "le" in one.labels for one in asked(inner)):
            found.append("a quantile of what are no buckets, or without le")
    return found


def test_every_query_asks_for_what_is_there(series: Series) -> None:
    assert len(queries()) >= 25
    assert [(title, told) for title, expression in queries() if (told := faults(expression, series))] == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(claude_tiu_command_total[1m])", "claude_tiu_command_total: is not there"),
        ("rate(claude_tiu_projector_lag_events[1m])", "claude_tiu_projector_lag_events: a gauge, its rate"),
        ("sum(claude_tiu_commands_total)", "claude_tiu_commands_total: a counter, not its rate"),
        ('rate(claude_tiu_commands_total{type="x"}[1m])', "claude_tiu_commands_total: has no type"),
        ("sum by (kind) (rate(claude_tiu_commands_total[1m]))", "claude_tiu_commands_total: has no kind"),
        (
            "histogram_quantile(0.9, sum(rate(claude_tiu_append_duration_seconds_bucket[1m])))",
            "a quantile of what are no buckets, or without le",
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(claude_tiu_append_duration_seconds_sum[1m])))",
            "claude_tiu_append_duration_seconds_sum: has no le",
        ),
    ],
)
def test_a_wrong_query_is_found(expression: str, fault: str, series: Series) -> None:
    assert fault in faults(expression, series)


def test_every_metric_is_shown() -> None:
    shown = {one.series for _, expression in queries() for one in asked(promql.parse(expression))}
    assert {name for name in METRICS if not any(one.startswith(name) for one in shown)} == NOT_SHOWN


def test_a_busy_connection_says_all_there_is(series: Series) -> None:
    """So that no query is held against less than what there can be."""
    assert [name for name in METRICS if not any(one.startswith(name) for one in series)] == []


def test_its_variables_are_filled_from_what_is_there(series: Series) -> None:
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            name, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").split(", ")
            assert label in series[name][1] | OF_A_SCRAPE
    assert [title for title, expression in queries() if "$" in with_values(expression)] == []


def test_panels_have_a_meaning_and_a_place_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] != "row" and not panel["description"]] == []
    places = sorted((place["y"], place["x"], place["w"], place["h"]) for place in (p["gridPos"] for p in panels))
    for (y, x, w, h), (other_y, other_x, _, _) in pairwise(places):
        assert other_x >= x + w if other_y == y else other_y >= y + h
        assert x + w <= 24
