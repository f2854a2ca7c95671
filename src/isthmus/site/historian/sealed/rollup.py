"""Rollups: of each tag and bucket the samples that matter, with what they stand for.

A rollup is a segment (see parquet.py) that holds, for each bucket, the first, the last, the lowest and
the highest usable sample, each once and as it was written. The first row of a bucket carries more
columns; the others have null there:

    n      int32    samples in the bucket              t   int64, null   sum of the usable numbers,
    good   int32    usable ones among them                               scaled by 10^e as `i` is
    x      int8     marks, see below                   u   double, null  the same sum where it is no short decimal

and by the hour, of each value that was written in the bucket up to the next or to the bucket's end:

    w   double        the sum of usable numbers, each times the ns in which it held
    h   int64, null   the ns in which they held; null when that is from the first sample to the bucket's end
    o   int64, null   the time of the first sample in ns; null when that is this row's

Mark 1: the newest sample of the bucket is a usable number, and so goes on to hold. Mark 2: a number
is below the usable one before it, so that the steps of a counter are more than its rows tell.

So whoever looks for extremes reads a rollup with the very same text as samples, and sums add up.
The manifest keeps a rollup's tags in order and how many usable samples each has, as int32.
A bucket without a usable sample keeps its first one, to carry its `n`. Texts are not rolled up.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.status import bad_mask
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from isthmus.site.historian.memory.points import Weights
from isthmus.site.historian.memory.rows import INT, NONE, REAL, TEXT, Rows, Words
from isthmus.site.historian.sealed import parquet
from isthmus.site.historian.sealed.manifest import Manifest, Packed, Segment, put_segments
from isthmus.site.historian.sealed.parquet import FOR_EVER
from isthmus.site.historian.sealed.seal import segment_path
from isthmus.site.historian.sealed.upkeep import disjoint
from isthmus.site.historian.sealed.view import Asked, Files

BUCKETS: Final = (NS_PER_MINUTE, NS_PER_HOUR)
BUSY_ROWS: Final = 8640
"""Samples in a day (one in ten seconds) from which on a tag is rolled up by the minute; by the hour all are."""
ROWS_AT_ONCE: Final = 200_000
WEIGHTED_NS: Final = NS_PER_HOUR
"""The bucket of the rollup that has `w`, `h` and `o`: by the minute they would take a tenth more of the disk."""
GOES_ON: Final = 1
FALLS: Final = 2
_VERSION: Final = 2
_EXACT: Final = 2.0**62


class Rolled(NamedTuple):
    """The rows of a rollup, and by row what its first rows carry; all of shape (rows,)."""

    rows: Rows
    carries: NDArray[np.bool_]
    n: NDArray[np.int32]
    good: NDArray[np.int32]
    whole: NDArray[np.bool_]
    """Where the sum is `scaled`, to be divided by 10^e; elsewhere it is `real`."""
    scaled: NDArray[np.int64]
    real: NDArray[np.float64]
    exponent: NDArray[np.int8]
    marks: NDArray[np.int8]
    weights: Weights


def roll(rows: Rows, bucket_ns: int) -> Rolled:
    """Roll up rows in (tag, time) order, none of which is a text."""
    numbers = np.where(rows.form == REAL, rows.bits.view(np.float64), rows.bits.astype(np.float64))
    usable = (rows.form != NONE) & ~bad_mask(rows.status) & ~np.isnan(numbers)
    bucket = rows.time_ns // bucket_ns
    starts = np.flatnonzero(np.append(True, (bucket[1:] != bucket[:-1]) | (rows.tag[1:] != rows.tag[:-1])))
    count = np.diff(np.append(starts, rows.size))
    group = np.repeat(np.arange(len(starts)), count)
    good = np.add.reduceat(usable.astype(np.int32), starts)
    keep = np.zeros(rows.size, bool)
    keep[starts[good == 0]] = True
    found = np.flatnonzero(usable)
    keep[found[_first_of(group[found])]] = True
    keep[found[_first_of(group[found][::-1])[::-1]]] = True
    for extreme, none in ((np.minimum, np.inf), (np.maximum, -np.inf)):
        best = extreme.reduceat(np.where(usable, numbers, none), starts)
        at = np.flatnonzero(usable & (numbers == best[group]))
        keep[at[_first_of(group[at])]] = True
    scaled, exponent = parquet.decimals(rows)
    whole = np.logical_and.reduceat((exponent >= 0) | (rows.form == INT) | ~usable, starts)
    with np.errstate(invalid="ignore", over="ignore"):
        real = np.add.reduceat(np.where(usable, numbers, 0.0), starts)
    integers = np.where(exponent >= 0, scaled, np.where(rows.form == INT, rows.bits, 0))
    whole &= np.add.reduceat(np.where(usable, np.abs(integers.astype(np.float64)), 0.0), starts) < _EXACT
    total = np.add.reduceat(np.where(usable, integers, 0), starts)
    chosen = np.flatnonzero(keep)
    its = group[chosen]
    marks, weights = _order_and_time(rows, np.where(usable, numbers, 0.0), usable, starts, group, bucket_ns)
    return Rolled(
        rows.take(chosen),
        _first_of(its),
        count[its].astype(np.int32),
        good[its],
        whole[its],
        total[its],
        real[its],
        exponent[chosen],
        marks[its],
        weights.take(its),
    )


def _order_and_time(  # noqa: PLR0913, PLR0917  what `roll` knows of the rows
    rows: Rows,
    numbers: NDArray[np.float64],
    usable: NDArray[np.bool_],
    starts: NDArray[np.intp],
    group: NDArray[np.intp],
    bucket_ns: int,
) -> tuple[NDArray[np.int8], Weights]:
    """What time and order say of each bucket; shapes (buckets,)."""
    last = np.append(starts[1:], rows.size) - 1
    until = np.append(rows.time_ns[1:], 0)
    until[last] = (rows.time_ns[last] // bucket_ns + 1) * bucket_ns
    length = until - rows.time_ns
    with np.errstate(invalid="ignore", over="ignore"):
        area = np.add.reduceat(numbers * length, starts)
    its = np.flatnonzero(usable)
    bits, number = rows.bits[its], numbers[its]
    whole = rows.form[its][1:] == INT
    down = np.where(whole, bits[1:] < bits[:-1], number[1:] < number[:-1]) & (group[its][1:] == group[its][:-1])
    marks = usable[last] * np.int8(GOES_ON)
    marks[group[its][1:][down]] |= np.int8(FALLS)
    return marks, Weights(area, np.add.reduceat(np.where(usable, length, 0), starts), rows.time_ns[starts])


def _first_of(group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows are the first of their group's run."""
    return np.append(group[:1] == group[:1], group[1:] != group[:-1])


def to_parquet_table(rolled: Rolled, bucket_ns: int) -> pa.Table:
    """The columns of the format."""
    table = parquet.to_parquet_table(rolled.rows, rolled.exponent)
    carries = rolled.carries
    table = (
        table.append_column("n", pa.array(rolled.n, mask=~carries))
        .append_column("good", pa.array(rolled.good, mask=~carries))
        .append_column("t", pa.array(rolled.scaled, mask=~(carries & rolled.whole)))
        .append_column("u", pa.array(rolled.real, mask=~carries | rolled.whole))
        .append_column("x", pa.array(rolled.marks, mask=~carries))
    )
    if bucket_ns != WEIGHTED_NS:
        return table
    area, held_ns, opens_ns = rolled.weights
    behind = (opens_ns // bucket_ns + 1) * bucket_ns - opens_ns
    return (
        table.append_column("w", pa.array(area, mask=~carries))
        .append_column("h", pa.array(held_ns, mask=~carries | (held_ns == behind)))
        .append_column("o", pa.array(opens_ns, mask=~carries | (opens_ns == rolled.rows.time_ns)))
    )


class Due(NamedTuple):
    """A day that is to be rolled up, and the segments that it consists of."""

    day: int
    segments: tuple[Segment, ...]
    stale: tuple[Segment, ...]


def made_of(segments: Sequence[Segment]) -> str:
    """What a rollup of these segments is made of, behind its format's version: one of an earlier is made anew."""
    return f"{_VERSION}:" + ",".join(str(each.id) for each in segments)


def due(segments: Sequence[Segment], rollups: Sequence[Segment], today: int, leave: frozenset[int]) -> Due | None:
    """The next day before `today` whose rollups are missing or stale, or None. Days in `leave` are left alone."""
    days: dict[int, list[Segment]] = {}
    for each in segments:
        days.setdefault(each.day, []).append(each)
    for day in sorted(days):
        if day >= today or day in leave or any(each.overlap for each in days[day]) or not disjoint(days[day]):
            continue
        of_day = tuple(each for each in rollups if each.day == day)
        wanted = made_of(days[day])
        if not of_day or any(each.made_of != wanted for each in of_day):
            return Due(day, tuple(days[day]), of_day)
    return None


def make(folder: Path, manifest: Manifest, files: Files, what: Due) -> tuple[tuple[Segment, ...], int]:
    """Write the rollups of a day and let them count; the rollups and the generation. Raises OSError."""
    parts: dict[int, list[_Part]] = {bucket_ns: [] for bucket_ns in BUCKETS}
    for segment in sorted(what.segments, key=lambda each: each.tag_min):
        for rows in _by_tags(files, segment):
            for bucket_ns, found in parts.items():
                chosen = _busy(rows) if bucket_ns == NS_PER_MINUTE else rows
                if chosen.size:
                    found.append(_part(roll(chosen, bucket_ns), bucket_ns))
    new: list[Segment] = []
    try:
        for bucket_ns in BUCKETS:
            found = parts.pop(bucket_ns)
            if found:
                new.append(_write(folder, manifest.reserve(), what, bucket_ns, found))
        with manifest.transaction() as db:
            generation = put_segments(db, new, [each.id for each in what.stale])
    except OSError:
        for each in new:
            (folder / each.path).unlink(missing_ok=True)
        raise
    return tuple(new), generation


def _by_tags(files: Files, segment: Segment) -> Iterator[Rows]:
    """A segment's rows without those of text tags, some whole tags at a time: to roll up needs much memory a row."""
    rows = files.get(segment.path).read(Words())
    texts = np.unique(rows.tag[rows.form == TEXT])
    begin = 0
    while begin < rows.size:
        last = rows.tag[min(begin + ROWS_AT_ONCE, rows.size) - 1]
        end = int(np.searchsorted(rows.tag, last, "right"))
        some = rows.take(slice(begin, end))
        kept = some.take(np.flatnonzero(~np.isin(some.tag, texts))) if len(texts) else some
        if kept.size:
            yield kept
        begin = end


def _busy(rows: Rows) -> Rows:
    tags, counts = np.unique(rows.tag, return_counts=True)
    return rows.take(np.flatnonzero(np.isin(rows.tag, tags[counts >= BUSY_ROWS])))


class _Part(NamedTuple):
    """The rollup of some whole tags, as it goes into the file: a large day is never held as anything wider."""

    table: pa.Table
    times: tuple[int, int]
    tags: NDArray[np.int32]
    good: NDArray[np.int32]
    """How many usable samples each of `tags` has."""


def _part(rolled: Rolled, bucket_ns: int) -> _Part:
    rows = rolled.rows
    starts = np.flatnonzero(np.append(True, rows.tag[1:] != rows.tag[:-1]))
    good = np.add.reduceat(np.where(rolled.carries, rolled.good, 0), starts)
    times = int(rows.time_ns.min()), int(rows.time_ns.max())
    return _Part(to_parquet_table(rolled, bucket_ns), times, rows.tag[starts], good.astype(np.int32))


def _write(folder: Path, segment_id: int, what: Due, bucket_ns: int, parts: Sequence[_Part]) -> Segment:
    """One file of parts that are in tag order, no tag in two of them."""
    # The parts' times may stand in different units; the finest holds them all.
    table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
    path = segment_path(segment_id, what.day, 0, overlap=False).replace("-L0", f"-r{bucket_ns // NS_PER_MINUTE}m")
    written = parquet.write_table(folder / path, table)
    tags, good = (np.concatenate(column) for column in zip(*(part[2:] for part in parts), strict=True))
    return Segment(
        id=segment_id,
        day=what.day,
        level=0,
        path=path,
        rows=table.num_rows,
        time_min=min(part.times[0] for part in parts),
        time_max=max(part.times[1] for part in parts),
        tag_min=int(tags[0]),
        tag_max=int(tags[-1]),
        overlap=False,
        unit=written.unit,
        bytes=written.size,
        sha256=written.sha256,
        bucket_ns=bucket_ns,
        tags=zlib.compress(np.array([tags, good], "<i4").tobytes()),
        made_of=made_of(what.segments),
    )


class Use(NamedTuple):
    """Which rollups may stand for which samples of a question."""

    rollups: tuple[Segment, ...]
    tags: NDArray[np.int32]
    """The tags for which they stand."""
    stretches: tuple[tuple[int, int], ...]
    """The stretches [start_ns, end_ns) for which they stand, in order, apart from one another."""


def usable(asked: Asked, bucket_ns: int) -> Use | None:
    """What rollups with this bucket can answer: whole days without late rows, at edges that are buckets' edges."""
    view, tags, start_ns, end_ns, late = asked
    late_days = set(np.unique(late.time_ns // NS_PER_DAY).tolist())
    of_day: defaultdict[int, list[Segment]] = defaultdict(list)
    for each in view.segments:
        if not each.overlap:
            of_day[each.day].append(each)
    found: list[Segment] = []
    for each in view.rollups:
        inside = each.time_max >= start_ns and each.time_min < end_ns
        if (
            each.bucket_ns == bucket_ns
            and inside
            and each.day not in late_days
            and each.made_of == made_of(of_day[each.day])
        ):
            found.append(each)
    common = tags
    for each in found:
        common = np.intersect1d(common, tags_of(each), assume_unique=True)
    if not found or not len(common):
        return None
    first, last = -(-start_ns // bucket_ns) * bucket_ns, end_ns // bucket_ns * bucket_ns
    stretches: list[tuple[int, int]] = []
    for day in sorted({each.day for each in found}):
        start, end = max(day * NS_PER_DAY, first), min((day + 1) * NS_PER_DAY, last)
        if start >= end:
            continue
        if stretches and stretches[-1][1] == start:
            start = stretches.pop()[0]
        stretches.append((start, end))
    return Use(tuple(found), common, tuple(stretches)) if stretches else None


def tags_of(rollup: Segment) -> NDArray[np.int32]:
    """The tags that a rollup covers, in order."""
    return _covered(rollup.tags)[0]


def at_least(use: Use) -> NDArray[np.int64]:
    """How many usable samples of each of `use.tags` there surely are: those of the days that it covers whole."""
    out = np.zeros(len(use.tags), np.int64)
    for each in use.rollups:
        start, end = each.day * NS_PER_DAY, (each.day + 1) * NS_PER_DAY
        if any(first <= start and end <= last for first, last in use.stretches):
            tags, good = _covered(each.tags)
            out += good[np.searchsorted(tags, use.tags)]
    return out


@lru_cache(maxsize=1024)
def _covered(packed: Packed) -> NDArray[np.int32]:
    return np.frombuffer(zlib.decompress(packed), "<i4").astype(np.int32).reshape(2, -1)


def between(stretches: Sequence[tuple[int, int]], start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """What of [start_ns, end_ns) no stretch covers."""
    out, at = [], start_ns
    for start, end in [*stretches, (end_ns, FOR_EVER)]:
        if start > at:
            out.append((at, min(start, end_ns)))
        at = max(at, end)
    return out
