"""The log of records on disk: nothing in it can be changed, left out or put elsewhere unseen.

It stands on `wire/segment.py`. Each frame carries the hash of the frame before (docs/formats/log.md),
so `verify` finds a byte that was flipped, a frame that was taken out and two that changed places.
A position is a count: position 1234 stands behind the 1234th record.

Writers that come at the same time share one flush to the disk.
"""

from __future__ import annotations

import struct
import threading
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model.errors import StoreDamaged
from isthmus.model.records import Record
from isthmus.site.records import log_place
from isthmus.site.records.log_place import Place
from isthmus.site.records.ranges import Ranges
from isthmus.wire import frame as frames
from isthmus.wire.frame import Frame, FrameKind
from isthmus.wire.segment import SEGMENT_BYTES, Damage, SegmentLog

_LINK: Final = struct.Struct("<32sIQQQ")
"""hash of the frame before, then the origin: source, epoch, first seq, last seq; zeros for the site's own."""
LINK_BYTES: Final = _LINK.size
"""What stands before the records in a frame of the log."""
_TAIL: Final = 20_000
_INDEX_EVERY: Final = 256
_MOST_IN_A_FRAME: Final = 5_000
_KEEP_EVERY: Final = 20_000
"""Frames after which the place is kept anew: no more than these are read at the next start."""
_NOTHING: Final = bytes(32)


class Origin(NamedTuple):
    """Where records came from. With them the site has all frames of (source, epoch) from `first` to `last`."""

    source: int
    epoch: int
    first: int
    last: int


class _Entry:
    """What one writer wants appended, and how it went."""

    def __init__(self, records: Sequence[Record], origin: Origin | None) -> None:
        self.records, self.origin = records, origin
        self.position = 0
        self.done = False
        self.error: OSError | None = None


class RecordsLog:
    """An append-only, hash-chained sequence of records; any thread may append and read. See site/records/log.py."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        place = log_place.read(folder)
        if place is not None and not _stands(folder, place):
            place = None
        self._segments = SegmentLog(folder, segment_bytes=segment_bytes, whole_to=place.end if place else 0)
        self._queue: list[_Entry] = []
        self._queueing, self._writing = threading.Lock(), threading.Lock()
        self._grown = threading.Condition()
        self._taken: defaultdict[tuple[int, int], Ranges] = defaultdict(Ranges)
        self._tail: deque[Record] = deque(maxlen=_TAIL)
        self._index: list[tuple[int, int]] = []
        """(position, byte offset in the segments) of every so many frames, ascending."""
        self._position, self._number, self._head = 0, 0, _NOTHING
        self._start = self._kept = 0
        """Where the newest frame begins, and the number of the frame at which the place was kept last."""
        self.first = ""
        """The hash of the first frame, by which one log is told from another; "" while there is none."""
        self._open(place)

    @property
    def position(self) -> int:
        """The position behind the newest record."""
        return self._position

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What was found damaged on opening or on reading, told once; `verify` tells it always, and of the whole log."""
        return tuple(self._segments.damage)

    @property
    def head(self) -> str:
        """The hash that stands for everything so far; written down elsewhere, it dates the whole log."""
        return self._head.hex()

    @property
    def taken(self) -> Mapping[tuple[int, int], Ranges]:
        """By (source, epoch), which frames of an edge are known to be in the site's stores."""
        return self._taken

    def append(self, records: Sequence[Record], origin: Origin | None = None) -> int:
        """Append; on disk when this returns. The position behind them.

        With an `origin` whose last frame was taken before, nothing is appended. Raises OSError (disk
        full) with nothing appended.
        """
        if not records and origin is None:
            return self._position
        entry = _Entry(records, origin)
        with self._queueing:
            self._queue.append(entry)
        with self._writing:
            if not entry.done:
                with self._queueing:
                    batch, self._queue = self._queue, []
                self._write(batch)
        if entry.error is not None:
            raise OSError(entry.error.errno, f"the log in {self.folder} cannot grow: {entry.error.strerror}")
        return entry.position

    def read(self, position: int) -> Iterator[tuple[int, Record]]:
        """Records from `position` on, each with the position behind it, up to what is there now."""
        with self._grown:
            end = self._position
            wanted = max(end - position, 0)
            # From the newest backwards: who reads often wants few, and the tail is long.
            recent = list(islice(reversed(self._tail), wanted)) if wanted <= len(self._tail) else None
        if recent is not None:
            yield from enumerate(reversed(recent), position + 1)
            return
        yield from self._read_disk(position, end)

    def wait(self, position: int, timeout_s: float) -> bool:
        """Wait until there is a record behind `position`; False when none came in time."""
        with self._grown:
            return self._grown.wait_for(lambda: self._position > position, timeout_s)

    def verify(self) -> list[str]:
        """What is wrong with the chain, each a sentence; nothing when it is whole."""
        with self._writing:
            end = self._segments.end
        return verify(self.folder, end)

    def close(self) -> None:
        """Sync and close."""
        with self._writing:
            self._segments.close()
            if self._number > self._kept:
                self._keep_place()

    def _open(self, place: Place | None) -> None:
        """Take up what the place knows, and read what came after it."""
        recent: deque[Frame] = deque()
        if place is not None:
            self._take_up(place)
        offset = place.end if place else self._segments.first
        for end, frame in self._segments.read(offset):
            if frame.kind is FrameKind.CHAINED:
                if frame.epoch != self._position:
                    recent.clear()  # a damaged frame lies between: what stands before it is read from disk
                self._remember(frame, offset)
                recent.append(frame)
                while recent[0].epoch + recent[0].rows <= self._position - _TAIL:
                    recent.popleft()
            offset = end
        if recent:
            self._head = _hash(frames.pack(recent[-1]))
        for frame in recent:
            self._tail.extend(chained(frame))
        if self._number - self._kept >= _KEEP_EVERY:
            self._keep_place()

    def _take_up(self, place: Place) -> None:
        self._position, self._number, self._head = place.position, place.number, place.head
        self._start, self._kept, self._index = place.start, place.number, list(place.index)
        self.first = place.first
        for source, epoch, ranges in place.taken:
            for first, last in ranges:
                self._taken[source, epoch].add(first, last)

    def _keep_place(self) -> None:
        self._kept = self._number
        taken = [(source, epoch, list(ranges)) for (source, epoch), ranges in self._taken.items()]
        place = Place(
            start=self._start,
            end=self._segments.end,
            head=self._head,
            first=self.first,
            position=self._position,
            number=self._number,
            index=self._index,
            taken=taken,
        )
        log_place.write(self.folder, place)

    def _remember(self, frame: Frame, offset: int) -> None:
        if not self.first:
            self.first = _hash(frames.pack(frame)).hex()
        if frame.seq % _INDEX_EVERY == 1 or not self._index:
            self._index.append((frame.epoch, offset))
        _, source, epoch, first, last = _LINK.unpack_from(frame.payload)
        if source:
            self._taken[source, epoch].add(first, last)
        self._position, self._number, self._start = frame.epoch + frame.rows, frame.seq, offset

    def _write(self, batch: Sequence[_Entry]) -> None:
        """Put the records of several writers on disk with one flush, and tell each how it went."""
        made: list[tuple[Frame, bytes]] = []
        position, number, head = self._position, self._number, self._head
        fresh: list[Record] = []
        within: set[tuple[int, int, int]] = set()
        for entry in batch:
            origin = entry.origin
            if origin is None or not self._has(origin, within):
                for part in _parts(entry.records):
                    number += 1
                    frame = _chained(position, number, head, origin, part)
                    packed = frames.pack(frame)
                    made.append((frame, packed))
                    head, position = _hash(packed), position + len(part)
                    fresh.extend(part)
            entry.position = position
        try:
            if made:
                self._put(made, fresh)
        except OSError as error:
            for entry in batch:
                entry.error = error
        for entry in batch:
            entry.done = True

    def _has(self, origin: Origin, within: set[tuple[int, int, int]]) -> bool:
        """Whether the origin's last frame was taken before, or stands in the batch being written."""
        name = (origin.source, origin.epoch, origin.last)
        if name in within or origin.last in self._taken[origin.source, origin.epoch]:
            return True
        within.add(name)
        return False

    def _put(self, made: Sequence[tuple[Frame, bytes]], fresh: Sequence[Record]) -> None:
        offset = self._segments.end
        self._segments.append([packed for _, packed in made])
        self._segments.sync()
        with self._grown:
            for frame, packed in made:
                self._remember(frame, offset)
                offset += len(packed)
            self._head = _hash(made[-1][1])
            self._tail.extend(fresh)
            self._grown.notify_all()
        if self._number - self._kept >= _KEEP_EVERY:
            self._keep_place()

    def _read_disk(self, position: int, end: int) -> Iterator[tuple[int, Record]]:
        at = bisect_right(self._index, (position, 1 << 63)) - 1
        for _, frame in self._segments.read(self._index[at][1] if at >= 0 else 0):
            if frame.epoch >= end:
                return
            if frame.kind is not FrameKind.CHAINED or frame.epoch + frame.rows <= position:
                continue
            for behind, record in enumerate(chained(frame), frame.epoch + 1):
                if behind > position:
                    yield behind, record


def verify(folder: Path, end: int | None = None) -> list[str]:
    """Walk a log's folder, up to byte `end`, and say each place where the chain is broken.

    A log whose newest frames were taken away is whole as far as it goes: compare `head` with one that
    was written down elsewhere.
    """
    out: list[str] = []
    position, number, head = 0, 0, _NOTHING
    for found in _walk(folder, end):
        if isinstance(found, str):
            out.append(found)
            continue
        before = found.payload[:32]
        if found.seq != number + 1:
            what = "stands twice or out of its place" if found.seq <= number else "follows on a gap"
            out.append(f"frame {found.seq} {what}: frame {number + 1} belongs behind record {position}")
        elif before != head:
            out.append(f"frame {found.seq} does not follow from the one before it, behind record {position}")
        position, number = found.epoch + found.rows, found.seq
        head = _hash(frames.pack(found))
    return out


def _walk(folder: Path, end: int | None) -> Iterator[Frame | str]:
    for path in sorted(folder.glob("*.seg")):
        data = path.read_bytes()
        if end is not None:
            data = data[: max(end - int(path.stem), 0)]
        offset = 0
        while offset < len(data):
            try:
                frame, offset = frames.unpack_from(data, offset)
            except (StoreDamaged, EOFError) as error:
                yield f"{path.name} is damaged at byte {offset}: {error or 'a frame is cut short'}"
                offset = data.find(frames.MAGIC, offset + 1)
                if offset < 0:
                    break
            else:
                yield frame


def _stands(folder: Path, place: Place) -> bool:
    """Whether the log has, where the place says, the frame that it names."""
    start = max((int(path.stem) for path in folder.glob("*.seg") if int(path.stem) <= place.start), default=None)
    if start is None:
        return False
    with (folder / f"{start:020d}.seg").open("rb") as file:
        file.seek(place.start - start)
        packed = file.read(place.end - place.start)
    return _hash(packed) == place.head


def _hash(packed: bytes) -> bytes:
    return blake2b(packed, digest_size=32).digest()


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Runs that fit into a frame; one empty run where only the origin is to be told."""
    for start in range(0, max(len(records), 1), _MOST_IN_A_FRAME):
        yield records[start : start + _MOST_IN_A_FRAME]


def _chained(position: int, number: int, head: bytes, origin: Origin | None, records: Sequence[Record]) -> Frame:
    plain = frames.of_records(0, position, number, records)
    link = _LINK.pack(head, *(origin or (0, 0, 0, 0)))
    return plain._replace(kind=FrameKind.CHAINED, payload=link + plain.payload)


def chained(frame: Frame) -> list[Record]:
    """The records of a frame of a log."""
    return frames.records(frame._replace(payload=frame.payload[_LINK.size :]))
