"""Coverage: how much of each bucket was observed."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import Coverage

OPERATOR = Coverage
ASKS = ("samples", "parts")
DUCKDB: Final = """
SELECT tag, bucket_ns, sum(good_ns)::BIGINT AS good_ns, sum(bad_ns)::BIGINT AS bad_ns, sum(n)::BIGINT AS n
FROM (
    SELECT tag, bucket AS bucket_ns, CASE WHEN usable THEN until - since ELSE 0 END AS good_ns,
           CASE WHEN usable THEN 0 ELSE until - since END AS bad_ns, 0 AS n
    FROM parts
    UNION ALL
    SELECT tag, time_ns - time_ns % $bucket, 0, 0, 1 FROM samples)
GROUP BY tag, bucket_ns ORDER BY tag, bucket_ns
"""
SPARK: Final = """
SELECT tag, bucket_ns, sum(good_ns) AS good_ns, sum(bad_ns) AS bad_ns, sum(n) AS n
FROM (
    SELECT tag, bucket AS bucket_ns, CASE WHEN usable THEN until - since ELSE 0L END AS good_ns,
           CASE WHEN usable THEN 0L ELSE until - since END AS bad_ns, 0L AS n
    FROM parts
    UNION ALL
    SELECT tag, time_ns - time_ns % $bucket, 0L, 0L, 1L FROM samples)
GROUP BY tag, bucket_ns
"""


def parameters(operator: Coverage) -> dict[str, object]:
    """The bucket's length."""
    return {"bucket": operator.bucket_ns, "shift": 0}
