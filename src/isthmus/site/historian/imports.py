"""Bringing a past along: CSV, Parquet and InfluxDB line protocol, resumable.

CSV and Parquet have a row a sample: the tag's name, its time, its value and perhaps its status, in
columns that are named by the caller. Times are ISO 8601 or numbers since 1970 (s, ms, µs or ns, told
apart by their size); a time without a zone is read in the zone that is given.

A file is cut into pieces that are named by its content and their number, and go in like frames. So an
import that was stopped is just started again: what was taken in is passed over.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.model.errors import UsageError
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.status import BAD_TYPE_MISMATCH, GOOD
from isthmus.site.historian.store import Store
from isthmus.wire.frame import source_id

ROWS: Final = 50_000
_KINDS: Final = tuple(ValueKind)


class Columns(NamedTuple):
    """What the columns of a file are called; "" for a status that it does not have."""

    tag: str = "tag"
    time: str = "time"
    value: str = "value"
    status: str = ""


class Imported(NamedTuple):
    """How far an import is."""

    rows: int
    """Samples read so far."""
    odd: int
    """Of these, texts where the tag has numbers: kept as Bad samples without a value."""
    unread: int
    """Lines that are no sample: left out."""


class _Piece(NamedTuple):
    """Samples as read: name, time_ns, word (null for none), status; and lines that could not be."""

    table: pa.Table
    unread: int


def import_file(  # noqa: PLR0913  what a file needs to be read by
    store: Store,
    path: Path,
    source: str,
    *,
    named: Columns | None = None,
    zone: str = "UTC",
    progress: Callable[[Imported], None] | None = None,
) -> Imported:
    """Take a file in as samples of `source/<its tag>`. Raises UsageError when it cannot be read, OSError."""
    if not path.is_file():
        msg = f"{path} is not there"
        raise UsageError(msg)
    epoch = int.from_bytes(_digest(path), "little") & 0x7FFF_FFFF_FFFF_FFF0
    line_protocol = path.suffix in {".lp", ".line", ".txt"}
    pieces = _lines(path) if line_protocol else _tables(path, named or Columns(), zone)
    done = Imported(0, 0, 0)
    for number, piece in enumerate(pieces, 1):
        odd = _take(store, source, epoch, number, piece.table)
        done = Imported(done.rows + piece.table.num_rows, done.odd + odd, done.unread + piece.unread)
        if progress is not None:
            progress(done)
    return done


def _digest(path: Path) -> bytes:
    found = blake2b(digest_size=8)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.digest()


def _take(store: Store, source: str, epoch: int, number: int, table: pa.Table) -> int:
    """One piece into the store; how many of its values are no numbers though their tag has numbers."""
    name = table["name"].combine_chunks().dictionary_encode()
    name = name.chunk(0) if isinstance(name, pa.ChunkedArray) else name
    code, names = name.indices.to_numpy(), [f"{source}/{each}" for each in name.dictionary.to_pylist()]
    word = table["word"].combine_chunks()
    number_of = pc.cast(_numbers_only(word), pa.float64())
    is_number = number_of.is_valid().to_numpy(zero_copy_only=False)
    has_word = word.is_valid().to_numpy(zero_copy_only=False)
    texts = np.bincount(code[has_word & ~is_number], minlength=len(names)) > 0
    ids, kinds = _intern(store, names, texts)
    status, odd, batches = table["status"].to_numpy().astype(np.uint32), 0, []
    for kind in sorted(set(kinds)):
        which = np.flatnonzero(np.array([each == kind for each in kinds])[code])
        chosen, its_status = pa.array(which), status[which].copy()
        if kind is ValueKind.STR:
            value = word.take(chosen).cast(pa.string())
        else:
            value = _as_kind(number_of.take(chosen), kind)
            wrong = has_word[which] & ~value.is_valid().to_numpy(zero_copy_only=False)
            its_status[wrong] = BAD_TYPE_MISMATCH
            odd += int(wrong.sum())
        batch = columns(kind, ids[code[which]], table["time_ns"].to_numpy()[which], its_status, value)
        mine = epoch + _KINDS.index(kind)
        batches.append(Batch(source_id(f"{source}#import"), mine, number, time.time_ns(), batch))
    store.append(batches)
    return odd


_NUMBER: Final = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


def _numbers_only(word: pa.Array) -> pa.Array:
    """The words that are numbers; null elsewhere."""
    trimmed = pc.utf8_trim_whitespace(word.cast(pa.string()))
    return pc.if_else(pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False), trimmed, None)  # noqa: FBT003


def _as_kind(numbers: pa.Array, kind: ValueKind) -> pa.Array:
    """Numbers as values of a kind; null where one is none of it."""
    if kind is ValueKind.F64:
        return numbers
    whole = pc.if_else(pc.equal(numbers, pc.round(numbers)), numbers, None)
    integers = pc.cast(whole, pa.int64(), safe=False)
    return integers if kind is ValueKind.I64 else pc.cast(integers, pa.bool_())


def _intern(store: Store, names: list[str], texts: np.ndarray) -> tuple[np.ndarray, list[ValueKind]]:
    """Ids and kinds of tags: as they are known, else text where a text was met first, else a number."""
    new = [
        TagInfo(name=name, kind=ValueKind.STR if text else ValueKind.F64)
        for name, text in zip(names, texts.tolist(), strict=True)
        if store.tags.find(name) is None
    ]
    store.tags.intern_all(new)
    ids = [store.tags.find(name) or 0 for name in names]
    return np.array(ids, np.int32), [store.tags.info(tag).kind for tag in ids]


def _tables(path: Path, named: Columns, zone: str) -> Iterator[_Piece]:
    """Pieces of a CSV (also gzipped) or Parquet file."""
    read = "read_parquet($path)" if path.suffix == ".parquet" else "read_csv($path, all_varchar = true)"
    with duckdb.connect() as db:
        db.execute("SET threads = 1")
        try:
            there = [row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {read}", {"path": str(path)}).fetchall()]  # noqa: S608  one of two texts
            lacking = [each for each in named if each and each not in there]
            if lacking:
                msg = f"{path} has no column {', '.join(lacking)}; it has {', '.join(there)}"
                raise UsageError(msg)
            tag, when, value = (_quoted(each) for each in named[:3])
            status = f"TRY_CAST({_quoted(named.status)} AS UINTEGER)" if named.status else str(GOOD)
            sql = _ROWS.format(tag=tag, time=when, value=value, status=status, read=read)
            rows = db.sql(sql, params={"path": str(path), "zone": zone}).to_arrow_reader(ROWS)
            for batch in rows:
                table = pa.Table.from_batches([batch])
                whole = table.filter(pc.and_(table["name"].is_valid(), table["time_ns"].is_valid()))
                yield _Piece(whole, table.num_rows - whole.num_rows)
        except duckdb.Error as error:
            msg = f"{path} cannot be read as a table: {str(error).splitlines()[0]}"
            raise UsageError(msg) from error


_ROWS: Final = """
SELECT name, CASE WHEN n IS NULL THEN epoch_ns(moment) WHEN abs(n) < 1e11 THEN (n * 1000000000)::BIGINT
                  WHEN abs(n) < 1e14 THEN (n * 1000000)::BIGINT WHEN abs(n) < 1e17 THEN (n * 1000)::BIGINT
                  ELSE n::BIGINT END AS time_ns, word, coalesce(status, 2147483648)::BIGINT AS status
FROM (SELECT {tag}::VARCHAR AS name, TRY_CAST({time}::VARCHAR AS DECIMAL(38, 9)) AS n,
             CASE WHEN regexp_matches({time}::VARCHAR, '(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)\\s*$')
                  THEN TRY_CAST({time}::VARCHAR AS TIMESTAMPTZ)
                  ELSE timezone($zone, TRY_CAST({time}::VARCHAR AS TIMESTAMP)) END AS moment,
             {value}::VARCHAR AS word, {status} AS status
      FROM {read})
"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_LINE: Final = re.compile(r"((?:[^\s\\]|\\.)+) +((?:[^\s\"]|\"(?:[^\"\\]|\\.)*\")+)(?: +(-?\d+))?\s*$")
_FIELD: Final = re.compile(r"((?:[^=,\\]|\\.)+)=(\"(?:[^\"\\]|\\.)*\"|[^,]*)(?:,|$)")


def _lines(path: Path) -> Iterator[_Piece]:
    """Pieces of a file of InfluxDB line protocol; a field becomes the tag `measurement,set.field`."""
    rows: list[tuple[str, int, str]] = []
    unread = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.strip() or line.startswith("#"):
                continue
            found = list(_fields(line))
            unread += not found
            rows += found
            if len(rows) >= ROWS:
                yield _Piece(_table(rows), unread)
                rows, unread = [], 0
    yield _Piece(_table(rows), unread)


def _fields(line: str) -> Iterator[tuple[str, int, str]]:
    match = _LINE.match(line)
    if match is None or match[3] is None:
        return
    series = re.sub(r"\\(.)", r"\1", match[1])
    for field, value in _FIELD.findall(match[2]):
        if value.startswith('"'):
            text = re.sub(r"\\([\"\\])", r"\1", value[1:-1])
        else:
            truth = {"t": "1", "true": "1", "f": "0", "false": "0"}.get(value.lower())
            text = truth or (value[:-1] if value[-1:] in "iu" else value)
        yield f"{series}.{field}", int(match[3]), text


def _table(rows: list[tuple[str, int, str]]) -> pa.Table:
    names, times, words = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "time_ns": pa.array(times, pa.int64()),
            "word": pa.array(words, pa.string()),
            "status": pa.array([GOOD] * len(rows), pa.int64()),
        }
    )
