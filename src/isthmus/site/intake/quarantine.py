"""What arrived and cannot be taken in: the frame is set aside byte for byte, and a record says why.

One mistake of one source is told at once, then at most once a minute with how much came since.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from isthmus.model.records import Record
from isthmus.model.records.site import SamplesQuarantined
from isthmus.model.time import NS_PER_MINUTE
from isthmus.wire import frame as frames
from isthmus.wire.frame import Frame

_log = logging.getLogger(__name__)
_MOST_BYTES: Final = 256 * 1024 * 1024
_MOST_FRAMES: Final = 10_000
_MOST_NAMED: Final = 20


class _Case:
    """One mistake of one source, and how much of it is not told yet."""

    def __init__(self) -> None:
        self.told_ns = -NS_PER_MINUTE
        self.rows = 0
        self.tags: dict[str, None] = {}


class Quarantine:
    """A folder of frames, bounded: when it is full, what comes is told and counted, no longer kept."""

    def __init__(self, folder: Path, *, most_bytes: int = _MOST_BYTES) -> None:
        self._folder, self._most = folder, most_bytes
        folder.mkdir(parents=True, exist_ok=True)
        sizes = [path.stat().st_size for path in folder.glob("*.frame")]
        self._size, self._count = sum(sizes), len(sizes)
        self._cases: dict[tuple[str, str], _Case] = {}

    def keep(self, frame: Frame) -> None:
        """Set a frame aside. Raises OSError when the disk is full."""
        packed = frames.pack(frame)
        if self._full(len(packed)):
            return
        path = self._folder / f"{frame.source:08x}-{frame.epoch}-{frame.seq}.frame"
        if path.exists():
            return
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        self._size, self._count = self._size + len(packed), self._count + 1

    def _full(self, more: int) -> bool:
        return self._size + more > self._most or self._count >= _MOST_FRAMES

    def tell(  # noqa: PLR0913  each is a field of the record
        self, path: str, why: str, *, rows: int, tags: Sequence[str], time_ns: int, now_ns: int
    ) -> list[Record]:
        """Count what was set aside of one mistake; the record to log, when one is due."""
        case = self._cases.setdefault((path, why), _Case())
        case.rows += rows
        case.tags.update(dict.fromkeys(tags))
        if now_ns - case.told_ns < NS_PER_MINUTE:
            return []
        _log.warning("%s: %d samples set aside: %s", path, case.rows, why)
        named = tuple(sorted(case.tags)[:_MOST_NAMED])
        full = "" if not self._full(0) else "; the folder of what is set aside is full, and they are not kept"
        told = SamplesQuarantined(path=path, time_ns=time_ns, rows=case.rows, why=why + full, tags=named)
        case.told_ns, case.rows = now_ns, 0
        case.tags.clear()
        return [told]
