"""Test a service that embeds claude-tiu: given / when / then, and histories that Hypothesis draws.

    pip install 'claude-tiu[test-kit]'

Nothing else of the package imports this. Raises MissingExtra when it is imported without Hypothesis.
"""

try:
    import hypothesis  # noqa: F401 - for its error alone
except ImportError:
    from ..infrastructure.errors import MissingExtra

    raise MissingExtra("claude_tiu.testing needs Hypothesis: pip install 'claude-tiu[test-kit]'") from None

from .checking import check_projection
from .histories import histories
from .history import History
from .model.machine import machine_for
from .names import AT, uid
from .rows import BrokenProjection
from .scenario import Given, ThenRows, When, given
from .strategies import commands, events

__all__ = [
    "AT",
    "BrokenProjection",
    "Given",
    "History",
    "ThenRows",
    "When",
    "check_projection",
    "commands",
    "events",
    "given",
    "histories",
    "machine_for",
    "uid",
]
