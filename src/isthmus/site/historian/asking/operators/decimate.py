"""Decimate: few points that look like all of them.

`minmax` is all SQL. `lttb` takes four times as many extremes from SQL and picks among them with
`largest_triangles` (MinMaxLTTB; Van Der Donckt and others, 2023), as each choice hangs on the one
before it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.model.query import Decimate
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE

OPERATOR = Decimate
ASKS = ("samples",)
_ROUNDED_FROM: Final = 4
FEWEST: Final = 4
"""Two stretches may be touched at least, of which two points each are kept."""
PRESELECTED: Final = 4
"""Extremes looked at for each point that LTTB returns."""
DUCKDB: Final = """
WITH numbers AS (
    SELECT tag, time_ns, num, time_ns // $width AS stretch, good FROM samples
    WHERE usable AND num IS NOT NULL),
few AS (SELECT tag FROM numbers GROUP BY tag HAVING sum(good) <= $points),
extremes AS (
    SELECT tag, stretch, min(struct_pack(num := num, time_ns := time_ns)) AS low,
           max(struct_pack(num := num, time_ns := -time_ns)) AS high
    FROM numbers WHERE tag NOT IN (FROM few) GROUP BY tag, stretch)
SELECT tag, time_ns, num AS value FROM numbers WHERE tag IN (FROM few)
UNION
SELECT tag, low.time_ns, low.num FROM extremes
UNION
SELECT tag, -high.time_ns, high.num FROM extremes
ORDER BY tag, time_ns
"""
SPARK: Final = """
WITH numbers AS (
    SELECT tag, time_ns, num + 0.0D AS num, time_ns DIV $width AS stretch, good FROM samples
    WHERE usable AND num IS NOT NULL),
few AS (SELECT tag FROM numbers GROUP BY tag HAVING sum(good) <= $points),
extremes AS (
    SELECT tag, stretch, min(named_struct('num', num, 'time_ns', time_ns)) AS low,
           max(named_struct('num', num, 'time_ns', -time_ns)) AS high
    FROM numbers LEFT ANTI JOIN few USING (tag) GROUP BY tag, stretch)
SELECT tag, time_ns, num AS value FROM numbers LEFT SEMI JOIN few USING (tag)
UNION
SELECT tag, low.time_ns, low.num FROM extremes
UNION
SELECT tag, -high.time_ns, high.num FROM extremes
"""


def parameters(operator: Decimate) -> dict[str, object]:
    """How many points; the width of a stretch is added by the engine, which knows the edges."""
    return {"points": wanted(operator)}


def wanted(operator: Decimate) -> int:
    """How many points are taken from SQL."""
    return max(operator.points, FEWEST) * (PRESELECTED if operator.method == "lttb" else 1)


def width_ns(operator: Decimate, start_ns: int, end_ns: int) -> int:
    """The length of the stretches of which both extremes are kept, in ns; one begins at 1970-01-01T00:00Z.

    One stretch more than fits may be touched. Long ones are whole minutes or hours, so that rollups
    answer exactly what samples do.
    """
    stretches = max(wanted(operator) // 2 - 1, 1)
    width = max(-(-(end_ns - start_ns) // stretches), 1)
    for unit in (NS_PER_HOUR, NS_PER_MINUTE):
        if width >= _ROUNDED_FROM * unit:
            return -(-width // unit) * unit
    return width


def largest_triangles(time_ns: NDArray[np.int64], value: NDArray[np.float64], points: int) -> NDArray[np.intp]:
    """Which points to keep so that the drawn line changes least (Steinarsson 2013). First and last stay.

    Shapes (samples,); at most `points` indices come back, in order.
    """
    count = len(time_ns)
    if count <= points or points < 3:  # noqa: PLR2004  two ends and one between
        return np.arange(count) if count <= points else np.arange(count)[: max(points, 0)]
    edges = np.linspace(1, count - 1, points - 1).astype(np.intp)
    # Seconds from the first sample: a double holds them without losing what matters to a drawing.
    seconds = (time_ns - time_ns[0]) / 1e9
    keep = np.zeros(points, np.intp)
    keep[-1] = count - 1
    for at in range(points - 2):
        here = slice(edges[at], edges[at + 1])
        after = slice(edges[at + 1], edges[at + 2] if at + 2 < len(edges) else count)
        ahead = (seconds[after].mean(), value[after].mean())
        x, y = seconds[keep[at]], value[keep[at]]
        area = np.abs((x - ahead[0]) * (value[here] - y) - (x - seconds[here]) * (ahead[1] - y))
        keep[at + 1] = edges[at] + int(np.argmax(area))
    return keep
