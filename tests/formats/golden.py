"""Frames whose bytes are frozen, and the raw columns of samples beneath the compression."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping

import pyarrow as pa

from isthmus.model.records.edge import LinkChanged
from isthmus.model.samples import TagInfo, ValueKind, columns
from isthmus.model.waveforms import bursts
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary, Frame

ODD_NAN = struct.unpack("<d", bytes.fromhex("efbeadde0000f87f"))[0]
EPOCH = 1_795_340_000_000_000_000
START = 1_795_340_000_123_456_789


def floats() -> pa.RecordBatch:
    return columns(
        ValueKind.F64,
        [0, 1, 2, 0, 1, 2],
        [START + n * 1_000_000 for n in range(6)],
        [0, 0, 0x40000000, 0, 0x80310000, 0],
        pa.array([1.5, -0.0, math.inf, ODD_NAN, None, 21.75]),
    )


def integers() -> pa.RecordBatch:
    return columns(
        ValueKind.I64, [7] * 4, [START, START, START - 5, START + 9], [0] * 4, [-(2**63), 2**63 - 1, 0, 2**53 + 1]
    )


def switches() -> pa.RecordBatch:
    return columns(
        ValueKind.BOOL, range(9), [START] * 9, [0] * 9, [True, False, True, True, None, False, True, False, True]
    )


def words() -> pa.RecordBatch:
    return columns(ValueKind.STR, [3] * 5, [START + n for n in range(5)], [0] * 5, ["RUN", "Störung", "RUN", "", None])


def vibration() -> pa.RecordBatch:
    return bursts(
        [4, 4, 5, 6],
        [START, START + 60_000_000_000, START, START],
        [0, 0, 0x40000000, 0x80310000],
        [39062.5, 39062.5, 1e6, 0.0],
        [[0.5, -1.25, ODD_NAN, math.inf, -0.0], [], [-32768.0, 0.0, 32767.0], None],
    )


def dictionary() -> Frame:
    tags = (
        (0, TagInfo(name="press/force", kind=ValueKind.F64, unit="kN", step=False)),
        (1, TagInfo(name="press/parts", kind=ValueKind.I64, time_of="arrival")),
    )
    return frames.of_dictionary(frames.source_id("press"), EPOCH, 1, Dictionary("press", "acme/northgate", tags))


def records() -> Frame:
    told = LinkChanged(path="acme/northgate#conduit/uplink", time_ns=START, up=False, cause="cut", waiting_frames=3)
    return frames.of_records(frames.source_id("_edge"), EPOCH, 42, [told])


BATCHES: Mapping[str, Callable[[], pa.RecordBatch]] = {
    "f64": floats,
    "i64": integers,
    "bool": switches,
    "str": words,
}
CASES: Mapping[str, Callable[[], Frame]] = {
    **{
        name: lambda make=make, seq=seq: frames.of_samples(frames.source_id("press"), EPOCH, seq, make())  # type: ignore[misc]
        for seq, (name, make) in enumerate(BATCHES.items(), 1)
    },
    "waveform": lambda: frames.of_samples(frames.source_id("press"), EPOCH, 7, vibration()),
    "dictionary": dictionary,
    "records": records,
}
