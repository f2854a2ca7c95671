"""Raw: every sample, and what was in force when the stretch began."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import Raw

OPERATOR = Raw
ASKS = ("samples", "opening")
DUCKDB: Final = """
SELECT tag, time_ns, status, f64, i64, str FROM opening WHERE $before
UNION ALL
SELECT tag, time_ns, status, f64, i64, str FROM samples
ORDER BY tag, time_ns
"""
SPARK: Final = """
SELECT tag, time_ns, status, f64, i64, str FROM opening WHERE $before
UNION ALL
SELECT tag, time_ns, status, f64, i64, str FROM samples
"""


def parameters(operator: Raw) -> dict[str, object]:
    """Whether the samples before are wanted."""
    return {"before": operator.before}
