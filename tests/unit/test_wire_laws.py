"""Laws of the wire: what is encoded comes back exactly, and no bytes whatever bring a reader down."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from isthmus.model.errors import StoreDamaged
from isthmus.model.samples import ValueKind, columns
from isthmus.wire import columns as encoding
from isthmus.wire import frame as frames
from isthmus.wire.frame import HEADER, Frame, FrameKind
from isthmus.wire.link import Answer

INT64 = some.integers(-(2**63), 2**63 - 1)
VALUES: dict[ValueKind, some.SearchStrategy[Any]] = {
    ValueKind.F64: some.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
    ValueKind.I64: INT64,
    ValueKind.BOOL: some.booleans(),
    ValueKind.STR: some.text(max_size=20),
}


@some.composite
def batches(draw: some.DrawFn) -> pa.RecordBatch:
    kind = draw(some.sampled_from([kind for kind in ValueKind if kind is not ValueKind.WAVEFORM]))
    value = VALUES[kind] if draw(some.booleans()) else some.none() | VALUES[kind]
    row = some.tuples(some.integers(0, 2**31 - 1), INT64, some.integers(0, 2**32 - 1), value)
    tag, time, status, values = zip(*draw(some.lists(row, min_size=1, max_size=40)), strict=True)
    return columns(kind, np.array(tag, np.int32), np.array(time, np.int64), np.array(status, np.uint32), list(values))


def bits(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Rows that compare bit by bit, so that a NaN equals itself."""
    rows = [tuple(row.values()) for row in batch.to_pylist()]
    return [(*row[:3], struct.pack("<d", row[3]) if isinstance(row[3], float) else row[3]) for row in rows]


@given(batches())
def test_samples_come_back_exactly(batch: pa.RecordBatch) -> None:
    frame, end = frames.unpack_from(frames.pack(frames.of_samples(1, 2, 3, batch)))
    assert bits(frames.samples(frame)) == bits(batch)
    assert frame.rows == batch.num_rows
    assert end == HEADER.size + len(frame.payload)


@given(batches(), some.data())
def test_a_frame_cut_short_or_changed_anywhere_is_never_believed(batch: pa.RecordBatch, data: some.DataObject) -> None:
    packed = bytearray(frames.pack(frames.of_samples(1, 2, 3, batch)))
    at = data.draw(some.integers(0, len(packed) - 1))
    with pytest.raises(EOFError):
        frames.unpack_from(bytes(packed[:at]))
    packed[at] ^= 1 << data.draw(some.integers(0, 7))
    with pytest.raises((EOFError, StoreDamaged)):
        frames.unpack_from(bytes(packed))


@given(some.binary(max_size=300))
def test_random_bytes_never_crash_the_reader_of_frames(data: bytes) -> None:
    with contextlib.suppress(StoreDamaged):
        list(frames.unpack_all(data))


@settings(max_examples=300)
@given(some.binary(max_size=120), some.sampled_from([1, 2, 3]), some.integers(0, 2**32 - 1), some.booleans())
def test_a_payload_of_random_bytes_is_damage_and_nothing_else(data: bytes, kind: int, rows: int, squeeze: bool) -> None:  # noqa: FBT001
    payload = frames._deflate(data) if squeeze else data
    frame = Frame(1, 2, 3, 0, rows, FrameKind(kind), payload)
    read = {1: frames.dictionary, 2: frames.samples, 3: frames.records}[kind]
    with contextlib.suppress(StoreDamaged):
        read(frame)


@given(batches(), some.data())
def test_columns_with_any_byte_changed_decode_or_are_refused(batch: pa.RecordBatch, data: some.DataObject) -> None:
    raw = bytearray(encoding.encode(batch))
    for _ in range(data.draw(some.integers(1, 3))):
        raw[data.draw(some.integers(0, len(raw) - 1))] = data.draw(some.integers(0, 255))
    with contextlib.suppress(ValueError):
        assert encoding.decode(bytes(raw), batch.num_rows).num_rows == batch.num_rows


def test_a_payload_that_claims_four_thousand_million_rows_gets_no_memory() -> None:
    raw = bytes([1]) + struct.pack("<I", 2**32 - 1) + (b"\x01" + bytes(8)) * 3 + b"\0" + b"\x01" + bytes(8)
    frame = Frame(1, 2, 3, 0, 2**32 - 1, FrameKind.SAMPLES, frames._deflate(raw))
    with pytest.raises(StoreDamaged, match="rows"):
        frames.samples(frame)


@given(some.binary(max_size=200))
def test_random_bytes_are_never_taken_for_an_answer_of_the_site(data: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError):
        assert isinstance(msgspec.json.decode(data, type=Answer), Answer)
