"""What held for how long: every sample with the stretch in which it was in force."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.model.status import bad_mask
from isthmus.site.historian.asking.arrays.parts import pieces
from isthmus.site.historian.memory.points import runs
from isthmus.site.historian.memory.rows import NONE, REAL, TEXT, Rows
from isthmus.site.historian.sealed.view import Asked

MOST_ROWS: Final = 3_000_000
"""More than these are left to DuckDB, which needs them in memory only bit by bit."""
_TABLE: Final = 65_536
_WHOLE_LIMIT: Final = 2.0**53


class Held(NamedTuple):
    """Stretches [since, until) within what is asked, in (tag, time) order, none of them empty."""

    rows: Rows
    """What held, each row at the time at which it was written."""
    since: NDArray[np.int64]
    until: NDArray[np.int64]


def held(asked: Asked) -> Held | None:
    """The stretches, what was in force at the start among them; None when they are too many for memory."""
    view, tags, start_ns, end_ns, late = asked
    if sum(each.weight for each in pieces(asked, None)) + late.size > MOST_ROWS:
        return None
    return stretches(view.rows(tags, start_ns, end_ns, [view.before(tags, start_ns)]), start_ns, end_ns)


def stretches(rows: Rows, start_ns: int, end_ns: int) -> Held:
    """How long each of these rows, in (tag, time) order, held within [start_ns, end_ns)."""
    since = np.maximum(rows.time_ns, start_ns)
    until = np.append(since[1:], end_ns)[: rows.size]
    until[runs(rows.tag)[1:] - 1] = end_ns
    real = until > since
    if real.all():
        return Held(rows, since, until)
    which = np.flatnonzero(real)
    return Held(rows.take(which), since[which], until[which])


def words(rows: Rows) -> tuple[NDArray[np.intp], list[str | None]] | None:
    """Each row's place in the list of words, which are in the order of their bytes; what is not usable is None, at the end.

    None for numbers that are not whole: how those are written is SQL's to say.
    """
    bits, text = rows.bits, rows.form == TEXT
    usable = (rows.form != NONE) & ~bad_mask(rows.status)
    real = rows.form == REAL
    if real.any():
        number = np.where(real, bits.view(np.float64), 0.0)
        usable &= ~np.isnan(number)
        if not ((np.abs(number) < _WHOLE_LIMIT) & (number == np.trunc(number)))[real & usable].all():
            return None
        bits = np.where(real, np.where(usable, number, 0.0).astype(np.int64), bits)
    whole, place = _distinct(np.where(usable, bits, bits[int(np.argmax(usable))] if usable.any() else 0))
    if text.any() and not text.all():
        return None
    are_texts = bool(text.any())
    texts = [rows.words.list[each] if are_texts else str(each) for each in whole]
    order = sorted(range(len(texts)), key=lambda at: texts[at].encode())
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return np.where(usable, rank[place], len(texts)), [*(texts[at] for at in order), None]


def _distinct(bits: NDArray[np.int64]) -> tuple[list[int], NDArray[np.intp]]:
    """The distinct numbers in order, and where each row's stands among them."""
    if not len(bits):
        return [], np.empty(0, np.intp)
    low, high = int(bits.min()), int(bits.max())
    if high - low >= _TABLE:
        found, place = np.unique(bits, return_inverse=True)
        return found.tolist(), place
    seen = np.zeros(high - low + 1, bool)
    seen[bits - low] = True
    return (np.flatnonzero(seen) + low).tolist(), (np.cumsum(seen) - 1)[bits - low]


def sums(group: NDArray[np.intp], length_ns: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """The sum of lengths by group, exact: doubles hold either half of them whole."""
    low = np.bincount(group, weights=(length_ns & 0xFF_FFFF).astype(np.float64), minlength=groups)
    high = np.bincount(group, weights=(length_ns >> 24).astype(np.float64), minlength=groups)
    return low.astype(np.int64) + (high.astype(np.int64) << 24)
