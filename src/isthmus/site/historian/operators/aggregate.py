"""Aggregate: minimum, maximum, mean, first and last by bucket."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import Aggregate

OPERATOR = Aggregate
ASKS = ("samples",)
DUCKDB: Final = """
SELECT tag, time_ns - time_ns % $bucket AS bucket_ns, count(*) AS n, count(*) FILTER (usable) AS n_good,
       min(num) FILTER (usable) AS min, max(num) FILTER (usable) AS max, avg(num) FILTER (usable) AS mean,
       arg_min(num, time_ns) FILTER (usable) AS first, arg_max(num, time_ns) FILTER (usable) AS last
FROM samples GROUP BY ALL ORDER BY ALL
"""


def parameters(operator: Aggregate) -> dict[str, object]:
    """The bucket's length."""
    return {"bucket": operator.bucket_ns}
