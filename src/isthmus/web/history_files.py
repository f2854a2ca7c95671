"""Many rows of history as one file, made piece by piece on disk: what one export takes of memory has a bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from tempfile import TemporaryFile
from typing import IO, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

PIECE_ROWS: Final = 500_000
"""Rows that are read at once; a piece takes some 50 MB."""
_CHUNK: Final = 1 << 18


class Piece(NamedTuple):
    """Some tags within [start_ns, end_ns)."""

    tags: list[int]
    start_ns: int
    end_ns: int


def pieces(days: pa.Table, tags: Sequence[int], start_ns: int, end_ns: int) -> Iterator[Piece]:
    """What is asked, cut so that no piece has many more rows than PIECE_ROWS, in (tag, time) order.

    `days` has tag, bucket_ns and n, the rows of each day, in order.
    """
    counted = days.group_by("tag").aggregate([("n", "sum")])
    rows = dict(zip(counted["tag"].to_pylist(), counted["n_sum"].to_pylist(), strict=True))
    together: list[int] = []
    weight = 0
    for tag in sorted(set(tags)):
        its = rows.get(tag, 0)
        if together and weight + its > PIECE_ROWS:
            yield Piece(together, start_ns, end_ns)
            together, weight = [], 0
        if its > PIECE_ROWS:
            yield from _of_one(days.filter(pc.equal(days["tag"], tag)), tag, start_ns, end_ns)
        else:
            together.append(tag)
            weight += its
    if together:
        yield Piece(together, start_ns, end_ns)


def _of_one(days: pa.Table, tag: int, start_ns: int, end_ns: int) -> Iterator[Piece]:
    since, weight = start_ns, 0
    for day_ns, rows in zip(days["bucket_ns"].to_pylist(), days["n"].to_pylist(), strict=True):
        if weight and weight + rows > PIECE_ROWS:
            yield Piece([tag], since, day_ns)
            since, weight = day_ns, 0
        weight += rows
    yield Piece([tag], since, end_ns)


def on_disk(tables: Iterable[pa.Table], form_at: str) -> Iterator[bytes]:
    """Tables of one schema as one file, whole on disk, in chunks. Raises OSError when the disk is full."""
    file = TemporaryFile()  # noqa: SIM115  it is closed, and so gone, when it was sent
    try:
        _write(file, iter(tables), form_at)
    except BaseException:
        file.close()
        raise
    return _chunks(file)


def _write(file: IO[bytes], tables: Iterator[pa.Table], form_at: str) -> None:
    first = next(tables)
    with _writer(file, first.schema, form_at) as writer:
        writer.write_table(_plain(first) if form_at == "csv" else first)
        for each in tables:
            writer.write_table(_plain(each) if form_at == "csv" else each)
    file.flush()


def _writer(file: IO[bytes], schema: pa.Schema, form_at: str) -> Any:  # noqa: ANN401  three classes with one method
    if form_at == "parquet":
        return pq.ParquetWriter(file, schema, compression="zstd")
    return pa.ipc.new_stream(file, schema) if form_at == "arrow" else pyarrow.csv.CSVWriter(file, schema)


def _plain(table: pa.Table) -> pa.Table:
    """No text begins like a formula, for whoever opens it with a spreadsheet."""
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            told = table.column(at)
            formula = pc.match_substring_regex(told, r"^[=+\-@\t]")
            guarded = pc.if_else(formula, pc.binary_join_element_wise("'", told, ""), told)
            table = table.set_column(at, field, guarded)
    return table


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    with closing(file):
        while chunk := file.read(_CHUNK):
            yield chunk
