"""docs/reference/observability.md: metrics, spans and log messages, from the code."""

from __future__ import annotations

from claude_tiu.infrastructure.logs import FIELDS, PREFIX
from claude_tiu.infrastructure.metrics import METRICS
from claude_tiu.infrastructure.span_names import ATTRIBUTES, SPANS
from tests.docs.markdown import code, page, table
from tests.support.log_calls import log_calls


def observability_page() -> str:
    """Return docs/reference/observability.md."""
    metrics = [(code(name), kept.kind, ", ".join(map(code, kept.labels)), kept.says) for name, kept in METRICS.items()]
    spans = [(code(name), kind.says, ", ".join(map(code, kind.attributes))) for name, kind in SPANS.items()]
    attributes = [(code(name), says) for name, says in ATTRIBUTES.items()]
    messages = [
        (code(str(call.event)), call.level, code(call.text), ", ".join(code(PREFIX + name) for name in call.fields))
        for call in sorted(log_calls(), key=lambda call: str(call.event))
    ]
    return page(
        "Metrics, spans and log messages",
        "[How to monitor it](../how-to/monitor.md) and [how to observe it](../how-to/observe.md) say what to do with "
        "them. Labels, and names of spans, are made of the names of commands, events, projections and errors: there "
        "are only so many. No label is an id, and nothing has what is a person's own.",
        "## Metrics",
        "`register_metrics`, extra `prometheus`. Gauges are read at a scrape; counters and histograms count what the "
        "connection did since it was registered.",
        table(["metric", "type", "labels", "is"], metrics),
        "## Spans",
        "`register_tracing`, extra `opentelemetry`.",
        table(["span", "is", "attributes"], spans),
        table(["attribute", "is"], attributes),
        "## Log messages",
        "Loggers are named like the modules, below `claude_tiu`. Each message has, beside its text, fields of the "
        f"record (`extra`), under names that begin with `{PREFIX}`; `{PREFIX}event` says which message it is.",
        table([code(f"{PREFIX}event"), "level", "text", "fields"], messages),
        table(["field", "is"], [(code(PREFIX + name), says) for name, says in FIELDS.items()]),
    )
