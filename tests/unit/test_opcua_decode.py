"""The OPC UA decoder: what asyncua's encoder writes, in any mixture, is read exactly, in order, into columns."""

from __future__ import annotations

import datetime as dt
import json
import struct
from typing import Any

import pyarrow as pa
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, variant_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.edge.opcua_client.decode import Asked, Decoder
from isthmus.edge.opcua_client.values import TICKS_1970
from isthmus.model.samples import ValueKind, kind_of
from isthmus.model.status import BAD_SENSOR_FAILURE, BAD_TYPE_MISMATCH, GOOD

F64, I64, BOOL, STR, _ = ValueKind
NOW_NS = 1_700_000_000_000_000_000
T = ua.VariantType

SCALARS: dict[ValueKind, st.SearchStrategy[tuple[Any, Any]]] = {
    F64: st.one_of(
        st.tuples(st.just(T.Double), st.floats(allow_nan=False)),
        st.tuples(st.just(T.Float), st.floats(width=32, allow_nan=False)),
        st.tuples(st.just(T.Int16), st.integers(-(2**15), 2**15 - 1)),
    ),
    I64: st.one_of(
        st.tuples(st.just(T.Int64), st.integers(-(2**63), 2**63 - 1)),
        st.tuples(st.just(T.UInt64), st.integers(0, 2**63 - 1)),
        st.tuples(st.just(T.Byte), st.integers(0, 255)),
        st.tuples(st.just(T.SByte), st.integers(-128, 127)),
        st.tuples(st.just(T.UInt32), st.integers(0, 2**32 - 1)),
    ),
    BOOL: st.tuples(st.just(T.Boolean), st.booleans()),
    STR: st.tuples(st.just(T.String), st.text(max_size=9)),
}
ITEM = st.sampled_from([F64, I64, BOOL, STR]).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        SCALARS[kind] | st.just((T.Null, None)),
        st.sampled_from([None, BAD_SENSOR_FAILURE]),
        st.none() | st.integers(TICKS_1970 + 1, TICKS_1970 + 9 * 10**16),
        st.none() | st.integers(TICKS_1970 + 1, TICKS_1970 + 9 * 10**16),
        st.booleans(),
        st.integers(1, 40),
    )
)


def item(  # noqa: PLR0913  a row of the standard's table
    tag: int, value: ua.Variant, status: int | None, source: int | None, server: int | None, *, pico: bool
) -> bytes:
    """A MonitoredItemNotification by the standard's table, its Variant by asyncua's encoder."""
    out = b"" if value.VariantType is T.Null else variant_to_binary(value)
    mask = (1 if out else 0) | (2 if status is not None else 0)
    for ticks, bit, pico_bit in ((source, 4, 16), (server, 8, 32)):
        mask |= 0 if ticks is None else bit | (pico_bit if pico else 0)
    out += struct.pack("<I", status) if status is not None else b""
    for ticks in (source, server):
        out += b"" if ticks is None else struct.pack("<q", ticks) + (b"\x07\x00" if pico else b"")
    return struct.pack("<IB", tag, mask) + out


def changes(*items: bytes) -> bytes:
    return struct.pack("<i", len(items)) + b"".join(items) + struct.pack("<i", -1)


def rows(decoder: Decoder) -> dict[ValueKind, list[dict[str, Any]]]:
    return {kind_of(batch): batch.to_pylist() for batch in decoder.batches()}


def no_fault(tag: int, status: int, why: str) -> None:
    raise AssertionError((tag, status, why))


@settings(max_examples=100, deadline=None)
@given(st.lists(ITEM, min_size=1, max_size=12))
def test_any_mixture_is_read_exactly_and_in_order(groups: list[Any]) -> None:
    asked = [Asked(kind) for kind, *_ in groups]
    wanted: dict[ValueKind, list[dict[str, Any]]] = {}
    written = []
    for tag, (kind, (builtin, value), status, source, server, pico, repeats) in enumerate(groups):
        for _ in range(repeats):
            written.append(item(tag, ua.Variant(value, builtin), status, source, server, pico=pico))
            ticks = source if source is not None else server
            time_ns = NOW_NS if ticks is None else (ticks - TICKS_1970) * 100
            row = {"tag": tag, "time_ns": time_ns, "status": status or GOOD, "value": value}
            wanted.setdefault(kind, []).append(row)
    raw = changes(*written)
    decoder = Decoder(asked, no_fault)
    assert decoder.changes(raw, 0, NOW_NS) == len(raw) - 4
    assert rows(decoder) == wanted


def test_what_our_items_hold_asyncua_reads_as_the_same() -> None:
    # The helper above writes the bytes by hand; this ties it to asyncua's own reading of them.
    raw = item(5, ua.Variant(2.5, T.Double), BAD_SENSOR_FAILURE, TICKS_1970 + 10**16, None, pico=False)
    found = struct_from_binary(ua.MonitoredItemNotification, Buffer(raw))
    assert (found.ClientHandle, found.Value.Value.Value) == (5, 2.5)
    assert found.Value.StatusCode.value == BAD_SENSOR_FAILURE
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=10**9)
    assert found.Value.SourceTimestamp.replace(tzinfo=dt.UTC) == moment


def test_a_long_run_of_equal_items_becomes_one_column() -> None:
    raw = changes(
        *(item(i, ua.Variant(i / 2, T.Double), None, TICKS_1970 + i + 1, None, pico=False) for i in range(5000))
    )
    decoder = Decoder([Asked(F64)] * 5000, no_fault)
    decoder.changes(raw, 0, NOW_NS)
    (batch,) = decoder.batches()
    assert batch.column("value").equals(pa.array([i / 2 for i in range(5000)]))
    assert batch.column("time_ns").to_pylist() == [(i + 1) * 100 for i in range(5000)]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (F64, ua.Variant("12,5", T.String), "String"),
        (F64, ua.Variant([1.0, 2.0], T.Double), "array of 2"),
        (I64, ua.Variant(2**64 - 1, T.UInt64), "larger than 64 bits"),
        (BOOL, ua.Variant(1, T.Int32), "Int32"),
        (I64, ua.Variant(1.5, T.Double), "Double"),
    ],
)
def test_a_value_that_does_not_fit_is_a_bad_sample_and_a_fault_until_one_fits(
    kind: ValueKind, value: ua.Variant, words: str
) -> None:
    told: list[tuple[int, int, str]] = []
    decoder = Decoder([Asked(kind)], lambda *fault: told.append(fault))
    bad = item(0, value, None, None, None, pico=False)
    decoder.changes(changes(bad, bad), 0, NOW_NS)
    assert [row["status"] for row in rows(decoder)[kind]] == [BAD_TYPE_MISMATCH] * 2
    assert [fault[:2] for fault in told] == [(0, BAD_TYPE_MISMATCH)]
    assert words in told[0][2]
    fits = {F64: ua.Variant(1.5, T.Double), I64: ua.Variant(3, T.Int32), BOOL: ua.Variant(True, T.Boolean)}[kind]  # noqa: FBT003
    good = item(0, fits, None, None, None, pico=False)
    decoder.changes(changes(*[good] * 40), 0, NOW_NS)
    assert {row["status"] for row in rows(decoder)[kind]} == {GOOD}
    assert told[1:] == [(0, GOOD, "")]


def test_a_text_tag_takes_anything_structures_as_json() -> None:
    argument = ua.Argument(Name="speed", Description=ua.LocalizedText("Tempo", "de"))
    values: list[tuple[ua.Variant, Any]] = [
        (ua.Variant(7, T.Int32), "7"),
        (ua.Variant(True, T.Boolean), "true"),  # noqa: FBT003
        (ua.Variant(ua.LocalizedText("läuft"), T.LocalizedText), "läuft"),
        (ua.Variant([1, 2], T.Int64), "[1, 2]"),
        (ua.Variant(b"\x01\x02", T.ByteString), "AQI="),
        (ua.Variant(ua.NodeId(5, 2), T.NodeId), "ns=2;i=5"),
    ]
    decoder = Decoder([Asked(STR)], no_fault)
    written = [item(0, value, None, None, None, pico=False) for value, _ in values]
    written.append(item(0, ua.Variant(argument, T.ExtensionObject), None, None, None, pico=False))
    decoder.changes(changes(*written), 0, NOW_NS)
    *plain, structure = [row["value"] for row in rows(decoder)[STR]]
    assert plain == [wanted for _, wanted in values]
    assert json.loads(structure)["Name"] == "speed"


def test_one_element_of_an_array_is_a_single_value() -> None:
    decoder = Decoder([Asked(F64, element=True)], no_fault)
    decoder.changes(changes(item(0, ua.Variant([2.5], T.Double), None, None, None, pico=False)), 0, NOW_NS)
    assert [row["value"] for row in rows(decoder)[F64]] == [2.5]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_bytes_cut_short_or_turned_are_refused_and_never_loop(noise: bytes, cut: int) -> None:
    good = changes(*(item(i % 4, ua.Variant(1.5, T.Double), None, None, None, pico=False) for i in range(20)))
    for raw in (good[: len(good) - cut], good[:cut] + noise):
        decoder = Decoder([Asked(F64)] * 4, lambda *_: None)
        try:
            decoder.changes(raw, 0, NOW_NS)
        except (ValueError, struct.error, IndexError, KeyError, ua.UaError):
            continue


def test_an_array_is_one_burst_for_a_waveform_and_unfit_for_a_number() -> None:
    told: list[tuple[int, int]] = []
    decoder = Decoder(
        [Asked(ValueKind.WAVEFORM, interval_ns=39062.5), Asked(ValueKind.F64)], lambda *a: told.append(a[:2])
    )
    array = ua.Variant([0.5, -1.5, 2.0], T.Float, is_array=True)
    items = [item(tag, array, None, TICKS_1970 + 10**16, None, pico=False) for tag in (0, 1)]
    decoder.changes(changes(*items), 0, NOW_NS)
    found = rows(decoder)
    burst = {"tag": 0, "time_ns": 10**18, "status": GOOD, "interval_ns": 39062.5, "value": [0.5, -1.5, 2.0]}
    assert found[ValueKind.WAVEFORM] == [burst]
    assert found[ValueKind.F64][0]["value"] is None
    assert [tag for tag, _ in told] == [1]
