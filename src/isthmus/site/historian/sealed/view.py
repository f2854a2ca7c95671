"""One consistent look at all that is stored: sealed segments and the head, merged, late data settled.

Of two rows with one (tag, time) the later arrival stands. A row that was sealed behind its tag's
high-water mark stands in a segment marked `overlap`; only such rows, and such rows of the head, can
collide with others. So days without late data are read as they are, and pay nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import COUNTED_BACK_NS, CounterDelta, Operator
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR
from isthmus.site.historian.memory.newest import unpack
from isthmus.site.historian.memory.points import Points, Weights, cut, numbers
from isthmus.site.historian.memory.recent import Recent, Sized
from isthmus.site.historian.memory.rows import (
    Rows,
    concat,
    each_once,
    last_arrival_wins,
    newest_of_each,
    one_of,
    within,
)
from isthmus.site.historian.sealed.manifest import Segment
from isthmus.site.historian.sealed.parquet import ALWAYS, FOR_EVER, POWERS, SegmentFile

_OPEN_FILES: Final = 256
_FEW_GROUPS: Final = 4
"""A screen's question touches no more row groups of a file than this; larger ones would only push others out."""
_FEW_GROUPS_ROLLED: Final = 8
"""The same of a rollup, of which there are few."""
_DECODED_BYTES: Final = 64 * 1024 * 1024
"""How much memory the row groups kept decoded may take."""
_KNOWN_BYTES: Final = 16 * 1024 * 1024
"""How much what was worked out of segments may take."""


class Files:
    """Sealed segments kept open, the longest unused closed first. Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: OrderedDict[str, SegmentFile] = OrderedDict()
        self._decoded: Recent[Points] = Recent(_DECODED_BYTES)
        self.known: Recent[Sized] = Recent(_KNOWN_BYTES)
        """What was worked out of segments, which never change; see arrays/extremes.py."""
        self._lock = Lock()

    def get(self, path: str) -> SegmentFile:
        """The segment at a path of the manifest. Raises StoreDamaged when it is not there or no segment."""
        with self._lock:
            file = self._open.get(path)
            if file is not None:
                self._open.move_to_end(path)
                return file
        file = SegmentFile(self.folder / path)
        with self._lock:
            self._open[path] = file
            while len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        return file

    def points(self, segment: Segment, tags: NDArray[np.int32] | None, start_ns: int, end_ns: int) -> list[Points]:
        """A segment's samples of these tags (in order; None for all) within [start_ns, end_ns), in pieces.

        A few row groups are remembered decoded; where a question touches many of them with its edge alone,
        the hours that it touches are.
        """
        file = self.get(segment.path)
        if tags is None:
            groups = file.groups(ALWAYS, FOR_EVER, start_ns, end_ns)
        else:
            groups = file.groups_of(tags, start_ns, end_ns)
        few = len(groups) <= (_FEW_GROUPS_ROLLED if segment.bucket_ns else _FEW_GROUPS)
        first_ns, last_ns = max(start_ns, segment.time_min), min(end_ns, segment.time_max + 1)
        if tags is not None and not few and not segment.bucket_ns and last_ns - first_ns <= NS_PER_HOUR:
            hours = range(first_ns // NS_PER_HOUR, (last_ns - 1) // NS_PER_HOUR + 1)
            found = [self._hour(segment, file, tags, each) for each in hours]
            return [part for each in found if (part := cut(each, tags, start_ns, end_ns)).rows.size]
        found = [self._group(segment, file, each) for each in groups] if few else _decode(segment, file, groups)
        if tags is None:
            return [_between(each, start_ns, end_ns) for each in found]
        return [part for each in found if (part := cut(each, tags, start_ns, end_ns)).rows.size]

    def _group(self, segment: Segment, file: SegmentFile, group: int) -> Points:
        found = self._decoded.get((segment.path, group))
        if found is None:
            (found,) = _decode(segment, file, [group])
            self._decoded.put((segment.path, group), found)
        return found

    def _hour(self, segment: Segment, file: SegmentFile, tags: NDArray[np.int32], hour: int) -> Points:
        """One hour of these tags: what a screen that moves on by seconds asks of the past, time and again."""
        key = segment.path, hour, tags.tobytes()
        found = self._decoded.get(key)
        if found is None:
            start_ns, end_ns = hour * NS_PER_HOUR, (hour + 1) * NS_PER_HOUR
            groups = _decode(segment, file, file.groups_of(tags, start_ns, end_ns))
            found = Points(concat([cut(each, tags, start_ns, end_ns).rows for each in groups]))
            self._decoded.put(key, found)
        return found

    def drop(self, path: str) -> None:
        """Let go of a segment that is about to be deleted."""
        with self._lock:
            self._open.pop(path, None)
        self._decoded.drop(path)
        self.known.drop(path)


def _between(points: Points, start_ns: int, end_ns: int) -> Points:
    return Points(within(points.rows, None, start_ns, end_ns))


def _decode(segment: Segment, file: SegmentFile, groups: Sequence[int]) -> list[Points]:
    found = file.pieces(groups)
    if segment.bucket_ns:
        return [_rolled(*each, segment.bucket_ns) for each in found]
    return [Points(rows) for rows, _ in found]


def _rolled(rows: Rows, table: pa.Table, bucket_ns: int) -> Points:
    n, good, scaled, exponent = (table.column(name).fill_null(0).to_numpy() for name in ("n", "good", "t", "e"))
    # The sum stands in one of two columns; what the rows beside a bucket's first carry is null, and so 0.
    total = scaled / POWERS[exponent] + table.column("u").fill_null(0.0).to_numpy()
    # A rollup made before these were kept is not asked for them.
    marks = table.column("x").fill_null(0).to_numpy() if "x" in table.column_names else None
    weights = _weights(rows, table, bucket_ns) if "w" in table.column_names else None
    return Points(rows, n, good, total, marks, weights)


def _weights(rows: Rows, table: pa.Table, bucket_ns: int) -> Weights:
    opens, held = table.column("o"), table.column("h")
    opens_ns = np.where(opens.is_valid().to_numpy(), opens.fill_null(0).to_numpy(), rows.time_ns)
    behind = (opens_ns // bucket_ns + 1) * bucket_ns - opens_ns
    held_ns = np.where(held.is_valid().to_numpy(), held.fill_null(0).to_numpy(), behind)
    return Weights(table.column("w").fill_null(0.0).to_numpy(), held_ns, opens_ns)


class View(NamedTuple):
    """What was stored at one moment. Made by a store or a reader; stays true while it is held."""

    files: Files
    segments: tuple[Segment, ...]
    """In the order of their ids."""
    rollups: tuple[Segment, ...]
    tails: tuple[Rows, ...]
    """What is not sealed yet, in order of arrival."""
    corrections: Rows
    """What people put right, in the order in which they said it; it wins against every arrival."""
    newest: Callable[[NDArray[np.int32] | None], Rows]
    """The newest sample of each of these tags (None for all) that has one."""
    snapshot_days: Sequence[int]
    snapshot: Callable[[int], bytes | None]

    def segments_of(self, tags: NDArray[np.int32] | None, start_ns: int, end_ns: int) -> list[Segment]:
        """The segments that may hold samples of these tags (None for all) within [start_ns, end_ns)."""
        if tags is not None and not len(tags):
            return []
        first, last = (ALWAYS, FOR_EVER) if tags is None else (int(tags.min()), int(tags.max()))
        return [
            each
            for each in self.segments
            if each.time_max >= start_ns and each.time_min < end_ns and each.tag_max >= first and each.tag_min <= last
        ]

    def rows(self, tags: NDArray[np.int32] | None, start_ns: int, end_ns: int, opening: Sequence[Rows] = ()) -> Rows:
        """Every sample of these tags (None for all) within [start_ns, end_ns), in (tag, time) order.

        `opening` is put with them: samples of these tags from before `start_ns`.
        """
        return self._merged(self.segments_of(tags, start_ns, end_ns), tags, start_ns, end_ns, opening)

    def late(self, tags: NDArray[np.int32] | None, start_ns: int, end_ns: int) -> Rows:
        """Only the rows that may stand in the place of others: they win against every segment not marked overlap."""
        found = [each for each in self.segments_of(tags, start_ns, end_ns) if each.overlap]
        return self._merged(found, tags, start_ns, end_ns)

    def before(self, tags: NDArray[np.int32], moment_ns: int) -> Rows:
        """The sample of each tag that was in force just before a moment: its newest before it, in tag order."""
        tags = each_once(tags)
        newest = self._newest(tags)
        known = newest.time_ns < moment_ns
        if known.all():
            return newest
        return _by_tag(concat([newest.take(known), self._search(newest.tag[~known], moment_ns)]))

    def opening(self, operator: Operator, tags: NDArray[np.int32], start_ns: int) -> Rows:
        """What an operator carries into its question: what was in force, of counters their last usable reading."""
        found = self.before(tags, start_ns)
        return self._counted(found, start_ns) if isinstance(operator, CounterDelta) else found

    def _counted(self, found: Rows, moment_ns: int) -> Rows:
        """In the place of what is no usable number the last one before it, searched day by day."""
        is_number = numbers(found)[1]
        left = found.tag[~is_number]
        parts = [found.take(np.flatnonzero(is_number))]
        end, since = moment_ns, moment_ns - COUNTED_BACK_NS
        days = {each.day for each in self.segments_of(left, since, moment_ns)} if len(left) else set()
        for tail in self.tails if len(left) else ():
            days |= set(np.unique(within(tail, left, since, moment_ns).time_ns // NS_PER_DAY).tolist())
        for day in sorted(days, reverse=True):
            rows = self.rows(left, max(day * NS_PER_DAY, since), min(end, moment_ns))
            parts.append(newest_of_each(rows.take(np.flatnonzero(numbers(rows)[1]))))
            end, left = day * NS_PER_DAY, np.setdiff1d(left, parts[-1].tag)
            if not len(left):
                break
        return _by_tag(concat(parts))

    def _newest(self, tags: NDArray[np.int32]) -> Rows:
        newest = self.newest(tags)
        if not self.corrections.size:
            return newest
        return newest_of_each(last_arrival_wins(concat([newest, within(self.corrections, tags, ALWAYS, FOR_EVER)])))

    def _search(self, tags: NDArray[np.int32], moment_ns: int) -> Rows:
        """From the day's snapshot on; where there is none, day by day backwards."""
        parts: list[Rows] = []
        since = ALWAYS
        for day in reversed([day for day in self.snapshot_days if day * NS_PER_DAY <= moment_ns]):
            # One that was dropped since the view was made is passed over; an earlier one only means more to read.
            if (data := self.snapshot(day)) is not None:
                stood, since = unpack(data), day * NS_PER_DAY
                parts.append(stood.take(one_of(stood.tag, tags)))
                break
        end, left = moment_ns, tags
        for day in sorted({each.day for each in self.segments_of(tags, since, moment_ns)}, reverse=True):
            found = newest_of_each(self.rows(left, max(day * NS_PER_DAY, since), min(end, moment_ns)))
            parts.append(found)
            end, left = day * NS_PER_DAY, np.setdiff1d(left, found.tag)
            if not len(left):
                break
        parts += [within(each, tags, ALWAYS, moment_ns) for each in (*self.tails, self.corrections)]
        return newest_of_each(last_arrival_wins(concat(parts)))

    def _merged(
        self,
        segments: Sequence[Segment],
        tags: NDArray[np.int32] | None,
        start_ns: int,
        end_ns: int,
        opening: Sequence[Rows] = (),
    ) -> Rows:
        tags = tags if tags is None else each_once(tags)
        parts = [*opening]
        for each in segments:
            parts += [piece.rows for piece in self.files.points(each, tags, start_ns, end_ns)]
        parts += [within(each, tags, start_ns, end_ns) for each in (*self.tails, self.corrections)]
        return last_arrival_wins(concat(parts))


class Asked(NamedTuple):
    """Of which samples something is asked."""

    view: View
    tags: NDArray[np.int32]
    """In order, each once."""
    start_ns: int
    end_ns: int
    late: Rows
    """What `View.late` says of them."""


def _by_tag(rows: Rows) -> Rows:
    return rows.take(np.argsort(rows.tag, kind="stable"))
