"""Copies of acknowledged frames that wait for the bus, on disk before the edge hears of its acknowledgement.

Bounded: when the bus is down for so long that `keep_bytes` are reached, the oldest are let go, counted
and told. Nothing that happens here ever fails or delays the taking in by more than one flush.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from isthmus.site.publish.bus import READER
from isthmus.site.records.ranges import Ranges
from isthmus.wire import frame as frames
from isthmus.wire.frame import Frame
from isthmus.wire.segment import SegmentLog

_log: Final = logging.getLogger(__name__)
_SEGMENT: Final = 8 * 1024 * 1024
_CHUNK: Final = 1024 * 1024


class Spool:
    """One log of frames. `keep` is called by the ingest's threads, all else by the publisher's one."""

    def __init__(self, folder: Path, keep_bytes: int) -> None:
        self.log = SegmentLog(folder, segment_bytes=_SEGMENT)
        self._keep_bytes = keep_bytes
        self._lost: Counter[str] = Counter()
        self._lock = Lock()
        self._kept: defaultdict[tuple[int, int], Ranges] = defaultdict(Ranges)
        """Every frame that ever came here: an edge that did not hear of its acknowledgement sends it again."""
        self._remember()
        for damage in self.log.damage:
            _log.error("frames for the bus are damaged: %s at byte %d: %s", damage.path, damage.offset, damage.what)

    def keep(self, edge: str, taken: Sequence[Frame]) -> None:
        """Put frames aside for the bus; what was read from it does not go back. Never raises."""
        if edge == READER:
            return
        with self._lock:
            fresh = [frame for frame in taken if frame.seq not in self._kept[frame.source, frame.epoch]]
            if not fresh:
                return
            try:
                self.log.append([frames.pack(frame) for frame in fresh])
                self.log.sync()
            except OSError as error:
                self._lost[f"the site's disk took no copy for the bus: {error.strerror}"] += len(fresh)
                return
            for frame in fresh:
                self._kept[frame.source, frame.epoch].add(frame.seq, frame.seq)

    def bound(self, position: int) -> None:
        """Let go of what lies before `position`, and of the oldest beyond the bound; those are counted."""
        over = self.log.end - self._keep_bytes
        upto = max(position, over)
        gone = [(start, end) for start, end in self.log.segments[:-1] if end <= upto]
        if not gone:
            return
        count = sum(self._count(max(start, position), end) for start, end in gone)
        with self._lock:
            self._write_kept()
            if count:
                self._lost[f"more than {self._keep_bytes // 1_000_000} MB waited for the bus"] += count
        self.log.trim(upto)

    def lost(self) -> dict[str, int]:
        """Frames that will never be published, by why, since this was last asked."""
        with self._lock:
            out, self._lost = dict(self._lost), Counter()
        return out

    def close(self) -> None:
        """Sync and close."""
        try:
            self.log.close()
        except OSError as error:
            _log.error("frames for the bus may be lost: %s", error.strerror)

    def _remember(self) -> None:
        try:
            stored = msgspec.json.decode(self._file.read_bytes(), type=list[tuple[int, int, list[tuple[int, int]]]])
        except (FileNotFoundError, msgspec.DecodeError):
            stored = []
        for source, epoch, seen in stored:
            for first, last in seen:
                self._kept[source, epoch].add(first, last)
        for _, frame in synced(self.log, 0):
            self._kept[frame.source, frame.epoch].add(frame.seq, frame.seq)

    def _write_kept(self) -> None:
        """Before segments are let go: what stood in them is known afterwards too."""
        stored = [(source, epoch, list(seen)) for (source, epoch), seen in self._kept.items()]
        new = self._file.with_suffix(".new")
        try:
            new.write_bytes(msgspec.json.encode(stored))
            new.replace(self._file)
        except OSError as error:
            _log.error("which frames the bus had cannot be noted in %s: %s", self._file, error.strerror)

    @property
    def _file(self) -> Path:
        return self.log.folder / "kept.json"

    def _count(self, position: int, end: int) -> int:
        return (
            sum(1 for _ in takewhile(lambda found: found[0] <= end, synced(self.log, position)))
            if position < end
            else 0
        )


def synced(log: SegmentLog, position: int) -> Iterator[tuple[int, Frame]]:
    """Frames from `position` on that are on disk for good, each with the position behind it."""
    while True:
        chunk = log.chunk(position, _CHUNK)
        offset = 0
        for behind, _ in chunk.heads:
            frame, offset = frames.unpack_from(chunk.data, offset)
            yield behind, frame
        if chunk.end <= position or (not chunk.heads and chunk.end >= log.synced):
            return
        position = chunk.end
