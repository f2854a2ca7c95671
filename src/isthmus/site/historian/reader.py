"""History read by a second process while another one writes it: reports, analysts, backups.

    with Reader(folder) as reader:
        table = reader.query(Aggregate(bucket_ns=NS_PER_MINUTE), [tag], start_ns, end_ns)

It reads the manifest, the segments and the end of the write-ahead log, and writes nothing but its
lease. What was acknowledged before a question is in its answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, Self

import pyarrow as pa

from isthmus.model.errors import StoreDamaged
from isthmus.model.query import Operator
from isthmus.site.historian import corrections
from isthmus.site.historian.asking.engine import Engine
from isthmus.site.historian.memory.head import Head
from isthmus.site.historian.memory.newest import Newest
from isthmus.site.historian.memory.rows import Rows, from_batch, numbered
from isthmus.site.historian.sealed import waveforms
from isthmus.site.historian.sealed.leases import Lease
from isthmus.site.historian.sealed.manifest import Manifest, Segment
from isthmus.site.historian.sealed.view import Files, View
from isthmus.site.historian.tags import TagBook
from isthmus.wire import frame as frames
from isthmus.wire.frame import MAGIC, Frame, FrameKind

_TRIES: Final = 20
"""How often a look is begun anew because a seal came between its manifest and its log."""


class _Sealed(NamedTuple):
    generation: int
    wal: int
    segments: tuple[Segment, ...]
    rollups: tuple[Segment, ...]
    newest: Newest
    snapshot_days: tuple[int, ...]


class _Tail(NamedTuple):
    """What the log held behind a seal, and how far it was read."""

    since: int
    end: int
    head: Head
    newest: Newest


class Reader:
    """Answers the same questions as the store. Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = Manifest(folder, writing=False)
        self.tags = TagBook(self._manifest)
        self._files, self._engine, self._lock = Files(folder), Engine(), Lock()
        self._sealed: _Sealed | None = None
        self._tail: _Tail | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._engine.close()
        self._manifest.close()

    def query(self, operator: Operator, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
        """As `Historian.query`."""
        with self.view() as view:
            return self._engine.query(view, operator, numbered(tags), start_ns, end_ns)

    def bursts(self, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
        """As `Historian.bursts`."""
        return waveforms.read(self.folder, tags, start_ns, end_ns)

    @contextmanager
    def view(self) -> Iterator[View]:
        """What is stored now; the writer deletes no segment of it until the view is given back."""
        lease = Lease(self.folder)
        try:
            with self._lock:
                sealed, tail = self._look()
                parts, newest = tail.head.parts(), tail.newest.copy()
                said = corrections.read(self._manifest)[1]
            lease.hold(sealed.generation)
            yield View(
                self._files,
                sealed.segments,
                sealed.rollups,
                parts,
                said,
                newest.rows,
                sealed.snapshot_days,
                self._manifest.snapshot,
            )
        finally:
            lease.release()

    def _look(self) -> tuple[_Sealed, _Tail]:
        for _ in range(_TRIES):
            sealed = self._look_at_manifest()
            tail = self._look_at_log(sealed)
            if tail is not None:
                self._sealed, self._tail = sealed, tail
                return sealed, tail
        msg = f"{self.folder} is sealed faster than it can be read; ask again"
        raise StoreDamaged(msg)

    def _look_at_manifest(self) -> _Sealed:
        with self._manifest.reading():
            generation, wal = self._manifest.about("generation"), self._manifest.about("wal")
            if self._sealed and (self._sealed.generation, self._sealed.wal) == (generation, wal):
                return self._sealed
            self.tags.reload()
            return _Sealed(
                generation,
                wal,
                tuple(self._manifest.segments()),
                tuple(self._manifest.rollups()),
                Newest.unpack(self._manifest.state("sealed")),
                tuple(self._manifest.snapshot_days()),
            )

    def _look_at_log(self, sealed: _Sealed) -> _Tail | None:
        """What stands in the log behind the seal; None when the log was trimmed since the manifest was read."""
        tail = self._tail
        if tail is None or tail.since != sealed.wal:
            tail = _Tail(sealed.wal, sealed.wal, Head(), sealed.newest.copy())
        end = tail.end
        starts = sorted(int(path.stem) for path in (self.folder / "wal").glob("*.seg"))
        if starts and starts[0] > end:
            return None
        for index, start in enumerate(starts):
            if index + 1 < len(starts) and starts[index + 1] <= end:
                continue
            try:
                with (self.folder / "wal" / f"{start:020d}.seg").open("rb") as file:
                    file.seek(max(end - start, 0))
                    data = file.read()
            except FileNotFoundError:
                return None
            at = max(end, start)
            for frame, behind in _frames(data):
                self._take(tail, frame)
                end = at + behind
        return tail._replace(end=end)

    def _take(self, tail: _Tail, frame: Frame) -> None:
        if frame.kind is FrameKind.SAMPLES:
            rows: Rows = from_batch(frames.samples(frame), tail.head.words)
            tail.head.add(rows)
            tail.newest.see(rows)


def _frames(data: bytes) -> Iterator[tuple[Frame, int]]:
    """Every whole frame and the offset behind it; a frame still being written ends it, damage is stepped over."""
    offset = 0
    while offset < len(data):
        try:
            frame, offset = frames.unpack_from(data, offset)
            yield frame, offset
        except EOFError:
            return
        except StoreDamaged:
            # The writer tells people of it and sets it aside; here only what follows matters.
            offset = data.find(MAGIC, offset + 1)
            if offset < 0:
                return
