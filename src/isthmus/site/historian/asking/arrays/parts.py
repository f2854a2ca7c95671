"""The parts that a question is answered from, rollups in the place of the samples that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.site.historian.memory.points import Points, Weights, without
from isthmus.site.historian.memory.rows import Rows, concat
from isthmus.site.historian.sealed.manifest import Segment
from isthmus.site.historian.sealed.rollup import Use, between
from isthmus.site.historian.sealed.view import Asked


class Piece(NamedTuple):
    """What is asked of one segment or rollup; nothing is read yet."""

    asked: Asked
    segment: Segment
    tags: NDArray[np.int32]
    start_ns: int
    end_ns: int

    @property
    def whole(self) -> bool:
        """Whether all of the segment's time is asked for, whatever the question's edges."""
        return self.segment.time_min >= self.start_ns and self.segment.time_max < self.end_ns

    @property
    def weight(self) -> int:
        """About how many rows are read for it: those of every row group that it touches."""
        file = self.asked.view.files.get(self.segment.path)
        return int(file.group_rows[1][file.groups_of(self.tags, self.start_ns, self.end_ns)].sum())

    def points(self) -> list[Points]:
        """Its points, each part in (tag, time) order, those that late rows replace among them."""
        return self.asked.view.files.points(self.segment, self.tags, self.start_ns, self.end_ns)


def pieces(asked: Asked, use: Use | None) -> Iterator[Piece]:
    """Every sample asked for, but the late ones, is in exactly one piece or behind exactly one of its rows."""
    wanted = [(asked.tags, asked.start_ns, asked.end_ns)]
    if use is not None:
        gaps = between(use.stretches, asked.start_ns, asked.end_ns)
        others = np.setdiff1d(asked.tags, use.tags)
        wanted = [(others, asked.start_ns, asked.end_ns), *((use.tags, *each) for each in gaps)]
    for each in asked.view.segments_of(asked.tags, asked.start_ns, asked.end_ns):
        for tags, start_ns, end_ns in wanted if not each.overlap else ():
            if each.time_max >= start_ns and each.time_min < end_ns and len(tags):
                yield Piece(asked, each, tags, start_ns, end_ns)
    for rolled in use.rollups if use else ():
        for start_ns, end_ns in use.stretches if use else ():
            if rolled.time_max >= start_ns and rolled.time_min < end_ns:
                yield Piece(asked, rolled, use.tags if use else asked.tags, start_ns, end_ns)


def parts(asked: Asked, use: Use | None) -> Iterator[Points]:
    """The same with the late ones: each part in (tag, time) order, and no (tag, time) in two of them."""
    for piece in pieces(asked, use):
        for points in piece.points():
            yield without(points, asked.late)
    if asked.late.size:
        yield Points(asked.late)


class Rolled(NamedTuple):
    """The rows of a rollup, where each bucket begins among them, and of each bucket what order and time say."""

    rows: Rows
    begins: NDArray[np.intp]
    marks: NDArray[np.int8]
    weights: Weights | None
    """None of a rollup that has none."""


def rolled(piece: Piece) -> Rolled | None:
    """What is asked of a rollup, None when that is nothing; a bucket's rows may stand in two row groups."""
    found = piece.points()
    if not found:
        return None
    begins = np.flatnonzero(np.concatenate([each.n for each in found if each.n is not None]) > 0)
    marks = np.concatenate([each.marks for each in found if each.marks is not None])
    weights = [each.weights for each in found if each.weights is not None]
    return Rolled(
        concat([each.rows for each in found]),
        begins,
        marks[begins],
        Weights(
            np.concatenate([each.area for each in weights])[begins],
            np.concatenate([each.held_ns for each in weights])[begins],
            np.concatenate([each.opens_ns for each in weights])[begins],
        )
        if weights
        else None,
    )


def first_true(marked: NDArray[np.bool_], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The index of the first true in each run that begins at `starts`; every run has one."""
    at = np.flatnonzero(marked)
    return at[np.searchsorted(at, starts)]


def lengths(starts: NDArray[np.intp], rows: int) -> NDArray[np.intp]:
    """How many rows each run has."""
    return np.diff(starts, append=rows)
