"""Samples as numpy is asked about them: what each row is worth, and for how many samples it stands."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.model.status import bad_mask
from isthmus.site.historian.memory.rows import INT, NONE, REAL, TEXT, Rows

_SPARSE: Final = 8
"""Rows to a bucket from which on its edges are looked up instead of every row's bucket being worked out."""


class Weights(NamedTuple):
    """What a rollup by the hour says of time, at a bucket's first row; see rollup.py. Shapes (rows,)."""

    area: NDArray[np.float64]
    held_ns: NDArray[np.int64]
    opens_ns: NDArray[np.int64]

    def take(self, which: NDArray[np.intp] | slice) -> Weights:
        """Of the rows at these indices or in this slice."""
        return Weights(self.area[which], self.held_ns[which], self.opens_ns[which])


class Points(NamedTuple):
    """Rows in (tag, time) order. The other columns are None where each row stands for itself alone."""

    rows: Rows
    n: NDArray[np.int32] | None = None
    """How many samples a row stands for; of a bucket of a rollup the first row stands for all."""
    good: NDArray[np.int32] | None = None
    """The usable ones among them."""
    total: NDArray[np.float64] | None = None
    """The sum of the usable numbers among them, 0 where there is none."""
    marks: NDArray[np.int8] | None = None
    weights: Weights | None = None

    def take(self, which: NDArray[np.intp] | slice) -> Points:
        """The points at these indices or in this slice."""
        if self.n is None or self.good is None or self.total is None:
            return Points(self.rows.take(which))
        marks = None if self.marks is None else self.marks[which]
        weights = self.weights and self.weights.take(which)
        return Points(self.rows.take(which), self.n[which], self.good[which], self.total[which], marks, weights)

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        columns = (*self.rows[:5], self.n, self.good, self.total, self.marks, *(self.weights or ()))
        return sum(each.nbytes for each in columns if each is not None)


def numbers(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each row's value as a double, and whether it is a usable number; shapes (rows,)."""
    usable = ~bad_mask(rows.status)
    lowest, highest = (int(rows.form.min()), int(rows.form.max())) if rows.size else (REAL, REAL)
    if lowest == highest == INT:
        return rows.bits.astype(np.float64), usable
    number = rows.bits.view(np.float64)
    if lowest != REAL or highest != REAL:
        number = np.where(rows.form == REAL, number, np.where(rows.form == INT, rows.bits.astype(np.float64), np.nan))
    usable &= ~np.isnan(number)
    return number, usable


def usable(rows: Rows, number: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row is usable, texts too; `number` says which are usable numbers."""
    if int(rows.form.max(initial=NONE)) != TEXT:
        return number
    return number | ((rows.form == TEXT) & ~bad_mask(rows.status))


def runs(tag: NDArray[np.int32]) -> NDArray[np.intp]:
    """Where each tag begins, for rows in tag order, and behind the last its end."""
    inner = np.flatnonzero(tag[1:] != tag[:-1]) + 1
    return np.concatenate([[0], inner, [len(tag)]]) if len(tag) else np.zeros(1, np.intp)


def starts(rows: Rows, width_ns: int, origin_ns: int = 0) -> NDArray[np.intp]:
    """Where each bucket of each tag begins, for rows in (tag, time) order."""
    if not rows.size:
        return np.empty(0, np.intp)
    edges = runs(rows.tag)
    first = (rows.time_ns[edges[:-1]] - origin_ns) // width_ns
    count = (rows.time_ns[edges[1:] - 1] - origin_ns) // width_ns - first + 1
    if int(count.sum()) * _SPARSE < rows.size:
        found = [
            begin + np.searchsorted(rows.time_ns[begin:end], origin_ns + width_ns * (low + np.arange(buckets)))
            for begin, end, low, buckets in zip(edges[:-1], edges[1:], first.tolist(), count.tolist(), strict=True)
        ]
        return np.unique(np.concatenate(found))
    bucket = (rows.time_ns - origin_ns) // width_ns
    change = bucket[1:] != bucket[:-1]
    change |= rows.tag[1:] != rows.tag[:-1]
    return np.concatenate([[0], np.flatnonzero(change) + 1])


def key(tag: NDArray[np.int32], bucket: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tag and bucket's number in one that sorts as both do."""
    if not len(tag):
        return np.empty(0, np.int64)
    low = int(bucket.min())
    span = int(bucket.max()) - low + 1
    if span * (int(tag.max()) + 1) >= 1 << 62:
        both = np.stack([tag.astype(np.int64), bucket], axis=1)
        return np.unique(both, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return tag.astype(np.int64) * span + (bucket - low)


def places(
    tag: NDArray[np.int32], time_ns: NDArray[np.int64], wanted: NDArray[np.int32], wanted_ns: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each wanted (tag, time) stands among others in that order, or would stand, and whether it does."""
    low = np.searchsorted(tag, wanted, "left")
    end = np.searchsorted(tag, wanted, "right")
    high = end.copy()
    while True:
        apart = low < high
        if not apart.any():
            break
        middle = (low + high) // 2
        less = apart & (time_ns[np.minimum(middle, len(tag) - 1)] < wanted_ns)
        low = np.where(less, middle + 1, low)
        high = np.where(apart & ~less, middle, high)
    there = low < end
    there[there] = time_ns[low[there]] == wanted_ns[there]
    return low, there


def cut(points: Points, tags: NDArray[np.int32], start_ns: int, end_ns: int) -> Points:
    """The points of these tags (in order) within [start_ns, end_ns); slices of the arrays where that is enough."""
    rows = points.rows
    if not rows.size or not len(tags):
        return points.take(slice(0, 0))
    begin = int(np.searchsorted(rows.tag, tags[0]))
    end = int(np.searchsorted(rows.tag, tags[-1], "right"))
    if len(tags) == 1:
        times = rows.time_ns[begin:end]
        end = begin + int(np.searchsorted(times, end_ns))
        begin += int(np.searchsorted(times, start_ns))
    if (begin, end) != (0, rows.size):
        points = points.take(slice(begin, end))
        rows = points.rows
    if len(tags) == 1 or not rows.size:
        return points
    mask = None
    if int(tags[-1]) - int(tags[0]) + 1 != len(tags):
        table = np.zeros(int(tags[-1]) - int(tags[0]) + 1, bool)
        table[tags - tags[0]] = True
        mask = table[rows.tag - tags[0]]
    if int(rows.time_ns.min()) < start_ns or int(rows.time_ns.max()) >= end_ns:
        inside = (rows.time_ns >= start_ns) & (rows.time_ns < end_ns)
        mask = inside if mask is None else mask & inside
    return points if mask is None or mask.all() else points.take(np.flatnonzero(mask))


def without(points: Points, late: Rows) -> Points:
    """The points whose (tag, time) is not among `late`."""
    rows = points.rows
    if not rows.size or not late.size:
        return points
    near = (late.time_ns >= rows.time_ns.min()) & (late.time_ns <= rows.time_ns.max())
    if not near.any():
        return points
    at, there = places(rows.tag, rows.time_ns, late.tag[near], late.time_ns[near])
    if not there.any():
        return points
    keep = np.ones(rows.size, bool)
    keep[at[there]] = False
    return points.take(np.flatnonzero(keep))
