"""The newest samples, in memory, in the order in which they came.

Pieces of a fixed size, each with room at its end. What a reader was given never changes under it: rows
are only ever written behind those that it holds. Nothing is ever moved, so that taking samples in costs
the same however many there are.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from isthmus.site.historian.memory.rows import Rows, Words, arrays

PIECE_ROWS: Final = 65_536


class Head:
    """Not safe for two writers; any number of readers may hold what `parts` gave them."""

    def __init__(self) -> None:
        self.count = 0
        self.words = Words()
        self._full: list[Rows] = []
        self._last = _room(self.words)
        self._used = 0

    def add(self, rows: Rows) -> None:
        """Append rows whose texts stand in this head's `words`."""
        done = 0
        while done < rows.size:
            if self._used == PIECE_ROWS:
                self._full.append(self._last)
                self._last, self._used = _room(self.words), 0
            some = min(rows.size - done, PIECE_ROWS - self._used)
            for mine, given in zip(arrays(self._last), arrays(rows), strict=True):
                mine[self._used : self._used + some] = given[done : done + some]
            self._used += some
            done += some
        self.count += rows.size

    def parts(self) -> tuple[Rows, ...]:
        """Everything so far, in order of arrival, without copying."""
        last = self._last.take(slice(0, self._used))
        return (*self._full, last) if self._used else tuple(self._full)


def _room(words: Words) -> Rows:
    return Rows(
        np.empty(PIECE_ROWS, np.int32),
        np.empty(PIECE_ROWS, np.int64),
        np.empty(PIECE_ROWS, np.uint32),
        np.empty(PIECE_ROWS, np.uint8),
        np.empty(PIECE_ROWS, np.int64),
        words,
    )
