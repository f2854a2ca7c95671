"""The parts that a question is answered from, rollups in the place of the samples that they stand for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isthmus.site.historian.points import Points
from isthmus.site.historian.rollup import Use, between
from isthmus.site.historian.view import Asked


def parts(asked: Asked, use: Use | None) -> Iterator[Points]:
    """Every sample asked for is in exactly one part or behind exactly one of its rows; each in (tag, time) order."""
    if use is None:
        yield from asked.parts([(asked.tags, asked.start_ns, asked.end_ns)])
        return
    others = np.setdiff1d(asked.tags, use.tags)
    yield from asked.parts(
        [
            (others, asked.start_ns, asked.end_ns),
            *((use.tags, *each) for each in between(use.stretches, asked.start_ns, asked.end_ns)),
        ]
    )
    for each in use.rollups:
        for start_ns, end_ns in use.stretches:
            if each.time_max >= start_ns and each.time_min < end_ns:
                yield from asked.view.files.points(each, use.tags, start_ns, end_ns)


def first_true(marked: NDArray[np.bool_], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The index of the first true in each run that begins at `starts`; every run has one."""
    at = np.flatnonzero(marked)
    return at[np.searchsorted(at, starts)]


def lengths(starts: NDArray[np.intp], rows: int) -> NDArray[np.intp]:
    """How many rows each run has."""
    return np.diff(starts, append=rows)
