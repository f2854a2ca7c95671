"""TimeWeightedMean and Integral: each value times the stretch in which it held, cut at the edges of buckets."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from isthmus.model.query import Integral, TimeWeightedMean
from isthmus.site.historian.arrays.held import MOST_ROWS, Held, held
from isthmus.site.historian.points import numbers
from isthmus.site.historian.rollup import Use
from isthmus.site.historian.view import Asked

OPERATORS: Final = (TimeWeightedMean, Integral)


def answer(operator: TimeWeightedMean | Integral, asked: Asked, use: Use | None) -> pa.Table | None:
    """As the operators say; None when there are too many stretches, or too many buckets to a stretch."""
    del use
    origin_ns = operator.origin_ns if isinstance(operator, TimeWeightedMean) else 0
    stretches = held(asked)
    if stretches is None:
        return None
    number, is_number = numbers(stretches.rows)
    if not is_number.all():
        which = np.flatnonzero(is_number)
        number = number[which]
        stretches = Held(stretches.rows.take(which), stretches.since[which], stretches.until[which])
    width = operator.bucket_ns
    tag, since, until = stretches.rows.tag, stretches.since, stretches.until
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
    length = until - since
    change = (bucket_ns[1:] != bucket_ns[:-1]) | (tag[1:] != tag[:-1])
    begins = np.flatnonzero(np.append(True, change)) if len(tag) else np.empty(0, np.intp)
    good_ns = np.add.reduceat(length, begins) if len(tag) else length
    area = np.add.reduceat(number * length, begins) if len(tag) else number
    name, figure = ("mean", area / good_ns) if isinstance(operator, TimeWeightedMean) else ("integral", area / 1e9)
    return pa.table({"tag": tag[begins], "bucket_ns": bucket_ns[begins], name: figure, "good_ns": good_ns})
