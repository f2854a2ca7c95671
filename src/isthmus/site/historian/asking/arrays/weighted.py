"""TimeWeightedMean and Integral: each value times the stretch in which it held, cut at the edges of buckets.

A rollup's bucket knows what its own samples amount to. What held when it began, up to its first sample,
and what goes on to hold behind it is worked out as with samples: for that a bucket is two rows, one
without a value at its first sample, and one at its end with the value that goes on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import Integral, TimeWeightedMean
from isthmus.model.time import NS_PER_S
from isthmus.site.historian.asking.arrays.held import MOST_ROWS, Held, held, stretches
from isthmus.site.historian.asking.arrays.parts import Rolled, pieces, rolled
from isthmus.site.historian.memory.points import Weights, numbers
from isthmus.site.historian.memory.rows import NONE, Rows, concat, last_arrival_wins
from isthmus.site.historian.sealed.rollup import GOES_ON, Use
from isthmus.site.historian.sealed.view import Asked

OPERATORS: Final = (TimeWeightedMean, Integral)


class Areas(NamedTuple):
    """Values times the ns in which they held, of shape (buckets,); a bucket may stand there several times."""

    tag: NDArray[np.int32]
    bucket_ns: NDArray[np.int64]
    area: NDArray[np.float64]
    good_ns: NDArray[np.int64]


def answer(operator: TimeWeightedMean | Integral, asked: Asked, use: Use | None) -> pa.Table | None:
    """As the operators say; None when there are too many stretches, or too many buckets to a stretch."""
    origin_ns = operator.origin_ns if isinstance(operator, TimeWeightedMean) else 0
    known: list[Areas] = []
    found = held(asked) if use is None else _held_with(asked, use, operator.bucket_ns, origin_ns, known)
    cut = _areas(found, operator.bucket_ns, origin_ns) if found else None
    if cut is None:
        return None
    areas = _together([cut, *known]) if known else cut
    mean = isinstance(operator, TimeWeightedMean)
    name, figure = ("mean", areas.area / areas.good_ns) if mean else ("integral", areas.area / NS_PER_S)
    return pa.table({"tag": areas.tag, "bucket_ns": areas.bucket_ns, name: figure, "good_ns": areas.good_ns})


def _areas(found: Held, width: int, origin_ns: int) -> Areas | None:
    """Of each tag and bucket, in order; None when there are too many."""
    number, is_number = numbers(found.rows)
    if not is_number.all():
        which = np.flatnonzero(is_number)
        number = number[which]
        found = Held(found.rows.take(which), found.since[which], found.until[which])
    tag, since, until = found.rows.tag, found.since, found.until
    bucket_ns = since - (since - origin_ns) % width
    count = (until - 1 - bucket_ns) // width + 1
    if count.max(initial=1) > 1:
        if count.sum(dtype=np.float64) > MOST_ROWS:
            return None
        which = np.repeat(np.arange(len(count)), count)
        behind = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        bucket_ns = bucket_ns[which] + behind * width
        tag, number = tag[which], number[which]
        since, until = np.maximum(since[which], bucket_ns), np.minimum(until[which], bucket_ns + width)
    return _summed(Areas(tag, bucket_ns, number * (until - since), until - since))


def _summed(areas: Areas) -> Areas:
    """Rows in (tag, bucket) order, each bucket once."""
    tag, bucket_ns, area, good_ns = areas
    if not len(tag):
        return areas
    change = (bucket_ns[1:] != bucket_ns[:-1]) | (tag[1:] != tag[:-1])
    begins = np.flatnonzero(np.append(True, change))
    with np.errstate(invalid="ignore"):
        area = np.add.reduceat(area, begins)
    return Areas(tag[begins], bucket_ns[begins], area, np.add.reduceat(good_ns, begins))


def _together(parts: list[Areas]) -> Areas:
    tag = np.concatenate([each.tag for each in parts])
    bucket_ns = np.concatenate([each.bucket_ns for each in parts])
    order = np.lexsort((bucket_ns, tag))
    area, good_ns = np.concatenate([each.area for each in parts]), np.concatenate([each.good_ns for each in parts])
    return _summed(Areas(tag[order], bucket_ns[order], area[order], good_ns[order]))


def _held_with(asked: Asked, use: Use, width: int, origin_ns: int, known: list[Areas]) -> Held | None:
    """The stretches that no bucket of a rollup amounts to; what buckets amount to is added to `known`."""
    plain: list[Rows] = []
    ends: list[Rows] = []
    firsts: list[Rows] = []
    if sum(each.weight for each in pieces(asked, use)) + asked.late.size > MOST_ROWS:
        return None
    for piece in pieces(asked, use):
        if not piece.segment.bucket_ns:
            plain += [each.rows for each in piece.points()]
        elif (buckets := rolled(piece)) and buckets.weights:
            its, end, first = _buckets(buckets, buckets.weights, piece.segment.bucket_ns, width, origin_ns)
            known.append(its)
            ends.append(end)
            firsts.append(first)
    # Of one moment the later of these stands: what is written there, then what begins there, before what ends there.
    opening = asked.view.before(asked.tags, asked.start_ns)
    rows = last_arrival_wins(concat([opening, *ends, *firsts, *plain, asked.late]))
    return stretches(rows, asked.start_ns, asked.end_ns)


def _buckets(found: Rolled, weights: Weights, bucket_ns: int, width: int, origin_ns: int) -> tuple[Areas, Rows, Rows]:
    """Of a rollup's buckets what they amount to, what goes on behind their ends, and nothing from their first sample on."""
    area, held_ns, opens_ns = weights
    firsts = found.rows.take(found.begins)
    ends = found.rows.take(np.append(found.begins[1:], found.rows.size) - 1)
    bare = np.full(len(found.begins), NONE, np.uint8)
    ends = ends._replace(
        time_ns=(opens_ns // bucket_ns + 1) * bucket_ns, form=np.where(found.marks & GOES_ON, ends.form, bare)
    )
    has = held_ns > 0
    begun = opens_ns[has] - (opens_ns[has] - origin_ns) % width
    its = Areas(firsts.tag[has], begun, area[has], held_ns[has])
    return its, ends, firsts._replace(time_ns=opens_ns, form=bare)
