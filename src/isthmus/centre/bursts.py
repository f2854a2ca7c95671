"""Bursts of fast signals over all sites: which there were, what they amount to, and their readings.

DuckDB reads the files of one site and day after the other, so that forty plants take no more memory than
one. Of two bursts with one (tag, time) that of the higher segment stands, and the tail above all, as at
the site itself. What a burst amounts to is worked out where its readings are read.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from isthmus.centre.snapshot import Cache, Snapshot
from isthmus.centre.stock import Known, Stock, Taken
from isthmus.model.errors import StoreDamaged
from isthmus.model.samples import SCHEMA, ValueKind
from isthmus.model.time import NS_PER_DAY
from isthmus.site.historian.sealed.manifest import Segment
from isthmus.site.historian.sealed.view import Files
from isthmus.site.historian.shipping import shipped, tail
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind

NAME: Final = "waveforms.sqlite"
BURSTS: Final = pa.schema(
    [
        ("tag", pa.int32()),
        ("time_ns", pa.int64()),
        ("status", pa.uint32()),
        ("interval_ns", pa.float64()),
        ("n", pa.int64()),
        ("mean", pa.float64()),
        ("rms", pa.float64()),
        ("peak", pa.float64()),
    ]
)
"""A row a burst; `n` readings, 0 where it carries none; mean, root mean square and greatest size of them, else null."""
READINGS: Final = pa.schema([*BURSTS, ("value", pa.list_(pa.float32()))])
LARGE_BYTES: Final = 32 * 1024 * 1024
"""Files of a day beyond this are read tag by tag: a reading on disk is four bytes or more in memory."""
_LISTED: Final = 500
_SETTINGS: Final = ("SET GLOBAL memory_limit = '1GB'", "SET GLOBAL TimeZone = 'UTC'", "SET GLOBAL threads = 2")
_SEALED: Final = """
SELECT tag, epoch_ns(time) AS time_ns, (q::BIGINT & 4294967295)::UINTEGER AS status, interval_ns,
       coalesce(f, i::FLOAT[]) AS value, place
FROM read_parquet({files}, filename = true, hive_partitioning = false) AS stored
JOIN listed ON listed.file = parse_filename(stored.filename)
WHERE {tags} AND time >= make_timestamp_ns({start})::TIMESTAMPTZ_NS AND time < make_timestamp_ns({end})::TIMESTAMPTZ_NS"""
_NEWLY: Final = "SELECT tag, time_ns, status, interval_ns, value, place FROM newly"
# `every` is read twice, first without readings: so a day of them is never in memory at once.
_ASKED: Final = """
WITH every AS NOT MATERIALIZED ({rows}),
     winner AS (SELECT tag, time_ns, max(place) AS place FROM every
                WHERE time_ns >= {start} AND time_ns < {end} AND tag IN (SELECT tag FROM asked) GROUP BY tag, time_ns),
     sized AS (SELECT every.*, value::DOUBLE[] AS readings FROM every JOIN winner USING (tag, time_ns, place))
SELECT tag, time_ns, status, interval_ns, coalesce(len(value), 0) AS n, list_avg(readings) AS mean,
       CASE WHEN len(value) > 0 THEN sqrt(list_inner_product(readings, readings) / len(value)) END AS rms,
       greatest(list_max(readings), -list_min(readings)) AS peak{value}
FROM sized ORDER BY tag, time_ns"""


class Site(NamedTuple):
    """What is asked of one site."""

    name: str
    offset: int
    """What makes a tag of the site one of the group."""
    tags: Sequence[int]
    """The site's own."""


class _Day(NamedTuple):
    day: int
    segments: Sequence[Segment]
    newly: pa.Table


class Bursts:
    """The centre's stock of bursts, and questions about them. `folder` is the centre's own. Any thread may ask."""

    def __init__(self, folder: Path, group: Path) -> None:
        self.stock = Stock(folder, shipped.place(str(group)), name=NAME, named=shipped.waveforms_of)
        self._files = Files(group.absolute())
        self._db = duckdb.connect()
        for setting in _SETTINGS:
            self._db.execute(setting)

    def close(self) -> None:
        """Let go of everything."""
        self._db.close()
        self.stock.close()

    def take(self, *, anew: bool = False) -> list[Taken]:
        """As `Stock.take`."""
        return self.stock.take(anew=anew)

    def read(self, sites: Sequence[Site], start_ns: int, end_ns: int, *, readings: bool = False) -> Iterator[pa.Table]:
        """The bursts that begin within [start_ns, end_ns), a table for each site and day that has some.

        With the group's tags, each table in the order of tags and times; the columns are those of `BURSTS`,
        with `readings` those of `READINGS`. Of a large day each tag is a table of its own, or several. Raises StoreDamaged for a file that is gone or is not
        as it was shipped.
        """
        if self.stock.behind(shipped.waveforms_of(each.name) for each in sites):
            self.stock.take()
        held = Snapshot(self.stock, self._files, Cache(), now_ns=time.time_ns())
        try:
            known = {each.name: each for each in held.sites.values()}
            for site in sites:
                its = known.get(shipped.waveforms_of(site.name))
                for day in self._days(its, start_ns, end_ns) if its and site.tags else ():
                    for its_tags, first, end in _pieces(day, site, start_ns, end_ns):
                        table = self._ask(day, its_tags, first, end, readings=readings)
                        if table.num_rows:
                            yield table
        finally:
            held.release()

    def _days(self, known: Known, start_ns: int, end_ns: int) -> Iterator[_Day]:
        first, last = start_ns // NS_PER_DAY, (end_ns - 1) // NS_PER_DAY
        segments: defaultdict[int, list[Segment]] = defaultdict(list)
        for each in self.stock.segments(known, first, last):
            if each.time_max >= start_ns and each.time_min < end_ns:
                segments[each.day].append(each)
        newly = self._newly(known)
        days = newly["time_ns"].to_numpy() // NS_PER_DAY
        wanted = np.unique(days[(days >= first) & (days <= last)]).tolist()
        for day in sorted({*segments, *wanted}):
            yield _Day(day, segments[day], newly.filter(pa.array(days == day)))

    def _newly(self, known: Known) -> pa.Table:
        """What no segment holds yet, in the order of arrival."""
        found = tail.read(self.stock.where, known.name, known.wal, FrameKind.WAVEFORM)
        batches = [frames.samples(each) for each in found]
        table = pa.Table.from_batches(batches, schema=SCHEMA[ValueKind.WAVEFORM])
        # Segments' ids are far below.
        return table.append_column("place", pa.array(np.arange(table.num_rows, dtype=np.int64) + (1 << 62)))

    def _ask(self, day: _Day, site: Site, start_ns: int, end_ns: int, *, readings: bool) -> pa.Table:
        paths = [str(self._files.folder / each.path) for each in day.segments]
        names, ids = [Path(each).name for each in paths], [each.id for each in day.segments]
        cursor = self._db.cursor()
        try:
            cursor.register("asked", pa.table({"tag": pa.array(site.tags, pa.int32())}))
            cursor.register("newly", day.newly)
            cursor.register(
                "listed", pa.table({"file": pa.array(names, pa.string()), "place": pa.array(ids, pa.int64())})
            )
            files = "[" + ", ".join("'" + each.replace("'", "''") + "'" for each in paths) + "]"
            sealed = [_SEALED.format(files=files, tags=_only(site.tags), start=start_ns, end=end_ns)] if paths else []
            text = _ASKED.format(
                rows=" UNION ALL ".join((*sealed, _NEWLY)),
                start=start_ns,
                end=end_ns,
                value=", value" if readings else "",
            )
            found = cursor.sql(text).to_arrow_table()
        except duckdb.Error as error:
            msg = f"bursts of {site.name} on {shipped.date_of(day.day)} cannot be read: {error}"
            raise StoreDamaged(msg) from error
        finally:
            cursor.close()
        tags = pa.array((found["tag"].to_numpy() + site.offset).astype(np.int32))
        return found.set_column(0, "tag", tags).cast(READINGS if readings else BURSTS)


def _pieces(day: _Day, site: Site, start_ns: int, end_ns: int) -> Iterator[tuple[Site, int, int]]:
    """Of which tags, and of which stretch of the day, is asked at once: a tag's bursts stand together in a file."""
    first, end = max(start_ns, day.day * NS_PER_DAY), min(end_ns, (day.day + 1) * NS_PER_DAY)
    size = sum(each.bytes for each in day.segments)
    if size <= LARGE_BYTES:
        yield site, first, end
        return
    most_tags = max(each.tag_max for each in day.segments) - min(each.tag_min for each in day.segments) + 1
    step = -(-(end - first) // min(-(-size // most_tags // LARGE_BYTES), 24))
    for tag in site.tags:
        for begin in range(first, end, step):
            yield site._replace(tags=[tag]), begin, min(begin + step, end)


def _only(tags: Sequence[int]) -> str:
    """A condition that lets row groups be passed over; which tags are asked is settled after it."""
    if len(tags) > _LISTED:
        return f"tag BETWEEN {min(tags)} AND {max(tags)}"
    return f"tag IN ({', '.join(map(str, tags))})"
