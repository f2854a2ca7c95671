"""Samples are columns: what a source emits, what crosses the boundary and what history keeps.

One batch holds one value kind. Its columns are

    tag      int32    which signal; counts from 0 in the source's dictionary, or the site's tag id after ingest
    time_ns  int64    the source's time, ns since 1970 UTC
    status   uint32   OPC UA StatusCode
    value    float64 | int64 | bool | string, null where the sample carries no value

A burst of a fast signal is one row, its value the list of its readings; see waveforms.py. NaN never means bad; the status does. Rows stand in the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from isthmus.model import status as st


class ValueKind(StrEnum):
    """What sort of value a tag has. It never changes within an epoch."""

    F64 = "f64"
    I64 = "i64"
    BOOL = "bool"
    STR = "str"
    WAVEFORM = "waveform"
    """Bursts, one row each: kept beside samples, and never given to folds; see waveforms.py."""


_ARROW: Final[Mapping[ValueKind, pa.DataType]] = {
    ValueKind.F64: pa.float64(),
    ValueKind.I64: pa.int64(),
    ValueKind.BOOL: pa.bool_(),
    ValueKind.STR: pa.string(),
    ValueKind.WAVEFORM: pa.list_(pa.float32()),
}
_FIRST: Final = (
    pa.field("tag", pa.int32(), nullable=False),
    pa.field("time_ns", pa.int64(), nullable=False),
    pa.field("status", pa.uint32(), nullable=False),
)
_INTERVAL: Final = pa.field("interval_ns", pa.float64(), nullable=False)

SCHEMA: Final[Mapping[ValueKind, pa.Schema]] = {
    kind: pa.schema(
        [*_FIRST, *([_INTERVAL] if kind is ValueKind.WAVEFORM else []), pa.field("value", arrow, nullable=True)]
    )
    for kind, arrow in _ARROW.items()
}


TimeOf = Literal["source", "arrival"]


class TagInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a dictionary says of one tag: enough to read its samples without the plant file."""

    name: str
    """`source/tag`, as the plant file and every page write it."""
    kind: ValueKind
    unit: str = ""
    """The unit that the device speaks, "" for none. History keeps that unit; readers convert."""
    time_of: TimeOf = "source"
    """Whose clock stamped the samples: the device's, or the edge's at the reply's arrival."""
    step: bool = True
    """True when a value holds until the next (states, counters); False when it moves in a line between."""


class Batch(NamedTuple):
    """Samples of one value kind with where they came from.

    `source`, `epoch` and `seq` name the batch for ever: a repeat is recognised by them.
    """

    source: int
    epoch: int
    seq: int
    received_ns: int
    columns: pa.RecordBatch


def columns(
    kind: ValueKind,
    tag: ArrayLike,
    time_ns: ArrayLike,
    status: ArrayLike,
    value: ArrayLike | Sequence[Any] | pa.Array,
) -> pa.RecordBatch:
    """Build the Arrow columns of one value kind; all inputs have shape (samples,).

    `value` may be an Arrow array, a numpy array (no nulls), or a list with None for "no value".
    Raises ValueError when the lengths differ, and pyarrow's errors when a value is not of the kind.
    For bursts take waveforms.bursts: here their interval is 0, which only one without a value may have.
    """
    arrow = value if isinstance(value, pa.Array) else pa.array(value, type=_ARROW[kind])
    arrays = [
        pa.array(np.asarray(tag, dtype=np.int32)),
        pa.array(np.asarray(time_ns, dtype=np.int64)),
        pa.array(np.asarray(status, dtype=np.uint32)),
        arrow,
    ]
    if kind is ValueKind.WAVEFORM:
        arrays.insert(3, pa.array(np.zeros(len(arrow))))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA[kind])


def kind_of(batch: pa.RecordBatch) -> ValueKind:
    """The value kind of a batch made by `columns`."""
    value = batch.schema.field("value").type
    for kind, arrow in _ARROW.items():
        if value == arrow:
            return kind
    msg = f"a batch with values of type {value} is none of {', '.join(ValueKind)}"
    raise ValueError(msg)


def no_value(kind: ValueKind, tags: ArrayLike, time_ns: int, status: int) -> pa.RecordBatch:
    """One sample without a value for each of `tags`, all at one moment: how a lost device is told."""
    tag = np.asarray(tags, dtype=np.int32)
    rows = len(tag)
    return columns(
        kind,
        tag,
        np.full(rows, time_ns, np.int64),
        np.full(rows, status, np.uint32),
        pa.nulls(rows, _ARROW[kind]),
    )


class Series(NamedTuple):
    """One tag's samples in time order, each time once; every array has shape (samples,).

    `value` has dtype float64, int64, bool or object (strings); it means something only where `has_value`.
    """

    time_ns: NDArray[np.int64]
    status: NDArray[np.uint32]
    value: NDArray[Any]
    has_value: NDArray[np.bool_]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which samples carry a value that may be believed, shape (samples,)."""
        return self.has_value & ~st.bad_mask(self.status)


class Samples(msgspec.Struct, frozen=True):
    """What a fold is given: the samples of its tags within [start_ns, end_ns), tag name to series.

    A tag without samples in the stretch is absent.
    """

    start_ns: int
    end_ns: int
    series: Mapping[str, Series]
