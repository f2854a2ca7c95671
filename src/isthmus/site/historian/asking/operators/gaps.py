"""Gaps: stretches without a usable value."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import Gaps

OPERATOR = Gaps
ASKS = ("held",)
DUCKDB: Final = """
WITH edges AS (
    SELECT tag, $start AS since, $start AS until FROM asked
    UNION ALL SELECT tag, since, until FROM held WHERE usable
    UNION ALL SELECT tag, $end, $end FROM asked)
SELECT tag, start_ns, end_ns FROM (
    SELECT tag, lag(until) OVER (PARTITION BY tag ORDER BY since, until) AS start_ns, since AS end_ns FROM edges)
WHERE end_ns - start_ns > $longer ORDER BY tag, start_ns
"""
SPARK: Final = """
WITH edges AS (
    SELECT tag, $start AS since, $start AS until FROM asked
    UNION ALL SELECT tag, since, until FROM held WHERE usable
    UNION ALL SELECT tag, $end, $end FROM asked)
SELECT tag, start_ns, end_ns FROM (
    SELECT tag, lag(until) OVER (PARTITION BY tag ORDER BY since, until) AS start_ns, since AS end_ns FROM edges)
WHERE end_ns - start_ns > $longer
"""


def parameters(operator: Gaps) -> dict[str, object]:
    """How long a stretch must be to be told."""
    return {"longer": operator.longer_ns}
