"""The column encoding of a frame of samples: frame of reference, narrow, split into byte planes.

Our own, and not Arrow IPC, because bytes on disk must not change with a library. Drawn in
docs/formats/frame.md. Every encoding is exact, NaN payloads and infinities included.

    value kind u8 | row count u32 | tag column | time column | status column | value column

    integer column   1 constant: value i64
                     2 plain:    base i64, width u8, rows * width bytes in byte planes (x - base)
                     3 delta:    first i64, base i64, width u8, (rows - 1) * width bytes in planes
    value column     0 | 1 validity flag, then a bitmap of ceil(rows / 8) bytes where the flag is 1
                     f64: 8 byte planes;  bool: bitmap;  i64: an integer column
                     str: an integer column of codes, count u32, lengths u32 each, UTF-8 bytes
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.model.samples import ValueKind, kind_of
from isthmus.model.samples import columns as make_batch

_KINDS: Final = (ValueKind.F64, ValueKind.I64, ValueKind.BOOL, ValueKind.STR)
MAX_ROWS: Final = 1_000_000
"""Rows that one frame may hold."""
_CONSTANT, _PLAIN, _DELTA = 1, 2, 3
_INTEGER_COLUMNS: Final = ("tag", "time_ns", "status")
_I64: Final = struct.Struct("<q")
_U32: Final = struct.Struct("<I")


def encode(batch: pa.RecordBatch) -> bytes:
    """The batch as bytes, before compression."""
    kind, rows = kind_of(batch), batch.num_rows
    parts = [bytes([_KINDS.index(kind)]), _U32.pack(rows)]
    parts += [encode_integers(batch.column(name).to_numpy().astype(np.int64)) for name in _INTEGER_COLUMNS]
    value = batch.column("value")
    valid = value.is_valid().to_numpy(zero_copy_only=False) if value.null_count else None
    parts.append(b"\0" if valid is None else b"\1" + np.packbits(valid).tobytes())
    parts.append(_encode_values(kind, value))
    return b"".join(parts)


def decode(data: bytes, rows: int) -> pa.RecordBatch:
    """The batch of `rows` samples that `encode` wrote. Raises ValueError when the bytes are no such thing."""
    reader = Reader(data)
    code = reader.take(1)[0]
    if code >= len(_KINDS):
        msg = f"value kind {code} is unknown"
        raise ValueError(msg)
    kind, found = _KINDS[code], reader.u32()
    if found != rows or rows > MAX_ROWS:
        # Three bytes can claim four thousand million rows; memory is only given for what the header says too.
        msg = f"{found} rows where the frame says {rows} (at most {MAX_ROWS})"
        raise ValueError(msg)
    tag, time_ns, status = (decode_integers(reader, rows) for _ in range(3))
    if rows and not (tag.min() >= 0 and tag.max() < 2**31 and status.min() >= 0 and status.max() < 2**32):
        msg = "a tag number or a status is out of its range"
        raise ValueError(msg)
    valid = None
    if reader.take(1)[0]:
        valid = np.unpackbits(reader.array(np.uint8, (rows + 7) // 8), count=rows).astype(bool)
    value = _decode_values(kind, reader, rows, valid)
    reader.expect_end()
    return make_batch(kind, tag.astype(np.int32), time_ns, status.astype(np.uint32), value)


class Reader:
    """Walks over the bytes; a read past the end is a ValueError, never a short answer."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size < 0 or self._at + size > len(self._data):
            msg = "the columns end too early"
            raise ValueError(msg)
        self._at += size
        return self._data[self._at - size : self._at]

    def expect_end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            msg = f"{len(self._data) - self._at} bytes stand behind the columns"
            raise ValueError(msg)

    def u32(self) -> int:
        """The next u32."""
        return int(_U32.unpack(self.take(4))[0])

    def i64(self) -> int:
        """The next i64."""
        return int(_I64.unpack(self.take(8))[0])

    def array(self, dtype: Any, count: int) -> NDArray[Any]:  # noqa: ANN401  numpy's own type for dtypes is as wide
        """The next `count` numbers of a type."""
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)


def encode_integers(values: NDArray[np.int64]) -> bytes:
    """An integer column."""
    if not len(values) or (values == values[0]).all():
        return bytes([_CONSTANT]) + _I64.pack(int(values[0]) if len(values) else 0)
    plain = _planes(values)
    # The difference may wrap around 64 bits; adding it back wraps the same way, so it is exact.
    delta = _planes(np.diff(values))
    if len(delta) + 8 < len(plain):
        return bytes([_DELTA]) + _I64.pack(int(values[0])) + delta
    return bytes([_PLAIN]) + plain


def decode_integers(reader: Reader, rows: int) -> NDArray[np.int64]:
    """The integer column that stands next. Raises ValueError."""
    code = reader.take(1)[0]
    if code == _CONSTANT:
        return np.full(rows, reader.i64(), np.int64)
    if code == _PLAIN:
        return _from_planes(reader, rows)
    if code == _DELTA and rows:
        out = np.empty(rows, np.int64)
        out[0] = reader.i64()
        out[1:] = _from_planes(reader, rows - 1)
        return np.cumsum(out, dtype=np.int64)
    msg = f"integer encoding {code} is unknown"
    raise ValueError(msg)


def _planes(values: NDArray[np.int64]) -> bytes:
    """Base, width, then the bytes of (value - base), all first bytes before all second bytes."""
    base = int(values.min())
    above = values.view(np.uint64) - np.uint64(base & 0xFFFF_FFFF_FFFF_FFFF)
    width = (int(above.max()).bit_length() + 7) // 8
    planes = above.view(np.uint8).reshape(-1, 8)[:, :width].T
    return _I64.pack(base) + bytes([width]) + np.ascontiguousarray(planes).tobytes()


def _from_planes(reader: Reader, rows: int) -> NDArray[np.int64]:
    base, width = reader.i64(), reader.take(1)[0]
    if width > 8:  # noqa: PLR2004  bytes in an int64
        msg = f"an integer of {width} bytes"
        raise ValueError(msg)
    wide = np.zeros((rows, 8), np.uint8)
    wide[:, :width] = reader.array(np.uint8, rows * width).reshape(width, rows).T
    return (wide.view(np.uint64).ravel() + np.uint64(base & 0xFFFF_FFFF_FFFF_FFFF)).view(np.int64)


def _encode_values(kind: ValueKind, value: pa.Array) -> bytes:
    if kind is ValueKind.STR:
        packed = pc.dictionary_encode(pc.fill_null(value, ""))
        words = [word.encode() for word in packed.dictionary.to_pylist()]
        lengths = np.array([len(word) for word in words], np.uint32).tobytes()
        codes = encode_integers(packed.indices.to_numpy().astype(np.int64))
        return codes + _U32.pack(len(words)) + lengths + b"".join(words)
    if kind is ValueKind.BOOL:
        return np.packbits(pc.fill_null(value, False).to_numpy(zero_copy_only=False)).tobytes()  # noqa: FBT003
    if kind is ValueKind.I64:
        return encode_integers(pc.fill_null(value, 0).to_numpy())
    floats = pc.fill_null(value, 0.0).to_numpy() if value.null_count else value.to_numpy()
    return np.ascontiguousarray(floats.view(np.uint8).reshape(-1, 8).T).tobytes()


def _decode_values(kind: ValueKind, reader: Reader, rows: int, valid: NDArray[np.bool_] | None) -> pa.Array:
    mask = None if valid is None else ~valid
    if kind is ValueKind.F64:
        planes = reader.array(np.uint8, rows * 8).reshape(8, rows)
        return pa.array(np.ascontiguousarray(planes.T).view(np.float64).ravel(), mask=mask)
    if kind is ValueKind.I64:
        return pa.array(decode_integers(reader, rows), mask=mask)
    if kind is ValueKind.BOOL:
        bits = np.unpackbits(reader.array(np.uint8, (rows + 7) // 8), count=rows).astype(bool)
        return pa.array(bits, mask=mask)
    codes = decode_integers(reader, rows)
    lengths = reader.array(np.uint32, reader.u32())
    words = [reader.take(int(length)).decode() for length in lengths]
    if len(codes) and not (codes.min() >= 0 and codes.max() < len(words)):
        msg = "a text code points outside its words"
        raise ValueError(msg)
    return pa.array(words, pa.string()).take(pa.array(codes, mask=mask)) if words else pa.nulls(rows, pa.string())
