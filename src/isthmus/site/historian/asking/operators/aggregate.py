"""Aggregate: minimum, maximum, mean, first and last by bucket."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import Aggregate

OPERATOR = Aggregate
ASKS = ("samples",)
DUCKDB: Final = """
SELECT tag, time_ns - time_ns % $bucket AS bucket_ns, sum(n)::BIGINT AS n, sum(good)::BIGINT AS n_good,
       min(num) FILTER (usable) AS min, max(num) FILTER (usable) AS max, sum(total) / sum(good) AS mean,
       arg_min(num, time_ns) FILTER (usable) AS first, arg_max(num, time_ns) FILTER (usable) AS last
FROM samples GROUP BY ALL ORDER BY ALL
"""
SPARK: Final = """
SELECT tag, bucket_ns, sum(n) AS n, sum(good) AS n_good,
       min(num) FILTER (WHERE usable) AS min, max(num) FILTER (WHERE usable) AS max,
       sum(total) / nullif(sum(good), 0) AS mean,
       min_by(num, time_ns) FILTER (WHERE usable) AS first, max_by(num, time_ns) FILTER (WHERE usable) AS last
FROM (SELECT *, time_ns - time_ns % $bucket AS bucket_ns FROM samples) GROUP BY tag, bucket_ns
"""


def parameters(operator: Aggregate) -> dict[str, object]:
    """The bucket's length."""
    return {"bucket": operator.bucket_ns}
