"""Times as other systems write them, and the hour that a clock goes through twice, or leaves out.

A time without a zone is read in the zone that is given. When summer time ends, one hour of local time
stands for two: a tag's samples in it belong to the first, until they step back, and then to the second.
When it begins, an hour is left out: a sample that claims to be of it was written by another clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S

_QUARTER_NS: Final = 15 * NS_PER_MINUTE
"""No zone changed its clock within a quarter of an hour."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
NO_SUCH: Final = np.iinfo(np.int64).min
"""Stands in `time_ns` of a row whose local time its zone left out; it is before every earliest day."""
_TIMED: Final = """
SELECT line, name, word, status, "when",
       CASE WHEN "when" LIKE '%ns' THEN TRY_CAST(replace("when", 'ns', '') AS BIGINT)
            WHEN n IS NOT NULL THEN
                 CASE WHEN abs(n) < 1e11 THEN (n * 1000000000)::BIGINT WHEN abs(n) < 1e14 THEN (n * 1000000)::BIGINT
                      WHEN abs(n) < 1e17 THEN (n * 1000)::BIGINT
                      WHEN abs(n) < 9.2e18 THEN n::BIGINT END
            WHEN zoned THEN epoch_us(TRY_CAST("when" AS TIMESTAMPTZ)) * 1000 + nanoseconds
            ELSE epoch_us(coalesce(TRY_CAST("when" AS TIMESTAMP), try_strptime(english, $formats))) * 1000 + nanoseconds
            END AS time_ns,
       n IS NULL AND NOT zoned AND "when" NOT LIKE '%ns' AS local
FROM (SELECT *, TRY_CAST("when" AS DECIMAL(38, 9)) AS n,
             coalesce(TRY_CAST(rpad(regexp_extract("when", '\\.[0-9]{6}([0-9]{1,3})', 1), 3, '0') AS BIGINT), 0)
             AS nanoseconds,
             regexp_matches("when", '[0-9](Z|[+-][0-9]{2}(:?[0-9]{2})?)\\s*$') AS zoned,
             regexp_replace(regexp_replace(regexp_replace(regexp_replace("when", '-M(är|rz)-', '-Mar-'),
                 '-Mai-', '-May-'), '-Okt-', '-Oct-'), '-Dez-', '-Dec-') AS english
      FROM said)
ORDER BY line
"""
_FORMATS: Final = [
    "%d-%b-%y %H:%M:%S.%f",
    "%d-%b-%y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S.%f",
    "%d-%b-%Y %H:%M:%S",
    "%d-%b-%y %H:%M",
    "%d-%b-%y",
    "%d-%b-%Y",
    "%m/%d/%Y %I:%M:%S %p",
    "%d.%m.%Y %H:%M:%S",
]


class _Pass(NamedTuple):
    """Where a tag is in an hour that the clock goes through twice, in local ns."""

    day: int
    began: int
    last: int
    second: bool


class Times:
    """Reads the times of one file, piece by piece from its beginning. `zone` must be known to ZoneInfo."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._offsets: dict[int, tuple[int, int]] = {}
        self._passes: dict[str, _Pass] = {}
        self._forwards = 0
        self.doubled = 0
        """Samples of hours that the clock goes through twice."""

    def read(self, db: duckdb.DuckDBPyConnection, said: pa.Table) -> pa.Table:
        """The rows with `time_ns`, null where the time cannot be read, NO_SUCH where its zone left it out."""
        with db.cursor() as cursor:
            cursor.register("said", said)
            # Within a line (Ignition's wide rows) the columns' order does not matter.
            table = cursor.sql(_TIMED, params={"formats": _FORMATS}).to_arrow_table()
        local = pc.and_(table["local"], table["time_ns"].is_valid()).to_numpy()
        if local.any():
            table = self._placed(table, np.flatnonzero(local))
        return table.drop_columns(["local"])

    def _placed(self, table: pa.Table, rows: NDArray[np.intp]) -> pa.Table:
        time_ns = table["time_ns"].fill_null(0).to_numpy().copy()
        self._forwards += _steps(table, time_ns)
        quarter, place = np.unique(time_ns[rows] // _QUARTER_NS, return_inverse=True)
        offsets = np.array([self._of(each) for each in quarter.tolist()], np.int64)
        first, second = offsets[place, 0], offsets[place, 1]
        twice = rows[first > second]
        behind = self._behind(table, twice, time_ns) if len(twice) else np.empty(0, np.intp)
        self.doubled += len(twice)
        chosen = np.where(np.isin(rows, behind), second, first)
        time_ns[rows] = np.where(first < second, NO_SUCH, time_ns[rows] - chosen)
        column = pa.array(time_ns, mask=table["time_ns"].is_null().to_numpy())
        return table.set_column(table.column_names.index("time_ns"), "time_ns", column)

    def _of(self, quarter: int) -> tuple[int, int]:
        """What local time is ahead of UTC by, in ns: in the first hour of a doubled one, and in the second."""
        found = self._offsets.get(quarter)
        if found is None:
            try:
                local = (_EPOCH + timedelta(seconds=quarter * _QUARTER_NS // NS_PER_S)).replace(tzinfo=self._zone)
                ahead = [local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
            except OverflowError:  # a year that Python does not know is told as early or late
                ahead = [timedelta()] * 2
            found = self._offsets[quarter] = (_ns(ahead[0]), _ns(ahead[1]))
        return found

    def _behind(self, table: pa.Table, twice: NDArray[np.intp], local_ns: NDArray[np.int64]) -> NDArray[np.intp]:
        """Of the rows in doubled hours those of the second."""
        names = table["name"].take(pa.array(twice)).to_pylist()
        backwards = self._forwards < 0
        out = []
        for row, name, moment in zip(twice.tolist(), names, local_ns[twice].tolist(), strict=True):
            at, day = (-moment if backwards else moment), moment // NS_PER_DAY
            before = self._passes.get(name)
            if before is None or before.day != day:
                # A file with the newest in front comes to the second pass first.
                now = _Pass(day, at, at, backwards)
            elif at < before.last or at == before.last == before.began:
                now = _Pass(day, at, at, not backwards)
            else:
                now = before._replace(last=at)
            self._passes[name] = now
            if now.second:
                out.append(row)
        return np.array(out, np.intp)


def _steps(table: pa.Table, local_ns: NDArray[np.int64]) -> int:
    """How many more steps forwards than back there are in a piece: from row to row, and within each tag."""
    code = table["name"].combine_chunks().dictionary_encode()
    code = (code.chunk(0) if isinstance(code, pa.ChunkedArray) else code).indices.to_numpy()
    order = np.argsort(code, kind="stable")
    within = np.sign(np.diff(local_ns[order]))[np.diff(code[order]) == 0]
    return int(within.sum() + np.sign(np.diff(local_ns)).sum())


def _ns(length: timedelta) -> int:
    return (length.days * 86_400 + length.seconds) * NS_PER_S
