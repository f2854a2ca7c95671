"""Where frames are while no disk takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from threading import Lock

from isthmus.wire import frame as frames
from isthmus.wire.frame import Frame
from isthmus.wire.segment import Chunk, Damage


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
