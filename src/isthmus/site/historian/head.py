"""The newest samples, in memory, in the order in which they came.

Arrays with room at the end. What a reader was given never changes under it: rows are only ever
written behind those that it holds, and when the room is used up the rows move to larger arrays.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from isthmus.site.historian.rows import Rows, Words, arrays

_FIRST_ROOM: Final = 65_536


class Head:
    """Not safe for two writers; any number of readers may hold what `rows` gave them."""

    def __init__(self) -> None:
        self.count = 0
        self.words = Words()
        self._room = 0
        self._columns = _columns(0, self.words)

    def add(self, rows: Rows) -> None:
        """Append rows whose texts stand in this head's `words`."""
        end = self.count + rows.size
        if end > self._room:
            self._grow(end)
        for mine, given in zip(arrays(self._columns), arrays(rows), strict=True):
            mine[self.count : end] = given
        self.count = end

    def rows(self) -> Rows:
        """Everything so far, without copying."""
        return self._columns.take(slice(0, self.count))

    def _grow(self, rows: int) -> None:
        self._room = max(rows, 2 * self._room, _FIRST_ROOM)
        larger = _columns(self._room, self.words)
        for new, old in zip(arrays(larger), arrays(self._columns), strict=True):
            new[: self.count] = old[: self.count]
        self._columns = larger


def _columns(room: int, words: Words) -> Rows:
    return Rows(
        np.empty(room, np.int32),
        np.empty(room, np.int64),
        np.empty(room, np.uint32),
        np.empty(room, np.uint8),
        np.empty(room, np.int64),
        words,
    )
