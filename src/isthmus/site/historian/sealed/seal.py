"""From the head to sealed segments: split by UTC day, late rows apart, all told to the manifest at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from isthmus.model.time import NS_PER_DAY, to_datetime
from isthmus.site.historian.memory.newest import NEVER, Newest
from isthmus.site.historian.memory.rows import Rows, concat, last_arrival_wins
from isthmus.site.historian.memory.taken import Taken
from isthmus.site.historian.sealed import parquet
from isthmus.site.historian.sealed.manifest import Manifest, Segment, put_about, put_segments, put_taken

FOLDER: Final = "segments"
SNAPSHOTS_MENDED: Final = 8
"""When late rows change more snapshots than this, those are dropped and made anew by and by."""


class Sealed(NamedTuple):
    """What came of a seal."""

    segments: tuple[Segment, ...]
    newest: Newest
    """The newest sealed sample of each tag, these rows included."""
    generation: int


def segment_path(segment_id: int, day: int, level: int, *, overlap: bool) -> str:
    """Where a segment stands, relative to the history's folder: names in a day sort as their ids do."""
    date = to_datetime(day * NS_PER_DAY).date().isoformat()
    return f"{FOLDER}/day={date}/{segment_id:012d}-L{level}{'-late' if overlap else ''}.parquet"


class Due(NamedTuple):
    """What is to be sealed, and what belongs to it."""

    parts: tuple[Rows, ...]
    """Rows in order of arrival."""
    taken: Mapping[tuple[int, int], Taken]
    """Every frame taken in so far, up to and with these rows."""
    wal: int
    """The position in the write-ahead log behind these rows."""
    received_ns: int
    """When the newest of them arrived."""

    @property
    def size(self) -> int:
        """How many rows there are."""
        return sum(part.size for part in self.parts)


def seal(folder: Path, manifest: Manifest, newest: Newest, due: Due) -> Sealed:
    """Put rows into segments, and say so in the manifest in one transaction.

    `newest` is what was sealed before; it is left as it is. Raises OSError (disk full): then nothing
    of it counts.
    """
    ordered = last_arrival_wins(concat(due.parts))
    late = ordered.time_ns <= newest.high_water(ordered.tag)
    segments: list[Segment] = []
    paths: list[Path] = []
    try:
        for day, overlap, part in _parts(ordered, late):
            segment = write_segment(folder, manifest.reserve(), day, 0, part, overlap=overlap)
            paths.append(folder / segment.path)
            segments.append(segment)
        after = newest.copy()
        after.see(ordered)
        with manifest.transaction() as db:
            snapshots = _snapshots(manifest, newest, ordered)
            db.executemany("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", snapshots.put)
            db.executemany("DELETE FROM snapshot WHERE day = ?", [(day,) for day in snapshots.drop])
            generation = put_segments(db, segments)
            put_taken(db, [(*key, each.pack()) for key, each in due.taken.items()])
            db.execute("INSERT OR REPLACE INTO state VALUES ('sealed', ?)", (after.pack(),))
            put_about(db, "wal", due.wal)
            put_about(db, "received_ns", due.received_ns)
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return Sealed(tuple(segments), after, generation)


def write_segment(  # noqa: PLR0913  what a segment's name is made of
    folder: Path, segment_id: int, day: int, level: int, rows: Rows, *, overlap: bool
) -> Segment:
    """Write one segment of rows in (tag, time) order; it counts once the manifest says so."""
    path = segment_path(segment_id, day, level, overlap=overlap)
    written = parquet.write(folder / path, rows)
    return Segment(
        segment_id,
        day,
        level,
        path,
        rows.size,
        int(rows.time_ns.min()),
        int(rows.time_ns.max()),
        int(rows.tag[0]),
        int(rows.tag[-1]),
        overlap,
        written.unit,
        written.size,
        written.sha256,
    )


def _parts(rows: Rows, late: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterator[tuple[int, bool, Rows]]:
    day = rows.time_ns // NS_PER_DAY
    for each in np.unique(day).tolist():
        of_day = day == each
        for overlap in (False, True):
            which = np.flatnonzero(of_day & (late == overlap))
            if len(which):
                yield each, overlap, rows.take(which)


class _Snapshots(NamedTuple):
    put: list[tuple[int, bytes]]
    drop: list[int]


def _snapshots(manifest: Manifest, newest: Newest, rows: Rows) -> _Snapshots:
    """Snapshots for the days that begin with these rows, and those that late rows change."""
    if not rows.size:
        return _Snapshots([], [])
    first, last = int(rows.time_ns.min()) // NS_PER_DAY, int(rows.time_ns.max()) // NS_PER_DAY
    days = manifest.snapshot_days()
    stale = [day for day in days if day > first]
    put: list[tuple[int, bytes]] = []
    drop: list[int] = []
    if len(stale) > SNAPSHOTS_MENDED:
        drop = stale
    else:
        put = [(day, _with(Newest.unpack(manifest.snapshot(day)), rows, day)) for day in stale]
    ended = newest.time_ns[newest.time_ns != NEVER]
    newest_day = int(ended.max()) // NS_PER_DAY if len(ended) else first - 1
    for day in np.unique(rows.time_ns // NS_PER_DAY).tolist():
        if newest_day < day <= last:
            put.append((day, _with(newest.copy(), rows, day)))
    return _Snapshots(put, drop)


def _with(stood: Newest, rows: Rows, day: int) -> bytes:
    stood.see(rows.take(np.flatnonzero(rows.time_ns < day * NS_PER_DAY)))
    return stood.pack()
