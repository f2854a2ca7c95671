"""TimeWeightedMean: the mean by bucket, each value weighted by how long it held."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import TimeWeightedMean

OPERATOR = TimeWeightedMean
ASKS = ("parts",)
DUCKDB: Final = """
SELECT tag, bucket AS bucket_ns, sum(num * (until - since)) / sum(until - since)::DOUBLE AS mean,
       sum(until - since)::BIGINT AS good_ns
FROM parts WHERE usable AND num IS NOT NULL GROUP BY ALL ORDER BY tag, bucket_ns
"""
SPARK: Final = """
SELECT tag, bucket AS bucket_ns, sum(num * (until - since)) / cast(sum(until - since) AS double) AS mean,
       sum(until - since) AS good_ns
FROM parts WHERE usable AND num IS NOT NULL GROUP BY tag, bucket
"""


def parameters(operator: TimeWeightedMean) -> dict[str, object]:
    """The bucket's length, and where one begins."""
    return {"bucket": operator.bucket_ns, "shift": operator.origin_ns % operator.bucket_ns}
