"""One epoch of the buffer: a log of frames, and how far the site has it.

Sequence numbers are only ever given out in one run of one process: a new start, or a long outage,
begins a new epoch. So no number can mean two different frames, whatever is killed and when.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, Protocol

from isthmus.model.records import Record
from isthmus.wire import frame as frames
from isthmus.wire.frame import Frame, FrameKind, Head
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
        self.opening: Callable[[], Sequence[bytes]] | None = None
        """Says other dictionaries than those at the start of the segment: a relay learns them on its way."""
        self.finished = False
        """True when nothing is written to it any more."""
        self.acknowledged = max(self._load(), log.first)
        self.frames = log.found
        """Frames that the site does not have, as found on opening and written since; at most a segment too many."""
        self._held: dict[int, int] = {}
        """By source that the site refuses from us, the position of its first frame that was passed over."""
        self._again: set[int] = set()
        """Sources that were refused once and are sent again, up to `_reached`; the site has the rest of that."""
        self._reached = 0
        self._rewound_to: int | None = None
        """Where the lane went back to, until the chunk from there was given."""

    @property
    def on_disk(self) -> bool:
        """False while it is held in memory only."""
        return self._folder is not None

    @property
    def waiting(self) -> int:
        """Bytes that may be sent and that the site does not have yet."""
        return max(self.log.synced - self.acknowledged, 0)

    @property
    def settled(self) -> bool:
        """Whether the site has all of it, and refused nothing of it."""
        return not self.waiting and not self._held

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self.log.end - self.log.first

    def body(self, most: int) -> Chunk:
        """The oldest frames that the site does not have, `most` bytes or one larger frame.

        Holes that damage left are passed over here, so an empty chunk means that nothing waits.
        """
        while True:
            self._rewound_to = None
            chunk = self.log.chunk(self.acknowledged, most)
            if chunk.heads or chunk.end <= self.acknowledged:
                return chunk
            self._advance(chunk.end)

    def dictionaries(self) -> bytes:
        """The dictionary frames that what is sent next leans on: those at the start of its segment."""
        if self.opening is not None:
            return b"".join(self.opening())
        start = max((start for start, _ in self.log.segments if start <= self.acknowledged), default=self.log.first)
        out = []
        for _, frame in self.log.read(start):
            if frame.kind is not FrameKind.DICTIONARY:
                break
            out.append(frames.pack(frame))
        return b"".join(out) or self._preamble

    def outgoing(self, chunk: Chunk, refused: Container[int]) -> bytes:
        """What of a chunk is sent: not the sources that the site refuses, nor again what it has."""
        start = chunk.end - len(chunk.data)
        out, at = [], start
        for behind, head in chunk.heads:
            if head.kind is FrameKind.DICTIONARY or (head.source not in refused and not self._known(behind, head)):
                out.append(chunk.data[at - start : behind - start])
            at = behind
        return chunk.data if len(out) == len(chunk.heads) else b"".join(out)

    def acknowledge(
        self, chunk: Chunk, upto: Mapping[tuple[int, int], int], refused: Container[int] = frozenset()
    ) -> bool:
        """Take the site's word: `upto` is (source, epoch) to seq. True when it went on.

        Frames of refused sources are passed over, and kept until they are let go by `release`.
        """
        position, at = self.acknowledged, chunk.end - len(chunk.data)
        passed = 0
        if self.stale(chunk):
            return False
        for behind, head in chunk.heads:
            if head.kind is not FrameKind.DICTIONARY and not self._known(behind, head):
                if head.source in refused:
                    self._held.setdefault(head.source, at)
                    passed += 1
                elif head.seq > upto.get((head.source, head.epoch), 0):
                    break
            position = at = behind
        if position <= self.acknowledged:
            return False
        self.frames = max(self.frames - sum(behind <= position for behind, _ in chunk.heads) + passed, 0)
        self._advance(position)
        self.log.trim(self._kept)
        return True

    def stale(self, chunk: Chunk) -> bool:
        """Whether the lane went back behind a chunk after it was given: to take it as done would lose what lies before."""
        return self._rewound_to is not None and chunk.end > self._rewound_to

    def held(self, source: int) -> bytes | None:
        """The first frame of a refused source that is kept here, as it was packed; None when there is none."""
        if source not in self._held:
            return None
        for _, frame in self.log.read(self._held[source]):
            if frame.source == source and frame.kind is not FrameKind.DICTIONARY:
                return frames.pack(frame)
        del self._held[source]
        return None

    def release(self, source: int) -> None:
        """The site takes this source from us now: what of it was passed over is sent."""
        position = self._held.pop(source, None)
        if position is not None:
            with self._lock:
                self._reached = max(self._reached, self.acknowledged)
                self._again.add(source)
                self.acknowledged = self._rewound_to = position

    def _known(self, behind: int, head: Head | Frame) -> bool:
        """Whether a frame was acknowledged before the lane went back for another source's."""
        return behind <= self._reached and head.source not in self._again

    @property
    def _kept(self) -> int:
        """Everything from this position on may have to be sent."""
        return min([self.acknowledged, *self._held.values()])

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
        if not segments or (len(segments) == 1 and (self.settled or not self.finished)):
            return None
        start, end = segments[0]
        lost: list[Frame] = []
        records: list[Record] = []
        for behind, frame in self.log.read(start):
            if behind > end:
                break
            passed = min(self.acknowledged, self._held.get(frame.source, self.acknowledged))
            if behind <= passed or self._known(behind, frame):
                continue
            if frame.kind is FrameKind.RECORDS:
                records += frames.records(frame)
            else:
                lost.append(frame)
        dropped = _count(lost, self._names(start))
        self._held = {source: max(at, end) for source, at in self._held.items()}
        self._advance(end)
        self.log.trim(end)
        return dropped, records

    def oldest_ns(self) -> int | None:
        """When the oldest segment was last written, by this machine's clock; None where it cannot be let go."""
        segments = self.log.segments
        if self._folder is None or not segments or (len(segments) == 1 and (self.settled or not self.finished)):
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
            if self.acknowledged >= self._reached:
                self._again.clear()
            if self._folder is not None:
                with suppress(OSError):  # when it is not kept, the site is sent some frames twice and drops them
                    whole = self._folder / f".{_ACKED}"
                    whole.write_text(str(self._kept))
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
