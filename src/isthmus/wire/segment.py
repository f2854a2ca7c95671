"""An append-only log of frames on disk, in segments: the edge's buffer and the site's log stand on it.

    00000000000000000000.seg     frames from position 0
    00000000000067108864.seg     frames from position 67108864
    lost/                        what was found damaged, set aside byte for byte

A position is a byte offset in the log as a whole; a segment's name is the position of its first byte.
What `append` wrote is on disk for good once `sync` returns. On opening, a frame cut short at the very
end (the power went while it was written) is cut off; damage anywhere else is set aside and reported,
and everything behind it is kept. Drawn in docs/formats/segment.md.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import BinaryIO, Final, NamedTuple

from isthmus.model.errors import StoreDamaged
from isthmus.wire import frame as frames
from isthmus.wire.frame import HEADER, MAGIC, Frame, Head

SEGMENT_BYTES: Final = 64 * 1024 * 1024
_READ_BYTES: Final = 1024 * 1024


class Damage(NamedTuple):
    """Bytes that are not what was written: where they stood and how many there are."""

    path: Path
    offset: int
    length: int
    what: str


class Chunk(NamedTuple):
    """A run of whole frames as it stands on disk; `heads` has the position behind each frame."""

    data: bytes
    heads: tuple[tuple[int, Head], ...]
    end: int


class SegmentLog:
    """One writer, any number of reading threads. Two writers are the caller's to prevent.

    `preamble` is asked for the frames with which each new segment begins (its dictionaries).
    With `write=False` nothing on disk is touched: another process may be writing it. What lies before
    `whole_to` is not looked at on opening, only when it is read; give the end of a frame.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        preamble: Callable[[], Sequence[bytes]] = tuple,
        write: bool = True,
        whole_to: int = 0,
    ) -> None:
        self.folder = folder
        self.damage: list[Damage] = []
        """What was found damaged, on opening or later; the caller tells a person and clears it."""
        self.found = 0
        """Whole frames found on opening."""
        self._segment_bytes = segment_bytes
        self._preamble = preamble
        self._may_write = write
        if write:
            folder.mkdir(parents=True, exist_ok=True)
        self._holes: dict[int, int] = {}
        self._starts = sorted(int(path.stem) for path in folder.glob("*.seg"))
        self._file: BinaryIO | None = None
        self._end = self._starts[-1] if self._starts else 0
        self._recover(whole_to)
        self._synced = self._end
        self._lock = RLock()

    @property
    def first(self) -> int:
        """Position of the oldest byte still kept."""
        return self._starts[0] if self._starts else self.end

    @property
    def end(self) -> int:
        """Position behind the newest frame."""
        return self._end

    @property
    def synced(self) -> int:
        """Position behind the newest frame that is on disk for good."""
        return self._synced

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._end - self.first

    @property
    def segments(self) -> list[tuple[int, int]]:
        """Start and end of each segment, oldest first."""
        with self._lock:
            return list(zip(self._starts, [*self._starts[1:], self._end], strict=True)) if self._starts else []

    def append(self, packed: Sequence[bytes]) -> int:
        """Append packed frames; return the position behind them. Durable only after `sync`.

        Raises OSError (disk full) with nothing appended: a part that was written is cut off again.
        """
        data = b"".join(packed)
        with self._lock:
            held = self._end - self._starts[-1] if self._starts else None
            if held is None or (held and held + len(data) > self._segment_bytes):
                self._begin_segment()
            self._write(data)
            return self._end

    def sync(self) -> None:
        """Return when everything appended is on the disk itself.

        Raises OSError with everything since the last sync taken back: after a failed sync the system
        forgets which pages it never wrote, so that a second try would promise what nobody knows.
        """
        with self._lock:
            if self._file is None or self._synced == self._end:
                return
            upto, handle = self._end, self._file
        try:
            os.fdatasync(handle.fileno())
        except OSError:
            with self._lock:
                self._take_back()
            raise
        self._synced = upto

    def read(self, position: int) -> Iterator[tuple[int, Frame]]:
        """Frames from `position` on, each with the position behind it. Begins at the oldest kept.

        Reads what was there when it was called; a frame being written is never seen in part. Damage
        found on the way is set aside and stepped over, as on opening.
        """
        end = self._end
        while position < end:
            chunk = self.chunk(position, _READ_BYTES, upto=end)
            offset = 0
            for behind, _ in chunk.heads:
                frame, offset = frames.unpack_from(chunk.data, offset)
                yield behind, frame
            position = chunk.end

    def chunk(self, position: int, most: int, upto: int | None = None) -> Chunk:
        """Whole frames from `position` on, `most` bytes of one segment; a single larger frame comes alone.

        `upto` bounds the reading; without it only what is synced is given. Holes are stepped over, so
        the data may be empty although `end` moved; where nothing is left, `end` is `position`.
        """
        with self._lock:
            upto = self._synced if upto is None else upto
            position = max(position, self.first)
            while position in self._holes:
                position = self._holes[position]
            if position >= upto or not self._starts:
                return Chunk(b"", (), position)
            index = bisect_right(self._starts, position) - 1
            start = self._starts[index]
            stop = min(self._starts[index + 1] if index + 1 < len(self._starts) else self._end, upto)
            hole = min((at for at in self._holes if position < at < stop), default=stop)
            return self._chunk(start, position, hole, most)

    def trim(self, position: int) -> int:
        """Drop whole segments that end at or before `position`; return the bytes dropped."""
        gone: list[int] = []
        with self._lock:
            first = self._starts[0] if self._starts else 0
            while len(self._starts) > 1 and self._starts[1] <= position:
                gone.append(self._starts.pop(0))
            dropped = self._starts[0] - first if gone else 0
        # To delete a large file takes its time; whoever appends does not wait for it.
        for start in gone:
            self._path(start).unlink(missing_ok=True)
        return dropped

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _path(self, start: int) -> Path:
        return self.folder / f"{start:020d}.seg"

    def _chunk(self, start: int, position: int, stop: int, most: int) -> Chunk:
        data = _read(self._path(start), position - start, min(max(most, HEADER.size), stop - position), stop - position)
        if not data:
            return self._step_over(start, position, stop, "the file is gone or shorter than it was")
        heads: list[tuple[int, Head]] = []
        offset = 0
        while offset < len(data):
            try:
                head, behind = frames.head_at(data, offset)
            except EOFError:
                if heads:
                    break
                return self._step_over(start, position, stop, "a frame is cut short")
            except StoreDamaged as error:
                if heads:
                    break
                return self._step_over(start, position, stop, str(error))
            offset = behind
            heads.append((position + behind, head))
        return Chunk(data[:offset], tuple(heads), position + offset)

    def _step_over(self, start: int, position: int, stop: int, what: str) -> Chunk:
        """Bytes turned bad since opening: set them aside and say where the next frame begins."""
        data = _read(self._path(start), 0, stop - start, stop - start)
        following = _next_frame(data, position - start + 1)
        end = stop - start if following is None else following
        damage = Damage(self._path(start), position - start, end - (position - start), what)
        self._set_aside(start, data, [damage])
        return Chunk(b"", (), start + end)

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

    def _take_back(self) -> None:
        """Cut off everything behind the last sync. It lies in the last segment: a new one syncs the old."""
        self._end = self._synced
        if self._file is not None:
            at = max(self._end - self._starts[-1], 0)
            self._file.truncate(at)
            self._file.seek(at)

    def _begin_segment(self) -> None:
        self.close()
        path = self._path(self._end)
        path.touch()
        self._starts.append(self._end)
        try:
            _sync_folder(self.folder)
            opening = b"".join(self._preamble())
            if opening:
                self._write(opening)
        except OSError:
            # A segment without its preamble could not be read by itself: better none.
            self._starts.pop()
            if self._file is not None:
                self._file.close()
                self._file = None
            path.unlink(missing_ok=True)
            raise

    def _recover(self, whole_to: int) -> None:
        for start, following in zip(self._starts, [*self._starts[1:], None], strict=False):
            if following is None or following > whole_to:
                self._end = start + self._check(start, max(whole_to - start, 0), last=following is None)

    def _check(self, start: int, offset: int, *, last: bool) -> int:
        """Walk one segment from `offset`; set damage aside; return its length afterwards."""
        path = self._path(start)
        data = path.read_bytes()
        bad: list[Damage] = []
        while offset < len(data):
            try:
                _, end = frames.head_at(data, offset)
                self.found += 1
            except (StoreDamaged, EOFError) as error:
                following = _next_frame(data, offset + 1)
                torn = isinstance(error, EOFError) or not any(data[offset:])
                if following is None and last and torn:
                    # Cut short, or blocks that the file system promised and never wrote: not yet synced.
                    if self._may_write:
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
            if self._may_write and not target.exists():
                self.damage.append(damage)
                with suppress(OSError):  # a full disk must not keep what is whole from being read
                    lost.mkdir(exist_ok=True)
                    target.write_bytes(data[damage.offset : damage.offset + damage.length])
                    _sync_folder(lost)


def _read(path: Path, offset: int, size: int, most: int) -> bytes:
    """`size` bytes at `offset`, and up to `most` where the first frame is longer; b"" when the file is gone."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(size)
            if len(data) == size >= HEADER.size:
                whole = min(HEADER.size + HEADER.unpack_from(data)[1], most)
                data += file.read(whole - size) if whole > size else b""
            return data
    except FileNotFoundError:
        return b""


def _next_frame(data: bytes, offset: int) -> int | None:
    """Offset of the next whole frame at or behind `offset`, or None."""
    at = data.find(MAGIC, offset)
    while at >= 0:
        try:
            frames.head_at(data, at)
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
