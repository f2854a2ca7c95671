"""What each source calls its tags in each epoch, and the site's numbers behind them; kept on disk.

A dictionary that came once holds for its whole epoch, also after the site was started anew, so an edge
need not say it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import RLock
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.model.samples import TagInfo, ValueKind
from isthmus.site.tags import Tags
from isthmus.wire import frame as frames
from isthmus.wire.frame import HEADER, Frame
from isthmus.wire.segment import SegmentLog

_KINDS: Final = tuple(ValueKind)
MOST_TAGS: Final = 1_000_000
"""Largest tag number a dictionary may use; a higher one is taken for a mistake, not for a plant."""


class Said(NamedTuple):
    """What one (source, epoch) said. Arrays have shape (tags,), by the epoch's own tag numbers."""

    source: str
    tag: NDArray[np.int32]
    """The site's tag number, -1 where the epoch never named that number."""
    kind: NDArray[np.int8]
    """Position of the value kind in ValueKind, -1 as above."""
    info: tuple[TagInfo | None, ...]


class Dictionaries:
    """All that was ever said, by (source, epoch). One thread at a time may learn."""

    def __init__(self, folder: Path, tags: Tags) -> None:
        self._tags = tags
        self._said: dict[tuple[int, int], Said] = {}
        self.log = SegmentLog(folder)
        self._lock = RLock()
        self._at: dict[tuple[int, int], list[int]] = {}
        """Where on disk each (source, epoch) is that was not asked for yet: an epoch of last year is seldom spoken of."""
        for behind, frame in self.log.read(0):
            start = behind - HEADER.size - len(frame.payload)
            self._at.setdefault((frame.source, frame.epoch), []).append(start)

    def find(self, source: int, epoch: int) -> Said | None:
        """What a source said in an epoch, None when it said nothing yet."""
        name = (source, epoch)
        if name in self._at:
            with self._lock:
                for position in self._at.get(name, ()):
                    self._take(next(frame for _, frame in self.log.read(position)))
                self._at.pop(name, None)
        return self._said.get(name)

    def learn(self, frame: Frame) -> Said:
        """Take a dictionary frame in; what is new in it is on disk when this returns.

        Raises StoreDamaged when it does not decode, OSError when the disk is full.
        """
        with self._lock:
            return self._learn(frame)

    def _learn(self, frame: Frame) -> Said:
        before = self.find(frame.source, frame.epoch)
        said = self._take(frame)
        if before is None or before.info != said.info or before.source != said.source:
            try:
                self.log.append([frames.pack(frame)])
                self.log.sync()
            except OSError:
                self._said.pop((frame.source, frame.epoch))
                if before is not None:
                    self._said[frame.source, frame.epoch] = before
                raise
        return said

    def close(self) -> None:
        """Sync and close."""
        self.log.close()

    def _take(self, frame: Frame) -> Said:
        spoken = frames.dictionary(frame)
        before = self._said.get((frame.source, frame.epoch))
        named = {number: info for number, info in enumerate(before.info) if info} if before else {}
        named |= {number: info for number, info in spoken.tags if 0 <= number < MOST_TAGS}
        said = self._said[frame.source, frame.epoch] = self._number(spoken.source, named)
        return said

    def _number(self, source: str, named: dict[int, TagInfo]) -> Said:
        info: list[TagInfo | None] = [None] * (max(named, default=-1) + 1)
        tag, kind = np.full(len(info), -1, np.int32), np.full(len(info), -1, np.int8)
        numbers: Sequence[int] = self._tags.intern_all(list(named.values()))
        for (at, meant), number in zip(named.items(), numbers, strict=True):
            info[at], tag[at], kind[at] = meant, number, _KINDS.index(meant.kind)
        return Said(source, tag, kind, tuple(info))


def kind_number(kind: ValueKind) -> int:
    """The position of a value kind, as in `Said.kind`."""
    return _KINDS.index(kind)
