"""StateDurations and TopReasons: stretches with one word, added up."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import StateDurations, TopReasons
from isthmus.site.historian.asking.arrays.held import Held, held, sums, words
from isthmus.site.historian.memory.points import runs
from isthmus.site.historian.sealed.rollup import Use
from isthmus.site.historian.sealed.view import Asked

OPERATORS: Final = (StateDurations, TopReasons)
_PAIRS: Final = 8
"""Windows that overlap make more pairs of a stretch and a window than stretches; more than so many are left to SQL."""


def answer(operator: StateDurations | TopReasons, asked: Asked, use: Use | None) -> pa.Table | None:
    """As the operators say; None for numbers that are not whole, and where there are too many."""
    del use
    stretches = held(asked)
    found = words(stretches.rows) if stretches else None
    if stretches is None or found is None:
        return None
    if isinstance(operator, TopReasons):
        return _top(operator, stretches, *found)
    return _durations(operator, asked, stretches, *found)


def _durations(
    operator: StateDurations, asked: Asked, stretches: Held, word: NDArray[np.intp], texts: list[str | None]
) -> pa.Table | None:
    start_ns = np.array([max(each.start_ns, asked.start_ns) for each in operator.windows], np.int64)
    end_ns = np.array([min(each.end_ns, asked.end_ns) for each in operator.windows], np.int64)
    edges = runs(stretches.rows.tag)
    tags, windows = len(edges) - 1, len(operator.windows)
    # Of each tag and window the first stretch that reaches into it, and the first behind it.
    first, last = np.empty((tags, windows), np.intp), np.empty((tags, windows), np.intp)
    for number, (begin, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        first[number] = begin + np.searchsorted(stretches.until[begin:end], start_ns, "right")
        last[number] = begin + np.searchsorted(stretches.since[begin:end], end_ns, "left")
    count = np.maximum(last - first, 0).ravel()
    if int(count.sum()) > _PAIRS * max(stretches.rows.size, 1024):
        return None
    at = np.repeat(first.ravel() - (np.cumsum(count) - count), count)
    at += np.arange(len(at))
    length = np.minimum(stretches.until[at], np.repeat(np.tile(end_ns, tags), count))
    length -= np.maximum(stretches.since[at], np.repeat(np.tile(start_ns, tags), count))
    group = np.repeat(np.arange(tags * windows) * len(texts), count) + word[at]
    # A window that ends before it begins, once cut to what is asked, has no stretch.
    group, length = (group, length) if (length > 0).all() else (group[length > 0], length[length > 0])
    total = sums(group, length, tags * windows * len(texts))
    rows = np.flatnonzero(total)
    pair, code = rows // len(texts), rows % len(texts)
    return pa.table(
        {
            "tag": stretches.rows.tag[edges[:-1]][pair // max(windows, 1)],
            "window": (pair % max(windows, 1)).astype(np.int64),
            "value": pa.array(texts, pa.string()).take(pa.array(code)),
            "duration_ns": total[rows],
        }
    )


def _top(operator: TopReasons, stretches: Held, word: NDArray[np.intp], texts: list[str | None]) -> pa.Table:
    length = stretches.until - stretches.since
    begins = np.append(True, word[1:] != word[:-1])[: len(word)]
    begins[runs(stretches.rows.tag)[:-1]] = True
    total = sums(word, length, len(texts))
    n = np.bincount(word[begins], minlength=len(texts))
    known = [at for at in range(len(texts) - 1) if total[at] > 0]
    longest = sorted(known, key=lambda at: (-int(total[at]), at))[: operator.limit]
    return pa.table(
        {
            "value": pa.array([texts[at] for at in longest], pa.string()),
            "duration_ns": pa.array([int(total[at]) for at in longest], pa.int64()),
            "n": pa.array([int(n[at]) for at in longest], pa.int64()),
        }
    )
