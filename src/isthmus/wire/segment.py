"""An append-only log of frames on disk, in segments: the edge's buffer and the site's log stand on it.

    00000000000000000000.seg     frames from position 0
    00000000000067108864.seg     frames from position 67108864
    lost/                        what was found damaged, set aside byte for byte

A position is a byte offset in the log as a whole; a segment's name is the position of its first byte.
What `append` wrote is on disk for good once `sync` returns. On opening, a frame cut short at the very
end (the power went while it was written) is cut off; damage anywhere else is set aside and reported,
and everything behind it is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from isthmus.model.errors import StoreDamaged
from isthmus.wire import frame as frames
from isthmus.wire.frame import MAGIC, Frame

SEGMENT_BYTES: Final = 64 * 1024 * 1024


class Damage(NamedTuple):
    """Bytes that are not what was written: where they stood and how many there are."""

    path: Path
    offset: int
    length: int
    what: str


class SegmentLog:
    """One writer, any number of readers. Not safe for two writers: `open` takes a lock file.

    `preamble` is asked for the frames with which each new segment begins (its dictionaries).
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        preamble: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        self.folder = folder
        self.damage: list[Damage] = []
        """What was found damaged on opening; the caller tells a person."""
        self._segment_bytes = segment_bytes
        self._preamble = preamble
        folder.mkdir(parents=True, exist_ok=True)
        self._holes: dict[int, int] = {}
        self._starts = sorted(int(path.stem) for path in folder.glob("*.seg"))
        self._recover()
        self._file: BinaryIO | None = None
        self._dirty = False

    @property
    def first(self) -> int:
        """Position of the oldest byte still kept."""
        return self._starts[0] if self._starts else self.end

    @property
    def end(self) -> int:
        """Position behind the newest frame."""
        return self._end

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._end - self.first

    def append(self, packed: Sequence[bytes]) -> int:
        """Append packed frames; return the position behind them. Durable only after `sync`.

        Raises OSError (disk full) with nothing appended: a part that was written is cut off again.
        """
        data = b"".join(packed)
        if not self._starts or self._end - self._starts[-1] + len(data) > self._segment_bytes:
            self._begin_segment()
        self._write(data)
        return self._end

    def sync(self) -> None:
        """Return when everything appended is on the disk itself."""
        if self._file is not None and self._dirty:
            os.fdatasync(self._file.fileno())
            self._dirty = False

    def read(self, position: int) -> Iterator[tuple[int, Frame]]:
        """Frames from `position` on, each with the position behind it. Begins at the oldest kept.

        Reads what was there when it was called; a frame being written is never seen in part.
        Raises StoreDamaged where bytes turned bad after opening.
        """
        end = self._end
        for index, start in enumerate(self._starts):
            stop = self._starts[index + 1] if index + 1 < len(self._starts) else end
            if stop <= position or start >= end:
                continue
            data = self._path(start).read_bytes()[: stop - start]
            offset = max(position - start, 0)
            while offset < len(data):
                if start + offset in self._holes:
                    offset = self._holes[start + offset] - start
                    continue
                frame, offset = frames.unpack_from(data, offset)
                yield start + offset, frame

    def trim(self, position: int) -> int:
        """Drop whole segments that end at or before `position`; return the bytes dropped."""
        dropped = 0
        while len(self._starts) > 1 and self._starts[1] <= position:
            dropped += self._starts[1] - self._starts[0]
            self._path(self._starts.pop(0)).unlink()
        return dropped

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, start: int) -> Path:
        return self.folder / f"{start:020d}.seg"

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._path(self._starts[-1]).open("r+b", buffering=0)
            self._file.seek(0, os.SEEK_END)
        at = self._end - self._starts[-1]
        try:
            written = 0
            while written < len(data):
                written += self._file.write(memoryview(data)[written:])
        except OSError:
            # Half a frame must not stand before a whole one: what follows it would look damaged.
            self._file.truncate(at)
            self._file.seek(at)
            raise
        self._end += len(data)
        self._dirty = True

    def _begin_segment(self) -> None:
        self.close()
        path = self._path(self._end)
        path.touch()
        _sync_folder(self.folder)
        self._starts.append(self._end)
        opening = b"".join(self._preamble())
        if opening:
            self._write(opening)

    def _recover(self) -> None:
        self._end = self._starts[-1] if self._starts else 0
        for start in self._starts:
            self._end = start + self._check(start, last=start == self._starts[-1])

    def _check(self, start: int, *, last: bool) -> int:
        """Walk one segment; set damage aside; return its length afterwards."""
        path = self._path(start)
        data = path.read_bytes()
        bad: list[Damage] = []
        offset = 0
        while offset < len(data):
            try:
                _, end = frames.unpack_from(data, offset)
            except (StoreDamaged, EOFError) as error:
                following = _next_frame(data, offset + 1)
                if following is None and last and isinstance(error, EOFError):
                    os.truncate(path, offset)
                    break
                end = len(data) if following is None else following
                bad.append(Damage(path, offset, end - offset, str(error) or "a frame is cut short"))
            offset = end
        self._set_aside(start, data, bad)
        return offset

    def _set_aside(self, start: int, data: bytes, bad: Sequence[Damage]) -> None:
        """Copy damaged bytes to lost/ and remember to step over them; the segment itself is not touched.

        Positions stay as they are, and what was reported once is not reported again at the next start.
        """
        lost = self.folder / "lost"
        for damage in bad:
            self._holes[start + damage.offset] = start + damage.offset + damage.length
            target = lost / f"{start + damage.offset:020d}.bin"
            if not target.exists():
                lost.mkdir(exist_ok=True)
                target.write_bytes(data[damage.offset : damage.offset + damage.length])
                _sync_folder(lost)
                self.damage.append(damage)


def _next_frame(data: bytes, offset: int) -> int | None:
    """Offset of the next whole frame at or behind `offset`, or None."""
    at = data.find(MAGIC, offset)
    while at >= 0:
        try:
            frames.unpack_from(data, at)
        except (StoreDamaged, EOFError):
            at = data.find(MAGIC, at + 1)
        else:
            return at
    return None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
