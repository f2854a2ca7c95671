"""The extremes of a segment, remembered: a drawing that moves on by a second needs the newest samples alone.

Kept are those of all of a segment's time, whatever was asked of it; at the question's own edges, where a
stretch is cut, the segment is read. A segment never changes, so what it says of a stretch never does either, except where a late sample
takes the place of one of its own. A late sample in the place of one that is no extreme changes nothing;
where it takes an extreme's, the segment is read again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.site.historian.asking.arrays.parts import Piece, first_true, lengths
from isthmus.site.historian.memory.points import Points, numbers, places, runs, starts
from isthmus.site.historian.sealed.parquet import ALWAYS, FOR_EVER


class Extremes(NamedTuple):
    """One row a stretch: its lowest and its highest usable number, and when each first was."""

    tag: NDArray[Any]
    stretch: NDArray[Any]
    low: NDArray[Any]
    low_ns: NDArray[Any]
    high: NDArray[Any]
    high_ns: NDArray[Any]
    n: NDArray[Any]
    """How many usable numbers there are in it."""


class Known(NamedTuple):
    """What a segment says of some tags; `tags` are those that it has at all."""

    tags: NDArray[np.int32]
    extremes: Extremes

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return self.tags.nbytes + sum(column.nbytes for column in self.extremes)


class Recalled(NamedTuple):
    """What need not be read of a piece, with how many usable numbers each tag has there; and what is to be read."""

    tags: NDArray[np.int32]
    counted: NDArray[np.int64]
    extremes: Extremes
    edges: tuple[Piece, ...]


def extremes(points: Points, number: NDArray[np.float64], is_number: NDArray[np.bool_], width_ns: int) -> Extremes:
    """The extremes of each stretch of points in (tag, time) order."""
    rows = points.rows
    begins = starts(rows, width_ns)
    count = lengths(begins, rows.size)
    every = bool(is_number.all())
    # What is no usable number is put where no extreme is looked for, which is cheaper than to leave it out.
    lowest = number if every else np.where(is_number, number, np.inf)
    highest = number if every else np.where(is_number, number, -np.inf)
    low, high = np.minimum.reduceat(lowest, begins), np.maximum.reduceat(highest, begins)
    n = np.add.reduceat(_good(points, is_number), begins, dtype=np.int64)
    at_low, at_high = number == np.repeat(low, count), number == np.repeat(high, count)
    if not every:
        at_low, at_high = at_low & is_number, at_high & is_number
        has = np.add.reduceat(is_number, begins, dtype=np.int64) > 0
        n, begins, low, high = n[has], begins[has], low[has], high[has]
    return Extremes(
        rows.tag[begins],
        rows.time_ns[begins] // width_ns,
        low,
        rows.time_ns[first_true(at_low, begins)],
        high,
        rows.time_ns[first_true(at_high, begins)],
        n,
    )


def _good(points: Points, is_number: NDArray[np.bool_]) -> NDArray[Any]:
    return is_number if points.good is None else np.where(is_number, points.good, 0)


def counts(points: Points, is_number: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The tags, and of each how many usable numbers there are, those behind a rollup's rows too."""
    begins = runs(points.rows.tag)[:-1]
    return points.rows.tag[begins], np.add.reduceat(_good(points, is_number), begins, dtype=np.int64)


def recall(piece: Piece, width_ns: int, most: int) -> Recalled | None:
    """What is remembered of a segment, when late rows leave it true and none of its tags may be wanted whole.

    What is asked of less than half of its time is not worth it.
    """
    late, segment = piece.asked.late, piece.segment
    first_ns, end_ns = max(piece.start_ns, segment.time_min), min(piece.end_ns, segment.time_max + 1)
    if 2 * (end_ns - first_ns) < segment.time_max + 1 - segment.time_min:
        return None
    known = _known(piece, width_ns)
    tags, found = known.tags, known.extremes
    edges: list[Piece] = []
    if not piece.whole:
        # Whole stretches alone; where the segment begins or ends within what is asked, nothing is cut.
        first = -(-first_ns // width_ns) if first_ns > segment.time_min else first_ns // width_ns
        last = end_ns // width_ns if end_ns <= segment.time_max else end_ns // width_ns + 1
        inside = (found.stretch >= first) & (found.stretch < last)
        found = Extremes(*(column[inside] for column in found))
        cut = [(first_ns, first * width_ns), (last * width_ns, end_ns)]
        edges = [piece._replace(start_ns=start, end_ns=end) for start, end in cut if start < end]
    counted = np.zeros(len(tags), np.int64)
    np.add.at(counted, np.searchsorted(tags, found.tag), found.n)
    near = (late.time_ns >= segment.time_min) & (late.time_ns <= segment.time_max)
    if (counted - int(near.sum()) <= most).any():
        return None
    tag, time_ns = late.tag[near], late.time_ns[near]
    for wanted_ns in (found.low_ns, found.high_ns):
        if places(tag, time_ns, found.tag, wanted_ns)[1].any():
            return None
    return Recalled(tags, counted, found, tuple(edges))


def _known(piece: Piece, width_ns: int) -> Known:
    """What the segment says of all its time, worked out when it was not yet."""
    kept = piece.asked.view.files.known
    known = kept.get(_key(piece, width_ns))
    if isinstance(known, Known):
        return known
    parts: list[Extremes] = []
    tags: list[NDArray[np.int32]] = []
    for points in piece._replace(start_ns=ALWAYS, end_ns=FOR_EVER).points():
        number, is_number = numbers(points.rows)
        parts.append(extremes(points, number, is_number, width_ns))
        tags.append(counts(points, is_number)[0])
    if not parts:
        return Known(np.empty(0, np.int32), _none())
    known = Known(
        np.unique(np.concatenate(tags)), Extremes(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    )
    kept.put(_key(piece, width_ns), known)
    return known


def _none() -> Extremes:
    moments, values = np.empty(0, np.int64), np.empty(0)
    return Extremes(np.empty(0, np.int32), moments, values, moments, values, moments, moments)


def _key(piece: Piece, width_ns: int) -> tuple[str, int, bytes]:
    return piece.segment.path, width_ns, piece.tags.tobytes()
