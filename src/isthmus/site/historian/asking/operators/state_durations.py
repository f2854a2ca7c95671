"""StateDurations: how long each value held in each window."""

from __future__ import annotations

from typing import Final

from isthmus.model.query import StateDurations

OPERATOR = StateDurations
ASKS = ("held",)
DUCKDB: Final = """
WITH windows AS (
    SELECT number::BIGINT AS number, greatest(start_ns, $start) AS start_ns, least(end_ns, $end) AS end_ns
    FROM (SELECT unnest(range(len($starts::BIGINT[]))) AS number, unnest($starts::BIGINT[]) AS start_ns,
                 unnest($ends::BIGINT[]) AS end_ns))
SELECT tag, number AS "window", word AS value,
       sum(least(until, end_ns) - greatest(since, start_ns))::BIGINT AS duration_ns
FROM held JOIN windows ON start_ns < end_ns AND since < end_ns AND until > start_ns
GROUP BY ALL ORDER BY tag, "window", value
"""
SPARK: Final = """
WITH windows AS (
    SELECT number, greatest(start_ns, $start) AS start_ns, least(element_at($ends, number + 1), $end) AS end_ns
    FROM (SELECT posexplode($starts) AS (number, start_ns)))
SELECT tag, cast(number AS bigint) AS `window`, word AS value,
       sum(least(until, end_ns) - greatest(since, start_ns)) AS duration_ns
FROM held JOIN windows ON start_ns < end_ns AND since < end_ns AND until > start_ns
GROUP BY tag, number, word
"""


def parameters(operator: StateDurations) -> dict[str, object]:
    """The windows' edges."""
    return {"starts": [each.start_ns for each in operator.windows], "ends": [each.end_ns for each in operator.windows]}
