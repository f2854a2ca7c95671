"""Bytes on disk and on the wire never change: what was written years ago reads the same today."""

import math
import struct

import pyarrow as pa
import pytest
from frozen import BURSTS, COLUMNS, FRAMES
from golden import BATCHES, CASES, EPOCH, ODD_NAN, START, vibration

from isthmus.wire import bursts, columns
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind


def same(left: pa.RecordBatch, right: pa.RecordBatch) -> bool:
    """Equal bit by bit, every NaN included."""
    return (
        left.schema == right.schema
        and left.num_rows == right.num_rows
        and columns.encode(left) == columns.encode(right)
    )


@pytest.mark.parametrize("name", BATCHES)
def test_columns_are_written_as_they_always_were(name: str) -> None:
    assert columns.encode(BATCHES[name]()).hex() == COLUMNS[name]


@pytest.mark.parametrize("name", BATCHES)
def test_columns_written_long_ago_read_the_same(name: str) -> None:
    batch = BATCHES[name]()
    assert same(columns.decode(bytes.fromhex(COLUMNS[name]), batch.num_rows), batch)


@pytest.mark.parametrize("name", CASES)
def test_frames_written_long_ago_read_the_same(name: str) -> None:
    # Only reading is frozen: another zstd may compress otherwise, and every zstd reads it.
    old, end = frames.unpack_from(bytes.fromhex(FRAMES[name]))
    new = CASES[name]()
    assert end == len(FRAMES[name]) // 2
    assert old._replace(payload=b"") == new._replace(payload=b"")
    if old.kind is FrameKind.SAMPLES:
        assert same(frames.samples(old), frames.samples(new))
    elif old.kind is FrameKind.WAVEFORM:
        assert bursts.encode(frames.samples(old)) == bursts.encode(frames.samples(new))
    elif old.kind is FrameKind.RECORDS:
        assert frames.records(old) == frames.records(new)
    else:
        assert frames.dictionary(old) == frames.dictionary(new)


def test_bursts_are_written_as_they_always_were_and_read_the_same() -> None:
    batch = vibration()
    assert bursts.encode(batch).hex() == BURSTS
    back = bursts.decode(bytes.fromhex(BURSTS), batch.num_rows)
    assert bursts.encode(back) == bursts.encode(batch)
    assert back.column("value").to_pylist()[1:] == [[], [-32768.0, 0.0, 32767.0], None]
    for end in range(len(BURSTS) // 2):
        with pytest.raises(ValueError, match=r"end too early|outside|bursts|interval"):
            bursts.decode(bytes.fromhex(BURSTS)[:end], batch.num_rows)


def test_the_header_stands_as_the_page_draws_it() -> None:
    data = bytes.fromhex(FRAMES["f64"])
    magic, length = struct.unpack_from("<4sI", data, 0)
    source, epoch, seq, first_ns, rows, kind, flags = struct.unpack_from("<IQQqIHH", data, 12)
    assert (magic, length) == (b"ISF1", len(data) - 48)
    assert (source, epoch, seq, first_ns) == (frames.source_id("press"), EPOCH, 1, START)
    assert (rows, kind, flags) == (6, 2, 0)


def test_every_nan_comes_back_bit_by_bit() -> None:
    value = columns.decode(bytes.fromhex(COLUMNS["f64"]), 6).column("value")
    back = value.to_numpy(zero_copy_only=False)[3]
    assert math.isnan(back)
    assert struct.pack("<d", back) == struct.pack("<d", ODD_NAN)
