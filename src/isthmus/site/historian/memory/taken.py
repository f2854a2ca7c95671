"""Which frames of each source were taken in, so that one sent again costs next to nothing.

Kept as ranges of `seq`, because backlog may arrive behind live frames and because frames of records
leave holes. The number of ranges is bounded: the oldest are forgotten, never guessed. A frame that was
forgotten is simply taken in again, which changes nothing, since of one (tag, time) one sample stands.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable
from copy import copy
from typing import Final, Self

import numpy as np

MAX_RANGES: Final = 65_536


class Taken:
    """The frames of one (source, epoch)."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._last: list[int] = []

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._first, seq) - 1
        return at >= 0 and seq <= self._last[at]

    def add(self, seq: int) -> None:
        """Mark one frame as taken in."""
        at = bisect_right(self._first, seq) - 1
        if at >= 0 and seq <= self._last[at]:
            return
        joins_left = at >= 0 and self._last[at] + 1 == seq
        joins_right = at + 1 < len(self._first) and self._first[at + 1] == seq + 1
        if joins_left and joins_right:
            self._last[at] = self._last.pop(at + 1)
            del self._first[at + 1]
        elif joins_left:
            self._last[at] = seq
        elif joins_right:
            self._first[at + 1] = seq
        else:
            self._first.insert(at + 1, seq)
            self._last.insert(at + 1, seq)
            if len(self._first) > MAX_RANGES:
                del self._first[0], self._last[0]

    def copy(self) -> Self:
        """A copy that goes its own way."""
        out = copy(self)
        out._first, out._last = self._first.copy(), self._last.copy()  # noqa: SLF001  its own kind
        return out

    def without(self, seqs: Collection[int]) -> Self:
        """All but these."""
        edges: list[tuple[int, int]] = []
        left = sorted(set(seqs))
        for first, last in zip(self._first, self._last, strict=True):
            begin = first
            for seq in left[bisect_left(left, first) : bisect_right(left, last)]:
                if begin < seq:
                    edges.append((begin, seq - 1))
                begin = seq + 1
            if begin <= last:
                edges.append((begin, last))
        return self._of(edges)

    @classmethod
    def union(cls, parts: Iterable[Taken]) -> Self:
        """Every frame that one of these has."""
        edges: list[tuple[int, int]] = []
        for first, last in sorted(pair for part in parts for pair in zip(part._first, part._last, strict=True)):  # noqa: SLF001  its own kind
            if edges and first <= edges[-1][1] + 1:
                edges[-1] = edges[-1][0], max(edges[-1][1], last)
            else:
                edges.append((first, last))
        return cls._of(edges[-MAX_RANGES:])

    @classmethod
    def _of(cls, edges: Iterable[tuple[int, int]]) -> Self:
        out = cls()
        for first, last in edges:
            out._first.append(first)
            out._last.append(last)
        return out

    def pack(self) -> bytes:
        """As bytes: first and last of each range, as differences, u64 little-endian, deflated."""
        edges = np.array([self._first, self._last], np.uint64).T.ravel()
        return zlib.compress(np.diff(edges, prepend=np.uint64(0)).astype("<u8").tobytes(), 1)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """What `pack` made."""
        edges = np.cumsum(np.frombuffer(zlib.decompress(data), "<u8"), dtype=np.uint64).reshape(-1, 2)
        out = cls()
        out._first, out._last = edges[:, 0].tolist(), edges[:, 1].tolist()
        return out
