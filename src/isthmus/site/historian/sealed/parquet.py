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
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus.model.errors import StoreDamaged
from isthmus.site.historian.memory.rows import INT, NONE, REAL, TEXT, Rows, Words, text_column, texts, unit_ns

ROW_GROUP: Final = 16_384
"""Small, so that an hour of one tag is not read with its neighbours' days; a hundredth larger on disk than with 65,536."""
MAX_EXPONENT: Final = 4
POWERS: Final = np.array([10.0**exponent for exponent in range(MAX_EXPONENT + 1)])
_ENOUGH: Final = 0.9
ALWAYS: Final = np.iinfo(np.int64).min
FOR_EVER: Final = np.iinfo(np.int64).max
_WHOLE_LIMIT: Final = 2.0**53
_UNIT_NAME: Final = {1_000_000: "ms", 1_000: "us", 1: "ns"}
_UNIT_NS: Final = {"ms": 1_000_000, "us": 1_000, "ns": 1}
_DELTA: Final = ("tag", "time", "i", "t", "h", "o")
_DICTIONARY: Final = ("e", "s", "q", "n", "good", "x")
_COLUMNS: Final = ("tag", "time", "i", "e", "f", "q")
"""Without `s`, see `SegmentFile._table`."""
_PIECE_BYTES: Final = 512 * 1024
"""Put on disk at a time: whoever waits for the log's own sync never waits behind more than this."""
_MANY_GROUPS: Final = 4
"""From more row groups on, columns are read side by side on all cores."""


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
    return write_table(path, to_parquet_table(rows))


def write_table(path: Path, table: pa.Table) -> Written:
    """Write columns of the format, and of a rollup's (see rollup.py); raises as `write`."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression="zstd",
        row_group_size=ROW_GROUP,
        use_dictionary=[name for name in _DICTIONARY if name in table.column_names],
        column_encoding={name: "DELTA_BINARY_PACKED" for name in _DELTA if name in table.column_names},
        write_statistics=["tag", "time"],
        store_schema=False,
        write_page_checksum=True,
    )
    data = sink.getvalue()
    write_whole(path, data)
    return Written(len(data), sha256(data).hexdigest(), table.schema.field("time").type.unit)


def write_whole(path: Path, data: Any, mode: int | None = None) -> None:  # noqa: ANN401  whatever is a buffer
    """Put bytes on disk under a name, all or nothing: a temporary name, fsync, rename, fsync of the folder.

    With a `mode` others may read it as that says, whatever the process's own mask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view[:_PIECE_BYTES]) :]
                if view:
                    os.fdatasync(file.fileno())
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = error.filename or str(path)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on disk for good."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_parquet_table(rows: Rows, known: NDArray[np.int8] | None = None) -> pa.Table:
    """The columns of the format, for rows in (tag, time) order; `known` are their exponents, where known already."""
    scale = unit_ns(rows.time_ns)
    times = rows.time_ns // scale if scale > 1 else rows.time_ns
    scaled, exponent = decimals(rows) if known is None else _with_exponents(rows, known)
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


def _with_exponents(rows: Rows, exponent: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    scaled = np.zeros(rows.size, np.int64)
    decimal = np.flatnonzero(exponent >= 0)
    scaled[decimal] = np.rint(rows.bits[decimal].view(np.float64) * POWERS[exponent[decimal]]).astype(np.int64)
    return scaled, exponent


def _scaled(values: NDArray[np.float64], power: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The values times the power, rounded, and where dividing gives back the very same bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * power)
        exact = (whole / power == values) & (np.abs(whole) < _WHOLE_LIMIT)
    return whole, exact & ~((whole == 0) & np.signbit(values))


def from_parquet_table(table: pa.Table, words: Words) -> Rows:
    """The rows behind the columns of the format; `s` read as a dictionary, or not there when there are no texts."""
    table = table.combine_chunks()
    time = _column(table, "time")
    time_ns = time.cast(pa.int64()).to_numpy() * _UNIT_NS[time.type.unit]
    form, bits = _numbers(*(_column(table, name) for name in ("i", "e", "f")))
    text = _column(table, "s") if "s" in table.column_names else None
    if text is not None and text.null_count < len(text):
        has_text, codes = texts(text.dictionary_encode() if pa.types.is_string(text.type) else text, words)
        bits = np.where(has_text, codes, bits)
        form[has_text] = TEXT
    status = _column(table, "q").to_numpy().view(np.uint32)
    return Rows(_column(table, "tag").to_numpy(), time_ns, status, form, bits, words)


def _numbers(whole: pa.Array, exponent: pa.Array, real: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Form and bits of each row. Most row groups hold one sort of number, and are settled in a pass or two."""
    rows = len(whole)
    if not real.null_count:
        return np.full(rows, REAL, np.uint8), _values(real, np.float64).view(np.int64)
    integers = _values(whole, np.int64)
    if not whole.null_count and exponent.null_count == rows:
        return np.full(rows, INT, np.uint8), integers
    decimal = (integers / _powers(exponent)).view(np.int64)
    if not exponent.null_count:
        return np.full(rows, REAL, np.uint8), decimal
    has_whole, has_exponent, has_real = _has(whole), _has(exponent), _has(real)
    bits = np.where(has_exponent, decimal, np.where(has_whole, integers, 0))
    if real.null_count < rows:
        bits = np.where(has_real, _values(real, np.float64).view(np.int64), bits)
    form = np.where(has_exponent | has_real, REAL, np.where(has_whole, INT, NONE)).astype(np.uint8)
    return form, bits


def _powers(exponent: pa.Array) -> NDArray[np.float64] | np.float64:
    """What each whole number is divided by; a row group most often has one exponent for all."""
    values = _values(exponent, np.int8)
    if exponent.null_count:
        values = np.where(_has(exponent), values, np.int8(0))
    elif len(values) and values.min() == values.max():
        return np.float64(POWERS[values[0]])
    return POWERS.take(values)


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _has(column: pa.Array) -> NDArray[np.bool_]:
    if column.null_count in {0, len(column)}:
        return np.full(len(column), not column.null_count)
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
        self._tags = _bounds([group.column(0).statistics for group in groups], 1)
        self.group_rows = self._tags[:, 0], np.array([group.num_rows for group in groups], np.int64)
        """Of each row group its lowest tag, and its rows."""
        self.last_tag = int(self._tags[:, 1].max())
        self.unit: str = self._file.schema_arrow.field("time").type.unit
        """ms, us or ns"""
        self._times = _bounds([group.column(1).statistics for group in groups], _UNIT_NS[self.unit])

    @property
    def group_bytes(self) -> list[int]:
        """How much each row group takes on disk."""
        meta = self._file.metadata
        groups = [meta.row_group(group) for group in range(meta.num_row_groups)]
        return [sum(each.column(at).total_compressed_size for at in range(each.num_columns)) for each in groups]

    def groups(self, first_tag: int, last_tag: int, start_ns: int, end_ns: int) -> list[int]:
        """The row groups that may hold tags within [first_tag, last_tag] and times within [start_ns, end_ns)."""
        wanted = (self._tags[:, 1] >= first_tag) & (self._tags[:, 0] <= last_tag)
        return np.flatnonzero(wanted & self._within(start_ns, end_ns)).tolist()

    def groups_of(self, tags: NDArray[np.int32], start_ns: int, end_ns: int) -> list[int]:
        """The row groups that may hold any of these tags, which are in order, and times within [start_ns, end_ns)."""
        wanted = np.searchsorted(tags, self._tags[:, 0]) < np.searchsorted(tags, self._tags[:, 1], "right")
        return np.flatnonzero(wanted & self._within(start_ns, end_ns)).tolist()

    def _within(self, start_ns: int, end_ns: int) -> NDArray[np.bool_]:
        return (self._times[:, 1] >= start_ns) & (self._times[:, 0] < end_ns)

    def read(self, words: Words, groups: Sequence[int] | None = None) -> Rows:
        """The rows of these row groups, None for all; texts are added to `words`."""
        try:
            return from_parquet_table(self._table(groups, _COLUMNS), words)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self._path, error) from error

    def pieces(self, groups: Sequence[int]) -> list[tuple[Rows, pa.Table]]:
        """The rows of these row groups piece by piece, and the columns behind them; a rollup has some of its own."""
        try:
            table = self._table(groups, (*_COLUMNS, *self._file.schema_arrow.names[len(_COLUMNS) + 1 :]))
            # One row group is mostly of one sort, which is decoded several times as fast as a mixture.
            ends = np.cumsum(self.group_rows[1][list(groups)]).tolist()
            parts = [table.slice(begin, end - begin) for begin, end in pairwise([0, *ends])]
            return [(from_parquet_table(part, Words()), part) for part in parts]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self._path, error) from error

    def _table(self, groups: Sequence[int] | None, columns: Sequence[str]) -> pa.Table:
        """Texts are read only where rows have no number: in most row groups there are none."""
        wanted = list(range(len(self._tags)) if groups is None else groups)
        with self._lock:
            table = self._file.read_row_groups(wanted, columns=list(columns), use_threads=len(wanted) > _MANY_GROUPS)
            if table.column("i").null_count + table.column("f").null_count > table.num_rows:
                texts_alone = self._file.read_row_groups(wanted, columns=["s"], use_threads=False)
                table = table.append_column("s", texts_alone.column(0))
        return table


def _bounds(statistics: Sequence[Any], scale: int) -> NDArray[np.int64]:
    """Lowest and highest value of each row group, shape (row groups, 2)."""
    pairs = [(each.min_raw * scale, each.max_raw * scale) for each in statistics]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _damaged(path: Path, error: Exception) -> StoreDamaged:
    msg = f"{path} cannot be read as a segment: {error}. Put it back from a backup with `isthmus history mend FOLDER`"
    return StoreDamaged(msg)
