"""AsOf: what was in force at each asked moment."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import AsOf

OPERATOR = AsOf
ASKS = ("samples", "opening")
DUCKDB: Final = """
SELECT asked.tag, at_ns, found.time_ns, found.status, found.f64, found.i64, found.str
FROM (SELECT tag, unnest($at::BIGINT[]) AS at_ns FROM asked) AS asked
ASOF JOIN (SELECT * FROM opening UNION ALL SELECT * FROM samples) AS found
ON asked.tag = found.tag AND asked.at_ns >= found.time_ns
ORDER BY asked.tag, at_ns
"""
SPARK: Final = """
SELECT tag, at_ns, found.time_ns, found.status, found.f64, found.i64, found.str
FROM (
    SELECT tag, moment AS at_ns, asks,
           last(found, true) OVER (PARTITION BY tag ORDER BY moment, asks
                                   ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS found
    FROM (
        SELECT tag, time_ns AS moment, 0 AS asks, named_struct('time_ns', time_ns, 'status', status, 'f64', f64,
               'i64', i64, 'str', str) AS found
        FROM (SELECT tag, time_ns, status, f64, i64, str FROM opening
              UNION ALL SELECT tag, time_ns, status, f64, i64, str FROM samples)
        UNION ALL
        SELECT tag, explode($at) AS moment, 1 AS asks, NULL AS found FROM asked))
WHERE asks = 1 AND found IS NOT NULL
"""


def parameters(operator: AsOf) -> dict[str, object]:
    """The moments."""
    return {"at": list(operator.at_ns)}
