"""Last: the newest sample of each tag before the end."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import Last
from isthmus.site.historian.asking.operators import no_parameters

OPERATOR = Last
ASKS = ("samples", "opening")
DUCKDB: Final = """
SELECT tag, time_ns, status, f64, i64, str
FROM (SELECT * FROM opening UNION ALL SELECT * FROM samples)
QUALIFY row_number() OVER (PARTITION BY tag ORDER BY time_ns DESC) = 1
ORDER BY tag
"""
SPARK: Final = """
SELECT tag, time_ns, status, f64, i64, str FROM (
    SELECT *, row_number() OVER (PARTITION BY tag ORDER BY time_ns DESC) AS back
    FROM (SELECT tag, time_ns, status, f64, i64, str FROM opening
          UNION ALL SELECT tag, time_ns, status, f64, i64, str FROM samples))
WHERE back = 1
"""
parameters = no_parameters
