"""Bursts of fast signals: a vibration sensor's thousands of readings are one row, never one sample each.

    tag          int32            as in samples.py
    time_ns      int64            the time of the first reading
    status       uint32           OPC UA StatusCode of the whole burst
    interval_ns  float64          the time between two readings; 39,062.5 at 25.6 kHz
    value        list of float32  the readings in order, null where the burst carries none

float32 holds what any converter of 24 bits gives; whole numbers of 16 bits take two bytes on wire and
disk. A device that gives doubles is read to seven digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from isthmus.model.samples import SCHEMA, ValueKind
from isthmus.model.time import NS_PER_S

MOST_READINGS: Final = 4_000_000
"""Readings that one burst may have: 16 MB."""


def bursts(
    tag: ArrayLike,
    time_ns: ArrayLike,
    status: ArrayLike,
    interval_ns: ArrayLike,
    value: Sequence[Any] | pa.Array,
) -> pa.RecordBatch:
    """Build the columns of bursts; all inputs have one entry a burst, None for one without a value.

    Raises ValueError when a burst with a value has an interval that is no time, or has too many readings.
    """
    schema = SCHEMA[ValueKind.WAVEFORM]
    arrow = value if isinstance(value, pa.Array) else pa.array(value, type=schema.field("value").type)
    interval = np.asarray(interval_ns, np.float64)
    with_value = arrow.is_valid().to_numpy(zero_copy_only=False)
    if not (np.isfinite(interval) & (interval > 0))[with_value].all():
        msg = "a burst needs the time between two of its readings, in ns and above 0"
        raise ValueError(msg)
    longest = max((length.as_py() or 0 for length in arrow.value_lengths()), default=0)
    if longest > MOST_READINGS:
        msg = f"a burst of {longest:,} readings is longer than the {MOST_READINGS:,} that one may have"
        raise ValueError(msg)
    arrays = [
        pa.array(np.asarray(tag, np.int32)),
        pa.array(np.asarray(time_ns, np.int64)),
        pa.array(np.asarray(status, np.uint32)),
        pa.array(interval),
        arrow,
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def readings(row: pa.ListScalar) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The readings of one burst, shape (readings,); empty for one without a value."""
    return row.values.to_numpy(zero_copy_only=False) if row.is_valid else np.empty(0, np.float32)


def in_words(batch: pa.RecordBatch) -> list[str | None]:
    """Each burst as a page says it: how long, how fast, how strong (root of the mean square)."""
    out: list[str | None] = []
    for interval_ns, row in zip(batch.column("interval_ns").to_pylist(), batch.column("value"), strict=True):
        values = readings(row).astype(np.float64)
        if not len(values):
            out.append(None)
            continue
        rms = float(np.sqrt(np.mean(values * values)))
        out.append(f"{len(values):,} readings at {NS_PER_S / interval_ns:,.6g} Hz, rms {rms:.4g}")
    return out
