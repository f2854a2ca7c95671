"""Integral: value times seconds by bucket."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import Integral

OPERATOR = Integral
ASKS = ("parts",)
DUCKDB: Final = """
SELECT tag, bucket AS bucket_ns, sum(num * (until - since)) / 1e9 AS integral,
       sum(until - since)::BIGINT AS good_ns
FROM parts WHERE usable AND num IS NOT NULL GROUP BY ALL ORDER BY tag, bucket_ns
"""
SPARK: Final = """
SELECT tag, bucket AS bucket_ns, sum(num * (until - since)) / 1e9D AS integral, sum(until - since) AS good_ns
FROM parts WHERE usable AND num IS NOT NULL GROUP BY tag, bucket
"""


def parameters(operator: Integral) -> dict[str, object]:
    """The bucket's length."""
    return {"bucket": operator.bucket_ns, "shift": 0}
