"""What is done to sealed segments in the background: merged, let go, their snapshots made anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.model.time import NS_PER_DAY
from isthmus.site.historian.memory.newest import Newest
from isthmus.site.historian.memory.rows import Rows, Words, concat, last_arrival_wins, newest_of_each
from isthmus.site.historian.sealed.manifest import Manifest, Segment, put_segments
from isthmus.site.historian.sealed.parquet import ALWAYS, FOR_EVER, SegmentFile
from isthmus.site.historian.sealed.seal import write_segment
from isthmus.site.historian.sealed.view import Files

MERGE_FROM: Final = 8
"""Runs of one level in a day at which they are merged while the day still goes on; see `_runs`."""
ROWS_AT_ONCE: Final = 500_000
"""Rows that a merge holds in memory; a larger day is merged tag range by tag range."""


class Change(NamedTuple):
    """What the segments became."""

    new: tuple[Segment, ...]
    gone: tuple[Segment, ...]
    generation: int


class Merge(NamedTuple):
    """Segments of one day that are due to be one. `whole` when they are all that the day has."""

    day: int
    segments: tuple[Segment, ...]
    whole: bool
    first_id: int = 0
    """The first of the ids reserved for the result, above those merged and below any sealed since."""


def due(segments: Sequence[Segment], today: int, busy: Collection[int] = ()) -> Merge | None:
    """The next merge that is worth its work, or None.

    A day that is over becomes one run of segments once the newest seal (whose days are `busy`) brought
    it nothing more. In the day that goes on, segments of one level are merged when there are many. What is merged always reaches to the newest segment of the day, so the
    result's higher id says the truth about which rows arrived last.
    """
    days: dict[int, list[Segment]] = {}
    for each in segments:
        days.setdefault(each.day, []).append(each)
    for day in sorted(days):
        found = days[day]
        untidy = _has_late(found) or not disjoint(found)
        if day < today and day not in busy and untidy:
            return Merge(day, tuple(found), whole=True)
        level = found[-1].level
        if _runs([each for each in found if each.level == level]) >= MERGE_FROM:
            first = next(at for at, each in enumerate(found) if each.level <= level)
            tail = found[first:]
            return Merge(day, tuple(tail), whole=len(tail) == len(found))
    return None


def reserved(manifest: Manifest, what: Merge) -> Merge:
    """The merge with ids for as many segments as it can make: two of each tag range."""
    pieces = sum(each.rows for each in what.segments) // ROWS_AT_ONCE + 1
    return what._replace(first_id=manifest.reserve(2 * pieces))


def disjoint(segments: Sequence[Segment]) -> bool:
    """Whether no tag stands in two of these segments."""
    ordered = sorted(segments, key=lambda each: each.tag_min)
    return all(one.tag_max < other.tag_min for one, other in pairwise(ordered))


def _runs(segments: Sequence[Segment]) -> int:
    """How many times over these segments hold the same tags, as far as their order tells.

    What one merge made is one run however many tag ranges it has: to merge it again would only make the same of it.
    """
    found = 0
    for overlap in (False, True):
        its = [each for each in segments if each.overlap == overlap]
        begun = [one.tag_max >= other.tag_min for one, other in pairwise(its)]
        found = max(found, sum(begun) + 1)
    return found


def _has_late(segments: Sequence[Segment]) -> bool:
    return any(each.overlap for each in segments)


def merge(folder: Path, manifest: Manifest, files: Files, what: Merge) -> Change:
    """Merge segments into as few as may be. Raises OSError (disk full), with nothing changed.

    A row that came from a segment not marked `overlap` cannot collide with anything older, and stays
    so. The other rows stay marked, unless all of the day was merged.
    """
    level = max(each.level for each in what.segments) + 1
    stale = [each for each in manifest.rollups() if each.day == what.day]
    new: list[Segment] = []
    try:
        for rows, late in _merged(files, what.segments):
            for overlap in (False, True):
                which = np.flatnonzero((late & (not what.whole)) == overlap)
                if len(which):
                    part = rows.take(which)
                    new.append(write_segment(folder, what.first_id + len(new), what.day, level, part, overlap=overlap))
        with manifest.transaction() as db:
            generation = put_segments(db, new, [each.id for each in (*what.segments, *stale)])
    except OSError:
        for each in new:
            (folder / each.path).unlink(missing_ok=True)
        raise
    return Change(tuple(new), (*what.segments, *stale), generation)


def _merged(files: Files, segments: Sequence[Segment]) -> Iterator[tuple[Rows, NDArray[np.bool_]]]:
    """Tag range by tag range: rows, each (tag, time) once, and which of them came only from late segments."""
    edges = _tag_ranges([files.get(each.path) for each in segments])
    for first, last in zip(edges[:-1], edges[1:] - 1, strict=True):
        words = Words()
        parts: list[Rows] = []
        lates: list[NDArray[np.bool_]] = []
        for each in segments:
            file = files.get(each.path)
            part = file.read(words, file.groups(int(first), int(last), ALWAYS, FOR_EVER))
            part = part.take(np.flatnonzero((part.tag >= first) & (part.tag <= last)))
            parts.append(part)
            lates.append(np.full(part.size, each.overlap))
        yield _settle(concat(parts), np.concatenate(lates))


def _settle(rows: Rows, late: NDArray[np.bool_]) -> tuple[Rows, NDArray[np.bool_]]:
    """Last arrival wins; a row is late only if every row with its (tag, time) was."""
    settled = last_arrival_wins(rows)
    # The same rows with their lateness as the value: those not late come last, so one of them stands.
    order = np.argsort(~late, kind="stable")
    marks = rows.take(order)._replace(bits=late[order].astype(np.int64))
    return settled, last_arrival_wins(marks).bits.astype(bool)


def _tag_ranges(files: Sequence[SegmentFile]) -> NDArray[np.int64]:
    """Edges of tag ranges of about ROWS_AT_ONCE rows, as far as row groups tell where the rows are."""
    first, rows = (np.concatenate(column) for column in zip(*(file.group_rows for file in files), strict=True))
    order = np.argsort(first)
    piece = np.cumsum(rows[order]) // ROWS_AT_ONCE
    begins = first[order][1:][piece[1:] != piece[:-1]]
    last = max(file.last_tag for file in files)
    return np.unique([int(first.min()), *begins.tolist(), last + 1])


def let_go(manifest: Manifest, first_kept: int) -> Change | None:
    """Let whole days before `first_kept` go; None when there are none. Their snapshots go with them."""
    gone = [each for each in manifest.files() if each.day < first_kept]
    if not gone:
        return None
    with manifest.transaction() as db:
        db.execute("DELETE FROM snapshot WHERE day < ?", (first_kept,))
        db.execute("DELETE FROM correction WHERE time < ?", (first_kept * NS_PER_DAY,))
        generation = put_segments(db, [], [each.id for each in gone])
    return Change((), tuple(gone), generation)


def mend_snapshot(manifest: Manifest, files: Files, segments: Sequence[Segment]) -> bool:
    """Make the earliest missing snapshot anew from the one before it; False when none was made.

    What is sealed meanwhile may change the past; then the work is thrown away, and done again later.
    """
    generation = manifest.about("generation")
    have = manifest.snapshot_days()
    days = sorted({each.day for each in segments})
    missing = [day for day in days if day not in set(have)]
    if not missing:
        return False
    day = missing[0]
    before = [each for each in have if each < day]
    stood = Newest.unpack(manifest.snapshot(before[-1]) if before else None)
    since = before[-1] if before else days[0]
    for each in segments:
        if since <= each.day < day:
            stood.see(_newest(files, each))
    with manifest.transaction() as db:
        if manifest.about("generation") != generation:
            return False
        db.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", (day, stood.pack()))
    return True


def _newest(files: Files, segment: Segment) -> Rows:
    return newest_of_each(files.get(segment.path).read(Words()))


def clear(folder: Path, manifest: Manifest, files: Files, oldest_held: Callable[[], int | None]) -> int:
    """Delete the files of segments that went and that no reader can hold any more; the number deleted."""
    gone = manifest.gone()
    if not gone:
        return 0
    oldest = oldest_held()
    free = [(each, path) for each, path, generation in gone if oldest is None or oldest >= generation]
    for _, path in free:
        files.drop(path)
        (folder / path).unlink(missing_ok=True)
    if free:
        manifest.forget(each for each, _ in free)
    return len(free)


def sweep(folder: Path, manifest: Manifest) -> int:
    """On opening: delete files that no manifest names, left by a crash before they counted."""
    known = {each.path for each in manifest.files()} | {path for _, path, _ in manifest.gone()}
    swept = 0
    for path in (folder / "segments").glob("*/*"):
        if str(path.relative_to(folder)) not in known:
            path.unlink()
            swept += 1
    return swept


def missing(folder: Path, segments: Sequence[Segment]) -> Iterator[Segment]:
    """Those whose file is not there, or of another length than was written."""
    for each in segments:
        path = folder / each.path
        if not path.exists() or path.stat().st_size != each.bytes:
            yield each
