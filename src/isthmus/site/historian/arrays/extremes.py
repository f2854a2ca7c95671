"""The extremes of a segment, remembered: a drawing that moves on by a second needs the newest samples alone.

A segment never changes, so what it says of a stretch never does either, except where a late sample
takes the place of one of its own. A late sample in the place of one that is no extreme changes nothing;
where it takes an extreme's, the segment is read again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.site.historian.arrays.parts import Piece, first_true, lengths
from isthmus.site.historian.points import Points, numbers, places, runs, starts
from isthmus.site.historian.rows import Rows


class Extremes(NamedTuple):
    """One row a stretch: its lowest and its highest usable number, and when each first was."""

    tag: NDArray[Any]
    stretch: NDArray[Any]
    low: NDArray[Any]
    low_ns: NDArray[Any]
    high: NDArray[Any]
    high_ns: NDArray[Any]


class Known(NamedTuple):
    """What a segment says of some tags: how many usable numbers each has, and their extremes."""

    tags: NDArray[np.int32]
    counted: NDArray[np.int64]
    extremes: Extremes

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return self.tags.nbytes + self.counted.nbytes + sum(column.nbytes for column in self.extremes)


def extremes(rows: Rows, number: NDArray[np.float64], is_number: NDArray[np.bool_], width_ns: int) -> Extremes:
    """The extremes of each stretch of rows in (tag, time) order."""
    begins = starts(rows, width_ns)
    count = lengths(begins, rows.size)
    every = bool(is_number.all())
    # What is no usable number is put where no extreme is looked for, which is cheaper than to leave it out.
    lowest = number if every else np.where(is_number, number, np.inf)
    highest = number if every else np.where(is_number, number, -np.inf)
    low, high = np.minimum.reduceat(lowest, begins), np.maximum.reduceat(highest, begins)
    at_low, at_high = number == np.repeat(low, count), number == np.repeat(high, count)
    if not every:
        at_low, at_high = at_low & is_number, at_high & is_number
        has = np.add.reduceat(is_number, begins, dtype=np.int64) > 0
        begins, low, high = begins[has], low[has], high[has]
    return Extremes(
        rows.tag[begins],
        rows.time_ns[begins] // width_ns,
        low,
        rows.time_ns[first_true(at_low, begins)],
        high,
        rows.time_ns[first_true(at_high, begins)],
    )


def counts(points: Points, is_number: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The tags, and of each how many usable numbers there are, those behind a rollup's rows too."""
    good = is_number if points.good is None else np.where(is_number, points.good, 0)
    begins = runs(points.rows.tag)[:-1]
    return points.rows.tag[begins], np.add.reduceat(good, begins, dtype=np.int64)


def remember(piece: Piece, width_ns: int, found: list[Points]) -> None:
    """Keep what a segment says, when all of its time was asked for: else it hangs on the question's edges."""
    if not piece.whole or not found or _key(piece, width_ns) in piece.asked.view.files.known:
        return
    parts = []
    counted: list[tuple[NDArray[np.int32], NDArray[np.int64]]] = []
    for points in found:
        number, is_number = numbers(points.rows)
        counted.append(counts(points, is_number))
        parts.append(extremes(points.rows, number, is_number, width_ns))
    tags, place = np.unique(np.concatenate([each[0] for each in counted]), return_inverse=True)
    count = np.zeros(len(tags), np.int64)
    np.add.at(count, place, np.concatenate([each[1] for each in counted]))
    known = Known(tags, count, Extremes(*(np.concatenate(column) for column in zip(*parts, strict=True))))
    piece.asked.view.files.known.put(_key(piece, width_ns), known)


def recall(piece: Piece, width_ns: int, most: int) -> Known | None:
    """What is remembered of a segment, when late rows leave it true and none of its tags may be wanted whole."""
    if not piece.whole:
        return None
    known = piece.asked.view.files.known.get(_key(piece, width_ns))
    if not isinstance(known, Known):
        return None
    late, segment = piece.asked.late, piece.segment
    near = (late.time_ns >= segment.time_min) & (late.time_ns <= segment.time_max)
    if (known.counted - int(near.sum()) <= most).any():
        return None
    tag, time_ns = late.tag[near], late.time_ns[near]
    for wanted_ns in (known.extremes.low_ns, known.extremes.high_ns):
        if places(tag, time_ns, known.extremes.tag, wanted_ns)[1].any():
            return None
    return known


def _key(piece: Piece, width_ns: int) -> tuple[str, int, bytes]:
    return piece.segment.path, width_ns, piece.tags.tobytes()
