"""The order of bytes is a promise: these bytes and values never change."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.edge.modbus_client import blocks
from isthmus.edge.modbus_client.blocks import Point
from isthmus.edge.modbus_client.codec import Table
from isthmus.edge.modbus_client.image import Field, Image, Order, registers
from isthmus.model import status as st
from isthmus.model.samples import ValueKind

NOW = 1_790_000_000_000_000_000


def read(data: str | bytes, type_: str, order: Order = "ABCD", kind: str = "f64", **more: Any) -> tuple[Any, int]:  # noqa: ANN401  fields
    """One tag's value and status, out of the bytes of its registers."""
    raw = bytes.fromhex(data) if isinstance(data, str) else data
    plan = blocks.merge([Point(1, Table.HOLDING, 100, registers(type_), 0)], gap=0)
    image = Image(plan, [Field(0, ValueKind(kind), type_, order, of_bits=False, **more)])
    image.put(plan[0], raw)
    (batch,) = image.columns(np.array([NOW]), np.array([st.GOOD], np.uint32))
    row = batch.to_pylist()[0]
    assert row["time_ns"] == NOW
    return row["value"], row["status"]


GOLDEN = [
    ("0A0B", "u16", "ABCD", "i64", 0x0A0B),
    ("0B0A", "u16", "BADC", "i64", 0x0A0B),
    ("0A0B", "u16", "CDAB", "i64", 0x0A0B),
    ("0B0A", "u16", "DCBA", "i64", 0x0A0B),
    ("FFFE", "i16", "ABCD", "i64", -2),
    ("0A0B0C0D", "u32", "ABCD", "i64", 0x0A0B0C0D),
    ("0C0D0A0B", "u32", "CDAB", "i64", 0x0A0B0C0D),
    ("0B0A0D0C", "u32", "BADC", "i64", 0x0A0B0C0D),
    ("0D0C0B0A", "u32", "DCBA", "i64", 0x0A0B0C0D),
    ("FFFFFFFE", "i32", "ABCD", "i64", -2),
    ("0102030405060708", "u64", "ABCD", "i64", 0x0102030405060708),
    ("0708050603040102", "u64", "CDAB", "i64", 0x0102030405060708),
    ("0201040306050807", "u64", "BADC", "i64", 0x0102030405060708),
    ("0807060504030201", "u64", "DCBA", "i64", 0x0102030405060708),
    ("FFFFFFFFFFFFFFFE", "i64", "ABCD", "i64", -2),
    ("42F6E979", "f32", "ABCD", "f64", 123.45600128173828),
    ("E97942F6", "f32", "CDAB", "f64", 123.45600128173828),
    ("F64279E9", "f32", "BADC", "f64", 123.45600128173828),
    ("79E9F642", "f32", "DCBA", "f64", 123.45600128173828),
    ("400921FB54442D18", "f64", "ABCD", "f64", 3.141592653589793),
    ("182D4454FB210940", "f64", "DCBA", "f64", 3.141592653589793),
    ("2D1854442 1FB4009".replace(" ", ""), "f64", "CDAB", "f64", 3.141592653589793),
    ("0008", "bit 3", "ABCD", "bool", True),
    ("FFF7", "bit 3", "ABCD", "bool", False),
    ("8000", "bit 15", "ABCD", "i64", 1),
    ("0080", "bit 15", "BADC", "bool", True),
    ("0100", "bool", "ABCD", "bool", True),
    ("0000", "bool", "ABCD", "bool", False),
    ("4E6F72746800", "str 6", "ABCD", "str", "North"),
    ("6F4E747200 68".replace(" ", ""), "str 6", "BADC", "str", "North"),
    ("4E6F727468FF", "str 5", "CDAB", "str", "North"),
    ("C3A920202020", "str 6", "ABCD", "str", "é"),
]


@pytest.mark.parametrize(("data", "type_", "order", "kind", "value"), GOLDEN)
def test_each_type_and_order_reads_these_bytes_as_this_value(
    data: str, type_: str, order: Order, kind: str, value: object
) -> None:
    got, status = read(data, type_, order, kind)
    assert (type(got), got, status) == (type(value), value, st.GOOD)


@given(some.floats(allow_nan=False), some.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]))
def test_any_double_survives_any_order(value: float, order: Order) -> None:
    words = [struct.pack(">d", value)[at : at + 2] for at in range(0, 8, 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    assert read(b"".join(words), "f64", order) == (value, st.GOOD)


def test_scale_and_offset_make_the_value_of_the_manual() -> None:
    assert read("00E6", "u16", scale=0.1, offset=-1.0) == (pytest.approx(22.0), st.GOOD)


def test_not_a_number_is_no_value_and_says_so() -> None:
    assert read("7FC00000", "f32") == (None, st.BAD_NO_DATA)
    assert read("7F800000", "f32") == (float("inf"), st.GOOD)


def test_a_u64_that_no_i64_holds_is_out_of_range_and_never_negative() -> None:
    assert read("8000000000000000", "u64", kind="i64") == (None, st.BAD_OUT_OF_RANGE)
    assert read("7FFFFFFFFFFFFFFF", "u64", kind="i64") == (2**63 - 1, st.GOOD)


def test_a_bad_tag_has_no_value_and_its_neighbours_keep_theirs() -> None:
    points = [Point(1, Table.HOLDING, start, 1, start) for start in range(3)]
    plan = blocks.merge(points, gap=0)
    image = Image(plan, [Field(tag, ValueKind.F64, "u16", "ABCD", of_bits=False) for tag in range(3)])
    image.put(plan[0], bytes.fromhex("000100020003"))
    status = np.array([st.GOOD, st.BAD_TIMEOUT, st.GOOD], np.uint32)
    (batch,) = image.columns(np.arange(3) + NOW, status)
    assert batch.to_pydict() == {
        "tag": [0, 1, 2],
        "time_ns": [NOW, NOW + 1, NOW + 2],
        "status": status.tolist(),
        "value": [1.0, None, 3.0],
    }


def test_part_of_a_block_finds_its_place() -> None:
    points = [Point(1, Table.COIL, start, 1, start) for start in (0, 9, 11)]
    plan = blocks.merge(points, gap=1)
    image = Image(plan, [Field(t, ValueKind.BOOL, "bool", "ABCD", of_bits=True) for t in range(12)])
    _, right = blocks.halves(plan[0])
    image.put(right, b"\x04")  # bits 9, 10, 11: 0 0 1
    (batch,) = image.columns(np.zeros(12, np.int64), np.zeros(12, np.uint32))
    assert dict(zip(batch.column("tag").to_pylist(), batch.column("value").to_pylist(), strict=True)) == {
        0: False,
        9: False,
        11: True,
    }
