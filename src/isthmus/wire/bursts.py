"""The encoding of a frame of bursts; drawn in docs/formats/frame.md. Every encoding is exact.

    all           bursts u32 | tag column | time column | status column, as in columns.py
    each burst    encoding u8 | interval f64, ns | readings u32 | the readings
    encodings     0 no value, 1 float32 in four byte planes, 2 whole numbers of 16 bits in two byte planes

Behind the columns the bursts stand one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model import waveforms
from isthmus.wire.columns import MAX_ROWS, Reader, decode_integers, encode_integers

_NONE, _F32, _I16 = 0, 1, 2
_BURST: Final = struct.Struct("<BdI")
_COUNT: Final = struct.Struct("<I")
_WIDTH: Final[Mapping[int, np.dtype[Any]]] = {_F32: np.dtype("<f4"), _I16: np.dtype("<i2")}


def encode(batch: pa.RecordBatch) -> bytes:
    """The batch as bytes, before compression."""
    columns = (batch.column(name).to_numpy().astype(np.int64) for name in ("tag", "time_ns", "status"))
    parts = [_COUNT.pack(batch.num_rows), *map(encode_integers, columns)]
    for interval_ns, row in zip(batch.column("interval_ns").to_pylist(), batch.column("value"), strict=True):
        if not row.is_valid:
            parts.append(_BURST.pack(_NONE, interval_ns, 0))
            continue
        values = waveforms.readings(row)
        encoding = _I16 if whole(values) else _F32
        packed = np.ascontiguousarray(values.astype(_WIDTH[encoding]))
        parts.append(_BURST.pack(encoding, interval_ns, len(values)))
        parts.append(np.ascontiguousarray(packed.view(np.uint8).reshape(-1, packed.itemsize).T).tobytes())
    return b"".join(parts)


def whole(values: NDArray[np.float32]) -> bool:
    """Whether every reading is a whole number of 16 bits; a negative zero is none."""
    with np.errstate(invalid="ignore"):
        within = (values >= -(2**15)) & (values < 2**15)
    if not within.all():
        return False
    return bool((values == np.trunc(values)).all() and not (np.signbit(values) & (values == 0)).any())


def decode(data: bytes, rows: int) -> pa.RecordBatch:
    """The batch of `rows` bursts that `encode` wrote. Raises ValueError when the bytes are no such thing."""
    reader = Reader(data)
    found = reader.u32()
    if found != rows or rows > MAX_ROWS:
        msg = f"{found} bursts where the frame says {rows} (at most {MAX_ROWS})"
        raise ValueError(msg)
    tag, time_ns, status = (decode_integers(reader, rows) for _ in range(3))
    if rows and not (tag.min() >= 0 and tag.max() < 2**31 and status.min() >= 0 and status.max() < 2**32):
        msg = "a tag number or a status is out of its range"
        raise ValueError(msg)
    intervals: list[float] = []
    values: list[NDArray[np.float32] | None] = []
    for _ in range(rows):
        encoding, interval_ns, count = _BURST.unpack(reader.take(_BURST.size))
        if encoding not in {_NONE, _F32, _I16}:
            msg = f"burst encoding {encoding} is unknown"
            raise ValueError(msg)
        intervals.append(interval_ns)
        values.append(None if encoding == _NONE else _readings(reader, _WIDTH[encoding], count))
    reader.expect_end()
    return waveforms.bursts(tag, time_ns, status.astype(np.uint32), intervals, values)


def _readings(reader: Reader, dtype: np.dtype[np.generic], count: int) -> NDArray[np.float32]:
    planes = reader.array(np.uint8, count * dtype.itemsize).reshape(dtype.itemsize, count)
    return np.ascontiguousarray(planes.T).view(dtype).ravel().astype(np.float32)
