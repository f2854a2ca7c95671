"""CounterDelta: how far a running counter moved, over wraps and resets.

A step back is a wrap when the counter has a width and the step across the wrap is shorter than half
of its range; any other step back is a reset, and what it shows afterwards was counted since.
"""

from __future__ import annotations

from typing import Final

from isthmus.model.query import CounterDelta

OPERATOR = CounterDelta
ASKS = ("samples", "opening")
DUCKDB: Final = """
WITH numbers AS (
    SELECT tag, time_ns, num, i64::HUGEINT AS i FROM
        (SELECT tag, time_ns, num, i64, usable FROM opening
         UNION ALL SELECT tag, time_ns, num, i64, usable FROM samples)
    WHERE usable AND num IS NOT NULL),
steps AS (
    SELECT tag, time_ns, num, coalesce((i - lag(i) OVER w)::DOUBLE, num - lag(num) OVER w) AS step
    FROM numbers WINDOW w AS (PARTITION BY tag ORDER BY time_ns))
SELECT tag, time_ns - time_ns % $bucket AS bucket_ns,
       sum(CASE WHEN step >= 0 THEN step
                WHEN $range > 0 AND step + $range >= 0 AND step + $range < $range / 2 THEN step + $range
                ELSE num END) AS delta
FROM steps WHERE step IS NOT NULL AND time_ns >= $start GROUP BY tag, bucket_ns ORDER BY tag, bucket_ns
"""
SPARK: Final = """
WITH numbers AS (
    SELECT tag, time_ns, num, cast(i64 AS decimal(20, 0)) AS i FROM
        (SELECT tag, time_ns, num, i64, usable FROM opening
         UNION ALL SELECT tag, time_ns, num, i64, usable FROM samples)
    WHERE usable AND num IS NOT NULL),
steps AS (
    SELECT tag, time_ns, num,
           coalesce(cast(i - lag(i) OVER (PARTITION BY tag ORDER BY time_ns) AS double),
                    num - lag(num) OVER (PARTITION BY tag ORDER BY time_ns)) AS step
    FROM numbers)
SELECT tag, bucket_ns,
       sum(CASE WHEN step >= 0 THEN step
                WHEN $range > 0 AND step + $range >= 0 AND step + $range < $range / 2 THEN step + $range
                ELSE num END) AS delta
FROM (SELECT *, time_ns - time_ns % $bucket AS bucket_ns FROM steps WHERE step IS NOT NULL AND time_ns >= $start)
GROUP BY tag, bucket_ns
"""


def parameters(operator: CounterDelta) -> dict[str, object]:
    """The bucket's length, and the number of values a counter of this width has; 0 when it never wraps."""
    return {"bucket": operator.bucket_ns, "range": float(1 << operator.width) if operator.width else 0.0}
