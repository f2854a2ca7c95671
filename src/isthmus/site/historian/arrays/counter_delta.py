"""CounterDelta: the steps from each usable number to the next, added up by bucket."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import CounterDelta
from isthmus.site.historian.arrays.held import MOST_ROWS
from isthmus.site.historian.points import numbers, starts
from isthmus.site.historian.rollup import Use
from isthmus.site.historian.rows import INT, Rows
from isthmus.site.historian.view import Asked

OPERATORS: Final = (CounterDelta,)
_HALF: Final = 1 << 62
"""The difference of two whole numbers nearer to 0 than this fits 64 bits."""


def answer(operator: CounterDelta, asked: Asked, use: Use | None) -> pa.Table | None:
    """As the operator says; None when there are too many samples, or numbers too large to be subtracted exactly."""
    del use
    view, tags, start_ns, end_ns, late = asked
    if view.weight(tags, start_ns, end_ns) + late.size > MOST_ROWS:
        return None
    rows = view.rows(tags, start_ns, end_ns, [view.before(tags, start_ns)])
    number, is_number = numbers(rows)
    if not is_number.all():
        which = np.flatnonzero(is_number)
        rows, number = rows.take(which), number[which]
    step = _steps(rows, number)
    if step is None:
        return None
    span = float(1 << operator.width) if operator.width else 0.0
    back = step < 0
    if back.any():
        wrapped = (span > 0) & (step + span >= 0) & (step + span < span / 2)
        step = np.where(back, np.where(wrapped, step + span, number[1:]), step)
    which = np.flatnonzero(rows.tag[1:] == rows.tag[:-1])
    rows, step = rows.take(which + 1), step[which]
    begins = starts(rows, operator.bucket_ns)
    time_ns = rows.time_ns[begins]
    return pa.table(
        {
            "tag": rows.tag[begins],
            "bucket_ns": time_ns - time_ns % operator.bucket_ns,
            "delta": np.add.reduceat(step, begins) if len(begins) else step,
        }
    )


def _steps(rows: Rows, number: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """From each row to the next; whole numbers are subtracted as such, so that large counters keep their ones."""
    whole = rows.form == INT
    if not whole.any():
        return np.diff(number)
    if not whole.all() or int(rows.bits.max()) >= _HALF or int(rows.bits.min()) <= -_HALF:
        return None
    return np.diff(rows.bits).astype(np.float64)
