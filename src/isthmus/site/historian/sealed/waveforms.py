"""Bursts of fast signals, beside samples: the same log, manifest and promises, in a folder of their own.

    <history>/waveforms/wal/           frames of bursts with the site's tag ids, fsynced before the acknowledgement
    <history>/waveforms/segments/      day=2026-11-22/000000000007-L0.parquet, sorted, a row a burst
    <history>/waveforms/manifest.sqlite

    tag          int32                       interval_ns  double, ns between two readings
    time         timestamp ns, UTC           i            list of int16, or null
    q            int32                       f            list of float, or null

Readings stand in `i` where all of a burst are whole numbers of 16 bits, else in `f`; both null: no value.
Of two bursts with one (tag, time) the later arrival stands. See docs/formats/history.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.model.errors import StoreDamaged
from isthmus.model.samples import SCHEMA, Batch, ValueKind, kind_of
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR
from isthmus.model.waveforms import bursts, readings
from isthmus.site.historian.memory.taken import Taken
from isthmus.site.historian.sealed import upkeep
from isthmus.site.historian.sealed.journal import open_journal
from isthmus.site.historian.sealed.leases import Lease, oldest_held
from isthmus.site.historian.sealed.manifest import NAME, Manifest, Segment, put_about, put_segments, put_taken
from isthmus.site.historian.sealed.mark import mark, open_manifest
from isthmus.site.historian.sealed.parquet import write_whole
from isthmus.site.historian.sealed.retention import arrived
from isthmus.site.historian.sealed.seal import segment_path
from isthmus.site.historian.sealed.view import Files
from isthmus.wire import frame as frames
from isthmus.wire.bursts import whole
from isthmus.wire.frame import FrameKind
from isthmus.wire.segment import SegmentLog

FOLDER: Final = "waveforms"
SEAL_BYTES: Final = 32 * 1024 * 1024
"""Bursts of this size in memory are sealed."""
SEAL_AFTER_NS: Final = NS_PER_HOUR
MERGE_FROM: Final = 4
"""Segments of a day that is over at which they are merged; it is done while they are below MERGE_BYTES together."""
MERGE_BYTES: Final = 256 * 1024 * 1024
_GROUP: Final = 64
_WAL_BYTES: Final = 16 * 1024 * 1024
_SCHEMA: Final = SCHEMA[ValueKind.WAVEFORM]
_ENCODINGS: Final = {
    "tag": "DELTA_BINARY_PACKED",
    "time": "DELTA_BINARY_PACKED",
    "i.list.element": "DELTA_BINARY_PACKED",
    "f.list.element": "BYTE_STREAM_SPLIT",
}


def are_bursts(batch: Batch) -> bool:
    """Whether a batch is of this lane."""
    return kind_of(batch.columns) is ValueKind.WAVEFORM


class Waveforms:
    """What a store keeps of bursts. One process writes; any thread of it may append and read."""

    def __init__(self, folder: Path, damaged: Callable[[str], None]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Taken in this order: one upkeep at a time; one append; then what all share, briefly.
        self._upkeep, self._door, self._lock = threading.Lock(), threading.Lock(), threading.RLock()
        self._manifest, self._files = open_manifest(folder), Files(folder)
        self._journal = open_journal(folder, self._manifest)
        upkeep.sweep(folder, self._manifest)
        self._taken = {(source, epoch): Taken.unpack(data) for source, epoch, data in self._manifest.taken()}
        self._head: list[pa.RecordBatch] = []
        self._head_bytes, self._since_ns, self._received_ns = 0, 0, self._manifest.about("received_ns")
        self._log = SegmentLog(folder / "wal", segment_bytes=_WAL_BYTES)
        for damage in self._log.damage:
            damaged(f"{damage.path} at {damage.offset}: {damage.length} bytes are damaged ({damage.what})")
        since = self._manifest.about("wal")
        for _, frame in self._log.read(since if since <= self._log.end else 0):
            if frame.kind is FrameKind.WAVEFORM and not self.taken(*frame[:3]):
                self._take(Batch(*frame[:3], self._received_ns, frames.samples(frame)))

    def close(self) -> None:
        """Close; what is not sealed stays in the log."""
        with self._upkeep, self._door, self._lock:
            self._log.close()
            mark(self.folder, self._manifest)
            self._manifest.close()

    def append(self, batches: Sequence[Batch]) -> None:
        """Take bursts in; they are on disk when this returns. Raises OSError with nothing taken."""
        with self._door:
            fresh = [batch for batch in batches if not self.taken(*batch[:3])]
            if not fresh:
                return
            self._log.append([frames.pack(frames.of_samples(*batch[:3], batch.columns)) for batch in fresh])
            self._log.sync()
            with self._lock:
                for batch in fresh:
                    self._take(batch)

    def taken(self, source: int, epoch: int, seq: int) -> bool:
        """Whether a frame of bursts was taken in before."""
        with self._lock:
            known = self._taken.get((source, epoch))
            return known is not None and seq in known

    def read(self, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
        """The bursts of these tags that begin within [start_ns, end_ns), in (tag, time) order."""
        lease = Lease(self.folder)
        try:
            with self._lock:
                segments, head = self._manifest.segments(), list(self._head)
            return _read(self.folder, segments, head, tags, start_ns, end_ns)
        finally:
            lease.release()

    def times(self, tag: int, start_ns: int, end_ns: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """When the bursts of a tag began, within [start_ns, end_ns), in order; no reading is read for it."""
        lease = Lease(self.folder)
        try:
            with self._lock:
                segments, head = self._manifest.segments(), list(self._head)
            parts = [np.empty(0, np.int64)]
            wanted = np.array([tag], np.int32)
            for each in segments:
                if each.tag_min <= tag <= each.tag_max and each.time_max >= start_ns and each.time_min < end_ns:
                    stored = _stored(self.folder / each.path, ["tag", "time"], wanted, start_ns, end_ns)
                    moment = stored["time"].cast(pa.int64()).to_numpy()
                    parts.append(moment[stored["tag"].to_numpy() == tag])
            parts += [each["time_ns"].to_numpy()[each["tag"].to_numpy() == tag] for each in head]
            found = np.unique(np.concatenate(parts))
            return found[(found >= start_ns) & (found < end_ns)]
        finally:
            lease.release()

    def maintain(self, first_kept_day: int | None) -> None:
        """Seal, merge and let go of what is due. Raises OSError with nothing lost."""
        with self._lock:
            due = self._head_bytes >= SEAL_BYTES
            due |= bool(self._head) and self._received_ns - self._since_ns >= SEAL_AFTER_NS
        if due:
            self.seal()
        with self._upkeep:
            self._merge(self._received_ns // NS_PER_DAY)
            gone = [each.id for each in self._manifest.files() if each.day < (first_kept_day or 0)]
            if gone:
                with self._manifest.transaction() as db:
                    put_segments(db, [], gone)
            upkeep.clear(self.folder, self._manifest, self._files, lambda: oldest_held(self.folder))

    def days(self) -> set[int]:
        """The days that hold sealed bursts."""
        return {each.day for each in self._manifest.files()}

    def seal(self) -> None:
        """Seal what is in memory now."""
        with self._upkeep:
            with self._door, self._lock:  # nothing stands in the log that is not in memory
                if not self._head:
                    return
                due, wal, received_ns = len(self._head), self._log.end, self._received_ns
                taken = {key: each.copy() for key, each in self._taken.items()}
            table = _latest(self._head[:due])
            first = self._manifest.reserve(len(np.unique(_days(table))))
            new = self._write(table, first, 0)
            with self._manifest.transaction() as db:
                generation = put_segments(db, new)
                put_taken(db, [(*key, each.pack()) for key, each in taken.items()])
                put_about(db, "wal", wal)
                put_about(db, "received_ns", received_ns)
            with self._lock:
                # Until here they stood in both, and whoever read took each once.
                del self._head[:due]
                self._head_bytes = sum(each.nbytes for each in self._head)
                self._since_ns = received_ns
            # Before the log forgets what was sealed.
            mark(self.folder, self._manifest)
            self._journal.sealed(generation, received_ns, taken)
            self._log.trim(wal)

    def _take(self, batch: Batch) -> None:
        self._taken.setdefault(batch[:2], Taken()).add(batch.seq)
        self._received_ns = arrived(self._received_ns, batch.received_ns)
        if not self._head or self._since_ns > self._received_ns:
            self._since_ns = batch.received_ns
        self._head.append(batch.columns)
        self._head_bytes += batch.columns.nbytes

    def _merge(self, today: int) -> None:
        """Each day that is over becomes one file, unless it is large. What is sealed later has a higher id."""
        days: dict[int, list[Segment]] = {}
        for each in self._manifest.segments():
            days.setdefault(each.day, []).append(each)
        for day, found in days.items():
            if day >= today or len(found) < MERGE_FROM or sum(each.bytes for each in found) > MERGE_BYTES:
                continue
            first = self._manifest.reserve(1)
            table = _latest([_table(self.folder / each.path).to_batches() for each in found])
            new = self._write(table, first, 1)
            with self._manifest.transaction() as db:
                put_segments(db, new, [each.id for each in found])

    def _write(self, table: pa.Table, first_id: int, level: int) -> list[Segment]:
        """Segments of these bursts, one a day. Raises OSError with none left behind."""
        days, new = _days(table), []
        try:
            for number, day in enumerate(np.unique(days).tolist()):
                part = table.filter(pa.array(days == day))
                new.append(_write(self.folder, first_id + number, day, level, part))
        except OSError:
            for each in new:
                (self.folder / each.path).unlink(missing_ok=True)
            raise
        return new


def read(folder: Path, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
    """As `Waveforms.read`, in another process than the one that writes. `folder` is the history's."""
    folder /= FOLDER
    if not (folder / NAME).exists():
        return _SCHEMA.empty_table()
    lease, manifest = Lease(folder), Manifest(folder, writing=False)
    try:
        while True:
            with manifest.reading():
                segments, generation, since = manifest.segments(), manifest.about("generation"), manifest.about("wal")
            log = SegmentLog(folder / "wal", write=False)
            head = [
                frames.samples(frame)
                for _, frame in log.read(since if since <= log.end else 0)
                if frame.kind is FrameKind.WAVEFORM
            ]
            if manifest.about("generation") == generation:  # else it was sealed meanwhile, and the log cut
                return _read(folder, segments, head, tags, start_ns, end_ns)
    finally:
        manifest.close()
        lease.release()


def verify(folder: Path) -> Iterator[tuple[Path, str]]:
    """Everything that is wrong with the bursts of a history: the path, and what. `folder` is the history's."""
    folder /= FOLDER
    if not (folder / NAME).exists():
        return
    lease, manifest = Lease(folder), Manifest(folder, writing=False)
    try:
        for each in manifest.segments():
            path = folder / each.path
            if not path.exists():
                yield path, f"is not there; it held {each.rows} bursts"
            elif sha256(path.read_bytes()).hexdigest() != each.sha256:
                yield path, "its bytes are not those that were written"
            elif _table(path).num_rows != each.rows:
                yield path, f"does not hold the {each.rows} bursts that the manifest says"
    finally:
        manifest.close()
        lease.release()


def keys(path: Path) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Tags and times of all bursts of a file, every byte of which is read. Raises StoreDamaged."""
    stored = _stored(path, None, None, 0, 0)
    return stored["tag"].to_numpy(), stored["time"].cast(pa.int64()).to_numpy()


def _days(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return table["time_ns"].to_numpy() // NS_PER_DAY


def _latest(parts: Sequence[pa.RecordBatch | Sequence[pa.RecordBatch]]) -> pa.Table:
    """Bursts in (tag, time) order, each once; of two the later in `parts` stands."""
    flat = [batch for part in parts for batch in ([part] if isinstance(part, pa.RecordBatch) else part)]
    table = pa.Table.from_batches(flat, schema=_SCHEMA)
    tag, time_ns = table["tag"].to_numpy(), table["time_ns"].to_numpy()
    order = np.lexsort((np.arange(len(tag)), time_ns, tag))
    tag, time_ns = tag[order], time_ns[order]
    last = np.append((tag[1:] != tag[:-1]) | (time_ns[1:] != time_ns[:-1]), True) if len(tag) else np.empty(0, bool)
    return table.take(pa.array(order[last]))


def _write(folder: Path, segment_id: int, day: int, level: int, table: pa.Table) -> Segment:
    value = table["value"].combine_chunks()
    value = value.chunk(0) if isinstance(value, pa.ChunkedArray) else value
    small = [row.is_valid and whole(readings(row)) for row in value]
    stored = pa.table(
        {
            "tag": table["tag"],
            "time": table["time_ns"].cast(pa.timestamp("ns", tz="UTC")),
            "q": pa.array(table["status"].to_numpy().view(np.int32)),
            "interval_ns": table["interval_ns"],
            "i": pa.array(
                [readings(row).astype(np.int16) if fits else None for row, fits in zip(value, small, strict=True)],
                pa.list_(pa.int16()),
            ),
            "f": pa.array(
                [readings(row) if row.is_valid and not fits else None for row, fits in zip(value, small, strict=True)],
                pa.list_(pa.float32()),
            ),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(
        stored,
        sink,
        version="2.6",
        compression="zstd",
        row_group_size=_GROUP,
        use_dictionary=["q", "interval_ns"],
        column_encoding=_ENCODINGS,
        write_statistics=["tag", "time"],
        store_schema=False,
        write_page_checksum=True,
    )
    data, path = sink.getvalue(), segment_path(segment_id, day, level, overlap=False)
    write_whole(folder / path, data)
    tag, time_ns = table["tag"].to_numpy(), table["time_ns"].to_numpy()
    return Segment(
        segment_id, day, level, path, len(tag), int(time_ns.min()), int(time_ns.max()), int(tag.min()), int(tag.max()),
        overlap=False, unit="ns", bytes=len(data), sha256=sha256(data).hexdigest(),
    )  # fmt: skip


def _read(  # noqa: PLR0913, PLR0917  where, and what
    folder: Path,
    segments: Sequence[Segment],
    head: Sequence[pa.RecordBatch],
    tags: Sequence[int],
    start_ns: int,
    end_ns: int,
) -> pa.Table:
    wanted = np.unique(np.asarray(tags, np.int32))
    parts: list[pa.RecordBatch] = []
    for each in segments:
        if len(wanted) and each.time_max >= start_ns and each.time_min < end_ns:
            parts += _table(folder / each.path, wanted, start_ns, end_ns).to_batches()
    parts += head
    found = _latest(parts)
    time_ns = found["time_ns"].to_numpy()
    inside = np.isin(found["tag"].to_numpy(), wanted) & (time_ns >= start_ns) & (time_ns < end_ns)
    return found.filter(pa.array(inside))


def _table(
    path: Path, tags: np.ndarray[tuple[int], np.dtype[np.int32]] | None = None, start_ns: int = 0, end_ns: int = 0
) -> pa.Table:
    """The bursts of a segment as columns of model.waveforms; with `tags` only row groups that may hold some asked for."""
    stored = _stored(path, None, tags, start_ns, end_ns)
    if not stored.num_rows:
        return _SCHEMA.empty_table()
    small = stored["i"].combine_chunks().cast(pa.list_(pa.float32()))
    value = [one if one.is_valid else other for one, other in zip(small, stored["f"], strict=True)]
    made = bursts(
        stored["tag"].to_numpy(),
        stored["time"].cast(pa.int64()).to_numpy(),
        stored["q"].to_numpy().view(np.uint32),
        stored["interval_ns"].to_numpy(),
        pa.array([readings(row) if row.is_valid else None for row in value], _SCHEMA.field("value").type),
    )
    return pa.Table.from_batches([made])


def _stored(
    path: Path,
    named: list[str] | None,
    tags: np.ndarray[tuple[int], np.dtype[np.int32]] | None,
    start_ns: int,
    end_ns: int,
) -> pa.Table:
    """Columns of a segment as they are stored, `named` or all. Raises StoreDamaged."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        groups = [
            group
            for group in range(file.metadata.num_row_groups)
            if tags is None or _may_hold(file.metadata.row_group(group), tags, start_ns, end_ns)
        ]
        return file.read_row_groups(groups, columns=named, use_threads=False).combine_chunks()
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = (
            f"{path} cannot be read as waveforms: {error}. Put it back from a backup with `isthmus history mend FOLDER`"
        )
        raise StoreDamaged(msg) from error


def _may_hold(
    group: pq.RowGroupMetaData, tags: np.ndarray[tuple[int], np.dtype[np.int32]], start_ns: int, end_ns: int
) -> bool:
    tag, time = group.column(0).statistics, group.column(1).statistics
    some = bool(((tags >= tag.min_raw) & (tags <= tag.max_raw)).any())
    return some and time.max_raw >= start_ns and time.min_raw < end_ns
