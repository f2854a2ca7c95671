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


def parameters(operator: AsOf) -> dict[str, object]:
    """The moments."""
    return {"at": list(operator.at_ns)}
