"""Decimate: the extremes of each stretch, part by part, then of the parts together."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import Decimate
from isthmus.site.historian.asking.arrays.extremes import Extremes, counts, extremes, recall
from isthmus.site.historian.asking.arrays.parts import lengths, pieces
from isthmus.site.historian.asking.operators.decimate import wanted, width_ns
from isthmus.site.historian.memory.points import Points, key, numbers, without
from isthmus.site.historian.sealed.rollup import Use
from isthmus.site.historian.sealed.view import Asked

OPERATORS: Final = (Decimate,)
_EVER: Final = np.iinfo(np.int64).max


class Line(NamedTuple):
    """Points of a drawing, in (tag, time) order."""

    tag: NDArray[Any]
    time_ns: NDArray[Any]
    value: NDArray[Any]


def answer(operator: Decimate, asked: Asked, use: Use | None) -> pa.Table:
    """As the operator says; of `lttb` the extremes among which it picks."""
    width, most = width_ns(operator, asked.start_ns, asked.end_ns), wanted(operator)
    counted = np.zeros(int(asked.tags.max(initial=0)) + 1, np.int64)
    found: list[Extremes] = []
    whole: list[Line] = []

    def look(points: Points) -> None:
        number, is_number = numbers(points.rows)
        tags, count = counts(points, is_number)
        counted[tags] += count
        found.append(extremes(points, number, is_number, width))
        # A tag with few samples in all has few in each part, so that little is kept of what may not be wanted.
        if (counted[tags] <= most).any():
            few = np.flatnonzero((counted[points.rows.tag] <= most) & is_number)
            whole.append(Line(points.rows.tag[few], points.rows.time_ns[few], number[few]))

    for piece in pieces(asked, use):
        known = recall(piece, width, most)
        if known:
            counted[known.tags] += known.counted
            found.append(known.extremes)
        for part in known.edges if known else (piece,):
            for each in part.points():
                look(without(each, asked.late))
    if asked.late.size:
        look(Points(asked.late))
    many = _drawn(found, counted > most)
    few_tags = _line([Line(*(column[counted[each.tag] <= most] for column in each)) for each in whole])
    drawn = _in_order(_line([few_tags, many])) if len(few_tags.tag) else many
    return pa.table({"tag": drawn.tag, "time_ns": drawn.time_ns, "value": drawn.value})


def _drawn(found: list[Extremes], many: NDArray[np.bool_]) -> Line:
    """The extremes of the parts together, as points; only of tags that have `many` samples."""
    if not found:
        return _line([])
    all_of_them = Extremes(*(np.concatenate(column) for column in zip(*found, strict=True)))
    if not many.all():
        all_of_them = Extremes(*(column[many[all_of_them.tag]] for column in all_of_them))
    order_by = key(all_of_them.tag, all_of_them.stretch)
    if not len(order_by):
        return _line([])
    order = np.argsort(order_by, kind="stable")
    order_by = order_by[order]
    begins = np.flatnonzero(np.append(True, order_by[1:] != order_by[:-1]))
    tag, _, low, low_ns, high, high_ns, _ = (column[order] for column in all_of_them)
    ends = [_best(low, low_ns, begins, np.minimum), _best(high, high_ns, begins, np.maximum)]
    swapped = ends[0][0] > ends[1][0]
    time_ns = np.stack([each[0] for each in ends], axis=1)
    value = np.stack([each[1] for each in ends], axis=1)
    time_ns[swapped], value[swapped] = time_ns[swapped, ::-1], value[swapped, ::-1]
    # Both extremes of a stretch may be one sample.
    keep = np.stack([np.ones(len(begins), bool), time_ns[:, 0] != time_ns[:, 1]], axis=1).ravel()
    return Line(np.repeat(tag[begins], 2)[keep], time_ns.ravel()[keep], value.ravel()[keep])


def _best(
    value: NDArray[np.float64], time_ns: NDArray[np.int64], begins: NDArray[np.intp], extreme: np.ufunc
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """When the extreme of each stretch first was, and what it was."""
    best = extreme.reduceat(value, begins)
    at_best = value == np.repeat(best, lengths(begins, len(value)))
    return np.minimum.reduceat(np.where(at_best, time_ns, _EVER), begins), best


def _line(lines: list[Line]) -> Line:
    if not lines:
        return Line(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))
    return Line(*(np.concatenate(column) for column in zip(*lines, strict=True)))


def _in_order(line: Line) -> Line:
    order = np.lexsort((line.time_ns, line.tag))
    return Line(*(column[order] for column in line))
