"""A sealed segment: Parquet, sorted by tag and time, each (tag, time) once, read by any engine.

    tag   int32                      the site's tag id                        DELTA_BINARY_PACKED
    time  timestamp ms | µs | ns UTC the coarsest unit exact for the file     DELTA_BINARY_PACKED
    i     int64, null                whole numbers; truths as 0 and 1;        DELTA_BINARY_PACKED
                                     decimals scaled by 10^e
    e     int8, null                 the decimal exponent; null where i is a whole number as such
    f     double, null               numbers that are no short decimal        PLAIN
    s     string, null               texts                                    dictionary
    q     int32                      the 32 bits of the OPC UA StatusCode     dictionary

A sample without a value has i, f and s null. The number behind a row is f, or i / 10^e: a division of
two exact doubles, which gives back the very double that was written. The writer checks that it does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus.model.errors import StoreDamaged
from isthmus.site.historian.rows import INT, NONE, REAL, TEXT, Rows, Words, text_column, texts, unit_ns

ROW_GROUP: Final = 65_536
MAX_EXPONENT: Final = 4
POWERS: Final = np.array([10.0**exponent for exponent in range(MAX_EXPONENT + 1)])
_ENOUGH: Final = 0.9
ALWAYS: Final = np.iinfo(np.int64).min
FOR_EVER: Final = np.iinfo(np.int64).max
_WHOLE_LIMIT: Final = 2.0**53
_UNIT_NAME: Final = {1_000_000: "ms", 1_000: "us", 1: "ns"}
_UNIT_NS: Final = {"ms": 1_000_000, "us": 1_000, "ns": 1}
_DELTA: Final = {"tag": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED", "i": "DELTA_BINARY_PACKED"}


class Written(NamedTuple):
    """What was put on disk."""

    size: int
    sha256: str
    unit: str
    """ms, us or ns"""


def write(path: Path, rows: Rows) -> Written:
    """Write rows in (tag, time) order; on disk for good, and whole, when this returns.

    Raises OSError (disk full) with nothing left behind.
    """
    sink = pa.BufferOutputStream()
    table = to_parquet_table(rows)
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression="zstd",
        row_group_size=ROW_GROUP,
        use_dictionary=["e", "s", "q"],
        column_encoding=_DELTA,
        write_statistics=["tag", "time"],
        store_schema=False,
        write_page_checksum=True,
    )
    data = sink.getvalue()
    write_whole(path, data)
    return Written(len(data), sha256(data).hexdigest(), table.schema.field("time").type.unit)


def write_whole(path: Path, data: Any) -> None:  # noqa: ANN401  whatever has the buffer protocol
    """Put bytes on disk under a name, all or nothing: a temporary name, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on disk for good."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_parquet_table(rows: Rows) -> pa.Table:
    """The columns of the format, for rows in (tag, time) order."""
    scale = unit_ns(rows.time_ns)
    times = rows.time_ns // scale if scale > 1 else rows.time_ns
    scaled, exponent = decimals(rows)
    decimal = exponent >= 0
    return pa.table(
        {
            "tag": pa.array(rows.tag),
            "time": pa.array(times).cast(pa.timestamp(_UNIT_NAME[scale], tz="UTC")),
            "i": pa.array(np.where(decimal, scaled, rows.bits), mask=~(decimal | (rows.form == INT))),
            "e": pa.array(exponent, mask=~decimal),
            "f": pa.array(rows.bits.view(np.float64), mask=decimal | (rows.form != REAL)),
            "s": text_column(rows),
            "q": pa.array(rows.status.view(np.int32)),
        }
    )


def decimals(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Which numbers are short decimals: value = scaled / 10^exponent exactly. Exponent -1: not one.

    A tag has one exponent within a file (its differences then pack tightly): the smallest that fits
    all its numbers, or else the largest, if that fits nine in ten of them. Shapes (rows,).
    """
    scaled = np.zeros(rows.size, np.int64)
    exponent = np.full(rows.size, -1, np.int8)
    todo = np.flatnonzero(rows.form == REAL)
    for power in range(MAX_EXPONENT + 1):
        if not len(todo):
            break
        whole, exact = _scaled(rows.bits[todo].view(np.float64), POWERS[power])
        starts = np.flatnonzero(np.append(True, np.diff(rows.tag[todo]) != 0))
        lengths = np.diff(np.append(starts, len(todo)))
        share = np.repeat(np.add.reduceat(exact.astype(np.int64), starts) / lengths, lengths)
        fits = exact & (share >= (1.0 if power < MAX_EXPONENT else _ENOUGH))
        scaled[todo[fits]] = whole[fits].astype(np.int64)
        exponent[todo[fits]] = power
        todo = todo[~fits]
    return scaled, exponent


def _scaled(values: NDArray[np.float64], power: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The values times the power, rounded, and where dividing gives back the very same bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * power)
        exact = (whole / power == values) & (np.abs(whole) < _WHOLE_LIMIT)
    return whole, exact & ~((whole == 0) & np.signbit(values))


def from_parquet_table(table: pa.Table, words: Words) -> Rows:
    """The rows behind the columns of the format; `s` read as a dictionary."""
    table = table.combine_chunks()
    time = _column(table, "time")
    time_ns = time.cast(pa.int64()).to_numpy() * _UNIT_NS[time.type.unit]
    whole, exponent, real = (_column(table, name) for name in ("i", "e", "f"))
    form = np.full(table.num_rows, NONE, np.uint8)
    bits = np.zeros(table.num_rows, np.int64)
    has_whole, has_exponent = _has(whole), _has(exponent)
    integer = has_whole & ~has_exponent
    bits[integer] = _values(whole, np.int64)[integer]
    form[integer] = INT
    decimal = np.flatnonzero(has_exponent)
    powers = POWERS[_values(exponent, np.int8)[decimal]]
    bits[decimal] = (_values(whole, np.int64)[decimal] / powers).view(np.int64)
    has_real = _has(real)
    bits[has_real] = _values(real, np.float64).view(np.int64)[has_real]
    form[decimal] = REAL
    form[has_real] = REAL
    text = _column(table, "s")
    if text.null_count < len(text):
        has_text, codes = texts(text.dictionary_encode() if pa.types.is_string(text.type) else text, words)
        bits[has_text] = codes[has_text]
        form[has_text] = TEXT
    status = _column(table, "q").to_numpy().view(np.uint32)
    return Rows(_column(table, "tag").to_numpy(), time_ns, status, form, bits, words)


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _has(column: pa.Array) -> NDArray[np.bool_]:
    if not column.null_count:
        return np.ones(len(column), bool)
    return column.is_valid().to_numpy(zero_copy_only=False)


def _values(column: pa.Array, dtype: Any) -> NDArray[Any]:  # noqa: ANN401  numpy's own type for dtypes is as wide
    """A column's values with whatever stands behind its nulls; `_has` says where they count."""
    data = column.buffers()[1] if len(column) else None
    if data is None:
        return np.zeros(len(column), dtype)
    return np.frombuffer(data, dtype, len(column), column.offset * np.dtype(dtype).itemsize)


class SegmentFile:
    """One sealed segment, open for reading. Any thread may read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path, memory_map=False, read_dictionary=["s"], page_checksum_verification=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, error) from error
        self._lock = Lock()
        meta = self._file.metadata
        groups = [meta.row_group(group) for group in range(meta.num_row_groups)]
        self.group_bytes = [
            sum(group.column(column).total_compressed_size for column in range(group.num_columns)) for group in groups
        ]
        """How much each row group takes on disk."""
        self._tags = _bounds([group.column(0).statistics for group in groups], 1)
        unit = _UNIT_NS[self._file.schema_arrow.field("time").type.unit]
        self._times = _bounds([group.column(1).statistics for group in groups], unit)

    def groups(self, first_tag: int, last_tag: int, start_ns: int, end_ns: int) -> list[int]:
        """The row groups that may hold tags within [first_tag, last_tag] and times within [start_ns, end_ns)."""
        wanted = (self._times[:, 1] >= start_ns) & (self._times[:, 0] < end_ns)
        wanted &= (self._tags[:, 1] >= first_tag) & (self._tags[:, 0] <= last_tag)
        return np.flatnonzero(wanted).tolist()

    def read(self, words: Words, groups: Sequence[int] | None = None) -> Rows:
        """The rows of these row groups, None for all; texts are added to `words`."""
        wanted = range(len(self._tags)) if groups is None else groups
        try:
            with self._lock:
                table = self._file.read_row_groups(list(wanted), use_threads=False)
            return from_parquet_table(table, words)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self._path, error) from error


def _bounds(statistics: Sequence[Any], scale: int) -> NDArray[np.int64]:
    """Lowest and highest value of each row group, shape (row groups, 2)."""
    pairs = [(each.min_raw * scale, each.max_raw * scale) for each in statistics]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _damaged(path: Path, error: Exception) -> StoreDamaged:
    msg = f"{path} cannot be read as a segment: {error}. Restore it from a backup with `isthmus history restore`"
    return StoreDamaged(msg)
