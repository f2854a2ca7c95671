"""Aggregate: each part by itself, then what the parts say of one bucket together."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import Aggregate
from isthmus.site.historian.asking.arrays.parts import lengths, parts
from isthmus.site.historian.memory.points import Points, key, numbers, starts, usable
from isthmus.site.historian.sealed.rollup import Use
from isthmus.site.historian.sealed.view import Asked

OPERATORS: Final = (Aggregate,)
_NEVER: Final = np.iinfo(np.int64)


class Buckets(NamedTuple):
    """One row a bucket; without a usable number the lowest is infinite and the first is never."""

    tag: NDArray[Any]
    bucket_ns: NDArray[Any]
    n: NDArray[Any]
    good: NDArray[Any]
    total: NDArray[Any]
    has: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    first_ns: NDArray[Any]
    first: NDArray[Any]
    last_ns: NDArray[Any]
    last: NDArray[Any]


def answer(operator: Aggregate, asked: Asked, use: Use | None) -> pa.Table:
    """As the operator says."""
    found = [_buckets(each, operator.bucket_ns) for each in parts(asked, use)]
    if not found:
        found = [_buckets(Points(asked.late), operator.bucket_ns)]
    all_of_them = Buckets(*(np.concatenate(column) for column in zip(*found, strict=True)))
    return _table(_together(all_of_them, operator.bucket_ns))


def _buckets(points: Points, width_ns: int) -> Buckets:
    rows = points.rows
    number, is_number = numbers(rows)
    begins = starts(rows, width_ns)
    time_ns = rows.time_ns[begins]
    n: NDArray[Any]
    good: NDArray[Any]
    if points.n is None or points.good is None or points.total is None:
        n = lengths(begins, rows.size).astype(np.int64)
        good, total = usable(rows, is_number), np.where(is_number, number, 0.0)
    else:
        n, good, total = _sum(points.n, begins), points.good, points.total
    count = len(begins)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    first_ns, last_ns = np.full(count, _NEVER.max), np.full(count, _NEVER.min)
    first, last = np.zeros(count), np.zeros(count)
    has = np.ones(count, bool)
    times, at, to = rows.time_ns, begins, np.append(begins[1:], rows.size) - 1
    if not is_number.all():
        which = np.flatnonzero(is_number)
        # Where the buckets begin among the usable numbers alone; those with none vanish.
        edges = np.append(np.searchsorted(which, begins), len(which))
        has = edges[1:] > edges[:-1]
        at, to = edges[:-1][has], edges[1:][has] - 1
        number, times = number[which], times[which]
    if len(at):
        low[has], high[has] = np.minimum.reduceat(number, at), np.maximum.reduceat(number, at)
        first_ns[has], last_ns[has], first[has], last[has] = times[at], times[to], number[at], number[to]
    return Buckets(
        rows.tag[begins],
        time_ns - time_ns % width_ns,
        n,
        _sum(good, begins),
        np.add.reduceat(total, begins) if count else np.zeros(0),
        has,
        low,
        high,
        first_ns,
        first,
        last_ns,
        last,
    )


def _sum(column: NDArray[Any], begins: NDArray[np.intp]) -> NDArray[np.int64]:
    return np.add.reduceat(column, begins, dtype=np.int64) if len(begins) else np.zeros(0, np.int64)


def _together(found: Buckets, width_ns: int) -> Buckets:
    """Buckets in order of tag and time, each once."""
    order_by = key(found.tag, found.bucket_ns // width_ns)
    if (order_by[1:] > order_by[:-1]).all():
        return found
    order = np.arange(len(order_by))
    if (order_by[1:] < order_by[:-1]).any():
        order = np.argsort(order_by, kind="stable")
        order_by = order_by[order]
    begins = np.flatnonzero(np.append(True, order_by[1:] != order_by[:-1]))
    count = lengths(begins, len(order))
    out = Buckets(*(column[order[begins]] for column in found))
    several = count > 1
    if several.any():
        # Most buckets lie within one part: only the others, at the edges of parts, are worth the work.
        rows = order[np.repeat(several, count)]
        edges = np.cumsum(count[several]) - count[several]
        for column, settled in zip(out, _settled(Buckets(*(column[rows] for column in found)), edges), strict=True):
            column[several] = settled
    return out


def _settled(found: Buckets, begins: NDArray[np.intp]) -> Buckets:
    """One row for each run of rows that begins at `begins`, all of one bucket."""
    count = lengths(begins, len(found.tag))
    first_ns, last_ns = np.minimum.reduceat(found.first_ns, begins), np.maximum.reduceat(found.last_ns, begins)
    return Buckets(
        found.tag[begins],
        found.bucket_ns[begins],
        np.add.reduceat(found.n, begins),
        np.add.reduceat(found.good, begins),
        np.add.reduceat(found.total, begins),
        np.logical_or.reduceat(found.has, begins),
        np.minimum.reduceat(found.low, begins),
        np.maximum.reduceat(found.high, begins),
        first_ns,
        _of(found.first, found.first_ns == np.repeat(first_ns, count), begins),
        last_ns,
        _of(found.last, found.last_ns == np.repeat(last_ns, count), begins),
    )


def _of(column: NDArray[np.float64], chosen: NDArray[np.bool_], begins: NDArray[np.intp]) -> NDArray[np.float64]:
    """Of each bucket the value of the part that is chosen: one, as no two samples of a tag have one time."""
    values = np.full(len(begins), np.nan)
    at = np.flatnonzero(chosen)
    values[np.searchsorted(begins, at, "right") - 1] = column[at]
    return values


def _table(found: Buckets) -> pa.Table:
    none = ~found.has
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = found.total / found.good
    columns = {"min": found.low, "max": found.high, "mean": mean, "first": found.first, "last": found.last}
    return pa.table(
        {
            "tag": found.tag,
            "bucket_ns": found.bucket_ns,
            "n": found.n,
            "n_good": found.good,
            **{name: pa.array(column, mask=none if none.any() else None) for name, column in columns.items()},
        }
    )
