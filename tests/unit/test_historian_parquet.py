"""Sealed segments: every value comes back with the very same bits, in a format that any engine reads."""

from __future__ import annotations

import struct
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.model.errors import StoreDamaged
from isthmus.site.historian.memory.rows import INT, NONE, REAL, TEXT, Rows, Words
from isthmus.site.historian.sealed import parquet

DAY = 20_400 * 86_400_000_000_000


def bits_of(number: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


REALS = st.one_of(
    st.floats(width=64).map(bits_of),
    st.integers(-(2**63), 2**63 - 1),  # any payload of NaN
    st.integers(-(10**9), 10**9).map(lambda whole: bits_of(whole / 100)),
    st.sampled_from([bits_of(number) for number in (0.0, -0.0, 1e300, 2.0**53, 0.1 + 0.2)]),
)
CELLS = st.one_of(
    st.tuples(st.just(REAL), REALS),
    st.tuples(st.just(INT), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(TEXT), st.text(max_size=5)),
    st.tuples(st.just(NONE), st.just(0)),
)
STEPS = st.sampled_from([1, 1_000, 1_000_000])


def rows_of(cells: list[tuple[int, int | str]], tags: list[int], step: int) -> Rows:
    words = Words()
    bits = [int(words.index([value])[0]) if isinstance(value, str) else value for _, value in cells]
    return Rows(
        np.array(sorted(tags[: len(cells)]), np.int32),
        DAY + np.arange(len(cells), dtype=np.int64) * step,
        np.arange(len(cells)).astype(np.uint32) * 0x40900000,
        np.array([form for form, _ in cells], np.uint8),
        np.array(bits, np.int64),
        words,
    )


def values(rows: Rows) -> list[tuple[int, int, int, int, int | str]]:
    return [
        (tag, time_ns, status, form, rows.words.list[bits] if form == TEXT else bits)
        for tag, time_ns, status, form, bits in zip(*(column.tolist() for column in rows[:5]), strict=True)
    ]


@settings(deadline=None, max_examples=50)
@given(st.lists(CELLS, min_size=1, max_size=60), st.lists(st.integers(0, 4), min_size=60, max_size=60), STEPS)
def test_every_value_time_and_status_comes_back_with_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[int, int | str]], tags: list[int], step: int
) -> None:
    rows = rows_of(cells, tags, step)
    path = tmp_path_factory.getbasetemp() / "segment.parquet"
    parquet.write(path, rows)
    assert values(parquet.SegmentFile(path).read(Words())) == values(rows)


def test_decimals_whole_numbers_and_strays_stand_where_the_format_says(tmp_path: Path) -> None:
    cells: list[tuple[int, int | str]] = [(REAL, bits_of(n / 100)) for n in range(99)]
    cells += [(REAL, bits_of(0.1 + 0.2)), (INT, 2**60 + 1), (TEXT, "Held"), (NONE, 0)]
    path = tmp_path / "segment.parquet"
    parquet.write(path, rows_of(cells, [1] * 100 + [2, 3, 4], 1_000_000))
    table = pq.read_table(path)
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"
    assert table["i"].to_pylist()[:99] == [n * 100 for n in range(99)]
    assert set(table["e"].to_pylist()[:99]) == {4}
    assert table["f"].to_pylist()[99] == 0.1 + 0.2
    assert table["i"].to_pylist()[100] == 2**60 + 1
    assert table["e"].to_pylist()[100] is None
    assert table["s"].to_pylist()[101:] == ["Held", None]


def test_another_engine_reads_the_same_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    numbers = np.round(rng.normal(50, 10, 500), 2)
    path = tmp_path / "segment.parquet"
    parquet.write(path, rows_of([(REAL, bits_of(number)) for number in numbers.tolist()], [1] * 500, 1_000))
    query = "SELECT coalesce(f, i / pow(10::DOUBLE, e)) FROM read_parquet(?) ORDER BY time"
    found = duckdb.execute(query, [str(path)]).fetchall()
    assert [number for (number,) in found] == numbers.tolist()


def test_a_flipped_byte_is_told_or_does_no_harm_but_never_reads_as_another_number(tmp_path: Path) -> None:
    path = tmp_path / "segment.parquet"
    parquet.write(path, rows_of([(REAL, bits_of(n * 0.1)) for n in range(1000)], [1] * 1000, 1_000))
    right = values(parquet.SegmentFile(path).read(Words()))
    data = path.read_bytes()
    told = 0
    offsets = range(0, len(data), len(data) // 100)
    for offset in offsets:
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])
        try:
            assert values(parquet.SegmentFile(path).read(Words())) == right
        except StoreDamaged as error:
            assert "isthmus history mend" in str(error)  # noqa: PT017  some flips do no harm
            told += 1
    assert told > len(offsets) * 0.9
