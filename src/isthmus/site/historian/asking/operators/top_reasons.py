"""TopReasons: the values that held longest, and how often each began."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import TopReasons

OPERATOR = TopReasons
ASKS = ("held",)
DUCKDB: Final = """
SELECT word AS value, sum(until - since)::BIGINT AS duration_ns, count(*) FILTER (begins) AS n
FROM (SELECT *, word IS DISTINCT FROM lag(word) OVER (PARTITION BY tag ORDER BY since) AS begins FROM held)
WHERE word IS NOT NULL GROUP BY word ORDER BY duration_ns DESC, value LIMIT $limit
"""
SPARK: Final = """
SELECT word AS value, sum(until - since) AS duration_ns,
       sum(CASE WHEN before IS NULL OR word <> before THEN 1 ELSE 0 END) AS n
FROM (SELECT *, lag(word) OVER (PARTITION BY tag ORDER BY since) AS before FROM held)
WHERE word IS NOT NULL GROUP BY word
"""


def parameters(operator: TopReasons) -> dict[str, object]:
    """How many are wanted."""
    return {"limit": operator.limit}
