"""One epoch of the buffer: a log of frames, and how far the site has it.

Sequence numbers are only ever given out in one run of one process: a new start, or a long outage,
begins a new epoch. So no number can mean two different frames, whatever is killed and when.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, Protocol

from isthmus.model.records import Record
from isthmus.wire import frame as frames
from isthmus.wire.frame import Frame, FrameKind
from isthmus.wire.segment import Chunk, Damage, SegmentLog

SEGMENT_BYTES: Final = 16 * 1024 * 1024
_ACKED: Final = "acknowledged"


class FrameLog(Protocol):
    """What a lane asks of where its frames are: `SegmentLog` on disk, `MemoryLog` while the disk is full.

    `SegmentLog` says what each of these promises.
    """

    damage: list[Damage]
    found: int

    @property
    def first(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102
    @property
    def synced(self) -> int: ...  # noqa: D102
    @property
    def segments(self) -> list[tuple[int, int]]: ...  # noqa: D102
    def append(self, packed: Sequence[bytes]) -> int: ...  # noqa: D102
    def sync(self) -> None: ...  # noqa: D102
    def read(self, position: int) -> Iterator[tuple[int, Frame]]: ...  # noqa: D102
    def chunk(self, position: int, most: int) -> Chunk: ...  # noqa: D102
    def trim(self, position: int) -> int: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class MemoryLog:
    """Frames held in memory while no disk takes them. Lost when the process ends, and said so."""

    def __init__(self) -> None:
        self.damage: list[Damage] = []
        self.found = 0
        self._runs: deque[tuple[int, bytes]] = deque()
        self._end = 0
        self._lock = Lock()

    @property
    def first(self) -> int:
        """Position of the oldest byte still held."""
        with self._lock:
            return self._runs[0][0] if self._runs else self._end

    @property
    def end(self) -> int:
        """Position behind the newest frame."""
        return self._end

    @property
    def synced(self) -> int:
        """All of it may be sent."""
        return self._end

    @property
    def segments(self) -> list[tuple[int, int]]:
        """One for each `append`."""
        with self._lock:
            return [(start, start + len(data)) for start, data in self._runs]

    def append(self, packed: Sequence[bytes]) -> int:
        """Hold packed frames."""
        data = b"".join(packed)
        with self._lock:
            if data:
                self._runs.append((self._end, data))
                self._end += len(data)
        return self._end

    def sync(self) -> None:
        """Nothing to do."""

    def read(self, position: int) -> Iterator[tuple[int, Frame]]:
        """Frames from `position` on."""
        with self._lock:
            runs = [(start, data) for start, data in self._runs if start + len(data) > position]
        for start, data in runs:
            offset = max(position - start, 0)
            while offset < len(data):
                frame, offset = frames.unpack_from(data, offset)
                yield start + offset, frame

    def chunk(self, position: int, most: int) -> Chunk:
        """Whole frames from `position` on, about `most` bytes."""
        out: list[bytes] = []
        heads: list[tuple[int, frames.Head]] = []
        size = 0
        for behind, frame in self.read(position):
            packed = frames.pack(frame)
            if out and size + len(packed) > most:
                break
            out.append(packed)
            size += len(packed)
            heads.append((behind, frames.Head(*frame[:6])))
        return Chunk(b"".join(out), tuple(heads), heads[-1][0] if heads else max(position, self.first))

    def trim(self, position: int) -> int:
        """Forget what ends at or before `position`."""
        dropped = 0
        with self._lock:
            while self._runs and self._runs[0][0] + len(self._runs[0][1]) <= position:
                dropped += len(self._runs.popleft()[1])
        return dropped

    def close(self) -> None:
        """Nothing to do."""


class Dropped(NamedTuple):
    """Frames of one source that were let go before the site had them."""

    source: str
    start_ns: int
    end_ns: int
    frames: int
    rows: int
    first_seq: int
    last_seq: int


class Lane:
    """One epoch: where its frames are, and the position up to which the site has them."""

    def __init__(self, epoch: int, log: FrameLog, folder: Path | None, preamble: Sequence[bytes] = ()) -> None:
        self.epoch = epoch
        self._preamble = b"".join(preamble)
        self.log = log
        self._folder = folder
        self._lock = Lock()
        self.finished = False
        """True when nothing is written to it any more."""
        self.acknowledged = max(self._load(), log.first)
        self.frames = log.found
        """Frames that the site does not have, as found on opening and written since; at most a segment too many."""

    @property
    def on_disk(self) -> bool:
        """False while it is held in memory only."""
        return self._folder is not None

    @property
    def waiting(self) -> int:
        """Bytes that may be sent and that the site does not have yet."""
        return max(self.log.synced - self.acknowledged, 0)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self.log.end - self.log.first

    def body(self, most: int) -> Chunk:
        """The oldest frames that the site does not have, `most` bytes or one larger frame.

        Holes that damage left are passed over here, so an empty chunk means that nothing waits.
        """
        while True:
            chunk = self.log.chunk(self.acknowledged, most)
            if chunk.heads or chunk.end <= self.acknowledged:
                return chunk
            self._advance(chunk.end)

    def dictionaries(self) -> bytes:
        """The dictionary frames that what is sent next leans on: those at the start of its segment."""
        start = max((start for start, _ in self.log.segments if start <= self.acknowledged), default=self.log.first)
        out = []
        for _, frame in self.log.read(start):
            if frame.kind is not FrameKind.DICTIONARY:
                break
            out.append(frames.pack(frame))
        return b"".join(out) or self._preamble

    def acknowledge(self, chunk: Chunk, upto: Mapping[int, int]) -> bool:
        """Take the site's word: `upto` is source to seq. True when something was acknowledged."""
        position = self.acknowledged
        for behind, head in chunk.heads:
            if head.kind is not FrameKind.DICTIONARY and head.seq > upto.get(head.source, 0):
                break
            position = behind
        if position <= self.acknowledged:
            return False
        self.frames = max(self.frames - sum(behind <= position for behind, _ in chunk.heads), 0)
        self._advance(position)
        self.log.trim(position)
        return True

    def skip(self, chunk: Chunk, aside: Path) -> list[Dropped]:
        """Set the first frame of `chunk` aside, since the site cannot take it; what was let go."""
        behind, head = chunk.heads[0]
        frame, length = frames.unpack_from(chunk.data)
        with suppress(OSError):
            aside.mkdir(parents=True, exist_ok=True)
            (aside / f"{self.epoch}-{head.source:08x}-{head.seq}.frame").write_bytes(chunk.data[:length])
        names = self._names(self.log.first)
        self._advance(behind)
        return _count([frame], names)

    def drop_oldest(self) -> tuple[list[Dropped], list[Record]] | None:
        """Let the oldest segment go. None when it is being written.

        What of it the site did not have: samples by source, and the edge's own records.
        """
        segments = self.log.segments
        if not segments or (len(segments) == 1 and not (self.finished and self.waiting)):
            return None
        start, end = segments[0]
        lost: list[Frame] = []
        records: list[Record] = []
        for behind, frame in self.log.read(start):
            if behind > end:
                break
            if behind > self.acknowledged and frame.kind is FrameKind.RECORDS:
                records += frames.records(frame)
            elif behind > self.acknowledged:
                lost.append(frame)
        dropped = _count(lost, self._names(start))
        self._advance(end)
        self.log.trim(end)
        return dropped, records

    def oldest_ns(self) -> int | None:
        """When the oldest segment was last written, by this machine's clock; None where it cannot be let go."""
        segments = self.log.segments
        if self._folder is None or not segments or (len(segments) == 1 and not (self.finished and self.waiting)):
            return None
        with suppress(OSError):
            return (self._folder / f"{segments[0][0]:020d}.seg").stat().st_mtime_ns
        return None

    def remove(self) -> None:
        """The site has it all: nothing of it stays."""
        self.log.close()
        if self._folder is not None:
            lost = self._folder / "lost"
            for path in self._folder.glob("*.seg"):
                path.unlink(missing_ok=True)
            (self._folder / _ACKED).unlink(missing_ok=True)
            if not lost.exists():
                shutil.rmtree(self._folder, ignore_errors=True)

    def _names(self, start: int) -> dict[int, str]:
        """Source names by number, from the dictionaries at the start of a segment."""
        out = {frame.source: frames.dictionary(frame).source for frame in frames.unpack_all(self._preamble)}
        for _, frame in self.log.read(start):
            if frame.kind is not FrameKind.DICTIONARY:
                break
            out[frame.source] = frames.dictionary(frame).source
        return out

    def _load(self) -> int:
        if self._folder is None:
            return 0
        try:
            return int((self._folder / _ACKED).read_text())
        except (OSError, ValueError):
            return 0  # sent once more: the site knows what it has

    def _advance(self, position: int) -> None:
        with self._lock:
            self.acknowledged = max(self.acknowledged, position)
            if self._folder is not None:
                with suppress(OSError):  # when it is not kept, the site is sent some frames twice and drops them
                    whole = self._folder / f".{_ACKED}"
                    whole.write_text(str(self.acknowledged))
                    whole.replace(self._folder / _ACKED)


def on_disk(folder: Path, epoch: int, preamble: Callable[[], Sequence[bytes]] = tuple) -> Lane:
    """The lane of `epoch` under the buffer's folder, new or as it was left. Raises OSError."""
    place = folder / str(epoch)
    return Lane(epoch, SegmentLog(place, segment_bytes=SEGMENT_BYTES, preamble=preamble), place)


def epochs(folder: Path) -> list[int]:
    """Epochs under the buffer's folder that still hold frames, oldest first."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit() and any(path.glob("*.seg")))


def sync_folder(folder: Path) -> None:
    """Return when the folder's own entries are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _count(lost: Sequence[Frame], names: Mapping[int, str]) -> list[Dropped]:
    """What `lost` holds, by source; dictionaries are said again and count for nothing."""
    by_source: dict[int, list[Frame]] = {}
    for frame in lost:
        if frame.kind is not FrameKind.DICTIONARY:
            by_source.setdefault(frame.source, []).append(frame)
    return [
        Dropped(
            names.get(source, f"{source:08x}"),
            min(frame.first_ns for frame in held),
            max(frame.first_ns for frame in held),
            len(held),
            sum(frame.rows for frame in held),
            held[0].seq,
            held[-1].seq,
        )
        for source, held in by_source.items()
    ]
