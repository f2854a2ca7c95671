"""CounterDelta: the steps from each usable number to the next, added up by bucket."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import CounterDelta
from isthmus.model.time import NS_PER_DAY
from isthmus.site.historian.asking.arrays.held import MOST_ROWS
from isthmus.site.historian.asking.arrays.parts import Piece, Rolled, lengths, pieces, rolled
from isthmus.site.historian.memory.points import numbers, starts
from isthmus.site.historian.memory.rows import INT, Rows, concat, last_arrival_wins
from isthmus.site.historian.sealed.rollup import FALLS, Use
from isthmus.site.historian.sealed.view import Asked

OPERATORS: Final = (CounterDelta,)
_FEW_BUCKETS: Final = 8
"""Where numbers fall in more buckets of a rollup, all samples of their tags are read."""
_HALF: Final = 1 << 62
"""The difference of two whole numbers nearer to 0 than this fits 64 bits."""


def answer(operator: CounterDelta, asked: Asked, use: Use | None) -> pa.Table | None:
    """As the operator says; None when there are too many samples, or numbers too large to be subtracted exactly."""
    rows = _rows(operator, asked, use)
    if rows is None:
        return None
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


def _rows(operator: CounterDelta, asked: Asked, use: Use | None) -> Rows | None:
    """Rows whose steps add up to those of all samples; None when they are too many.

    While a counter only rises, so do the rows that a rollup kept of a bucket. Where it falls, which is
    where it wraps or begins anew, every sample is read.
    """
    view, tags, start_ns, end_ns, late = asked
    found = list(pieces(asked, use))
    if sum(each.weight for each in found) + late.size > MOST_ROWS:
        return None
    opening = view.opening(operator, tags, start_ns)
    if use is None:
        return view.rows(tags, start_ns, end_ns, [opening])
    parts = [opening]
    plain = [each for each in found if not each.segment.bucket_ns]
    for piece in found:
        buckets = rolled(piece) if piece.segment.bucket_ns else None
        if buckets:
            rising, falling = _apart(piece, buckets)
            parts.append(rising)
            plain += falling
    if sum(each.weight for each in plain) > MOST_ROWS:
        return None
    parts += [each.rows for piece in plain for each in piece.points()]
    return last_arrival_wins(concat([*parts, late]))


def _apart(piece: Piece, found: Rolled) -> tuple[Rows, list[Piece]]:
    """The rows of buckets in which numbers only rise, and what is to be read of samples for the others."""
    falls = (found.marks & FALLS) > 0
    if not falls.any():
        return found.rows, []
    width = piece.segment.bucket_ns
    tag, bucket = found.rows.tag[found.begins], found.rows.time_ns[found.begins] // width
    buckets = np.unique(bucket[falls])
    if len(buckets) > _FEW_BUCKETS:
        falls = np.isin(tag, tag[falls])
        stretches = [(np.unique(tag[falls]), piece.start_ns, piece.end_ns)]
    else:
        stretches = [
            (np.unique(tag[falls & (bucket == each)]), each * width, (each + 1) * width) for each in buckets.tolist()
        ]
    rising = found.rows.take(np.flatnonzero(~np.repeat(falls, lengths(found.begins, found.rows.size))))
    day_ns = piece.segment.day * NS_PER_DAY
    return rising, [
        Piece(piece.asked, segment, tags, max(start_ns, day_ns), min(end_ns, day_ns + NS_PER_DAY))
        for tags, start_ns, end_ns in stretches
        for segment in piece.asked.view.segments_of(tags, start_ns, end_ns)
        if segment.day == piece.segment.day
    ]


def _steps(rows: Rows, number: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """From each row to the next; whole numbers are subtracted as such, so that large counters keep their ones."""
    whole = rows.form == INT
    if not whole.any():
        return np.diff(number)
    if not whole.all() or int(rows.bits.max()) >= _HALF or int(rows.bits.min()) <= -_HALF:
        return None
    return np.diff(rows.bits).astype(np.float64)
