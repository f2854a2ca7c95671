"""From register bytes to columns, a poll at a time: one gather per type and order, no loop over tags.

All blocks of a poll lie behind each other in one image (two bytes a register, one byte a bit). For
each type and order an index of shape (tags, bytes) says which image bytes, most significant first,
make up each tag's value; indexing with it and viewing the result as numbers decodes them at once.

The order of bytes on the wire, shown for the 32-bit number 0x0A0B0C0D in registers n and n + 1:

    ABCD  0A 0B | 0C 0D   high word first, high byte first: what the standard does to one register
    CDAB  0C 0D | 0A 0B   low word first
    BADC  0B 0A | 0D 0C   high word first, bytes swapped
    DCBA  0D 0C | 0B 0A   low word first, bytes swapped
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.edge.modbus_client.blocks import Block
from isthmus.model import status as st
from isthmus.model.samples import ValueKind, columns

Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]

TYPE_PATTERN: Final = (
    r"^([ui](16|32|64)|f(32|64)|bool|bit ([0-9]|1[0-5])|str ([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|250))?$"
)

_NUMBERS: Final[Mapping[str, np.dtype[Any]]] = {
    "u16": np.dtype(">u2"),
    "i16": np.dtype(">i2"),
    "u32": np.dtype(">u4"),
    "i32": np.dtype(">i4"),
    "u64": np.dtype(">u8"),
    "i64": np.dtype(">i8"),
    "f32": np.dtype(">f4"),
    "f64": np.dtype(">f8"),
    "bool": np.dtype(">u2"),
    "bit": np.dtype(">u2"),
}
_IN_BITS: Final = np.dtype("u1")
_MOST_I64: Final = np.uint64(2**63 - 1)


class Field(NamedTuple):
    """How one tag's value is made from its registers, or from its bit."""

    tag: int
    kind: ValueKind
    type: str
    order: Order
    of_bits: bool
    scale: float = 1.0
    offset: float = 0.0


class _Group(NamedTuple):
    """The fields of one value kind, type and order."""

    kind: ValueKind
    type: str
    tags: NDArray[np.int32]
    places: NDArray[np.intp]
    """Shape (tags, bytes)."""
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


def registers(type_: str) -> int:
    """How many registers a type fills.

    >>> registers("f32"), registers("str 9"), registers("bit 3")
    (2, 5, 1)
    """
    word, _, number = type_.partition(" ")
    return (int(number) + 1) // 2 if word == "str" else _NUMBERS[word].itemsize // 2


class Image:
    """The bytes of one poll and how to read them. Keeps the last bytes of each block."""

    def __init__(self, blocks: Iterable[Block], fields: Sequence[Field]) -> None:
        self._at: dict[int, int] = {}
        size = 0
        for block in blocks:
            unit = 1 if block.table.of_bits else 2
            self._at.update({point.tag: size + (point.start - block.start) * unit for point in block.points})
            size += block.size * unit
        self._bytes = np.zeros(size, np.uint8)
        self._groups = _grouped([field for field in fields if field.tag in self._at], self._at)

    def put(self, block: Block, data: bytes) -> None:
        """Lay what was read of `block`, one of the image's own or a part of one, in its place."""
        came = np.frombuffer(data, np.uint8)
        if block.table.of_bits:
            came = np.unpackbits(came, bitorder="little", count=block.size)
        at = self._at[block.points[0].tag]
        self._bytes[at : at + len(came)] = came

    def columns(self, time_ns: NDArray[np.int64], status: NDArray[np.uint32]) -> list[pa.RecordBatch]:
        """One batch per value kind. `time_ns` and `status` are indexed by tag; where Bad, there is no value."""
        parts: dict[ValueKind, list[tuple[NDArray[np.int32], NDArray[np.uint32], pa.Array]]] = defaultdict(list)
        for group in self._groups:
            told = status[group.tags]
            values, worse = self._values(group, st.bad_mask(told))
            parts[group.kind].append((group.tags, np.where(worse != 0, worse, told), values))
        out = []
        for kind, found in parts.items():
            tags = np.concatenate([part[0] for part in found])
            values = pa.concat_arrays([part[2] for part in found])
            out.append(columns(kind, tags, time_ns[tags], np.concatenate([part[1] for part in found]), values))
        return out

    def _values(self, group: _Group, bad: NDArray[np.bool_]) -> tuple[pa.Array, NDArray[np.uint32]]:
        """The group's values, null where `bad` or where they cannot be told, and the status where they cannot."""
        raw = self._bytes[group.places]
        worse = np.zeros(len(bad), np.uint32)
        if group.kind is ValueKind.STR:
            texts = [None if no else _text(row.tobytes(), group.type) for no, row in zip(bad, raw, strict=True)]
            return pa.array(texts, pa.string()), worse
        word, _, number = group.type.partition(" ")
        plain = raw.view(_NUMBERS[word] if raw.shape[1] > 1 else _IN_BITS)[:, 0]
        if number:
            plain = (plain >> int(number)) & 1
        if group.kind is ValueKind.BOOL:
            return pa.array(plain != 0, mask=bad), worse
        if group.kind is ValueKind.I64:
            if group.type == "u64":
                worse[~bad & (plain > _MOST_I64)] = st.BAD_OUT_OF_RANGE
            return pa.array(plain.astype(np.int64), mask=bad | (worse != 0)), worse
        values = plain.astype(np.float64) * group.scale + group.offset
        worse[~bad & np.isnan(values)] = st.BAD_NO_DATA
        return pa.array(values, mask=bad | (worse != 0)), worse


def _grouped(fields: Sequence[Field], at: dict[int, int]) -> list[_Group]:
    alike: dict[tuple[ValueKind, str, Order, bool], list[Field]] = defaultdict(list)
    for field in fields:
        alike[field.kind, field.type, field.order, field.of_bits].append(field)
    out = []
    for (kind, type_, order, of_bits), members in alike.items():
        places = [0] if of_bits else _places(type_, order)
        first = np.array([at[field.tag] for field in members], np.intp)
        out.append(
            _Group(
                kind,
                type_,
                np.array([field.tag for field in members], np.int32),
                first[:, None] + np.array(places, np.intp),
                np.array([field.scale for field in members]),
                np.array([field.offset for field in members]),
            )
        )
    return out


def _places(type_: str, order: Order) -> list[int]:
    """Where a value's bytes lie, most significant (or first letter) first. Words of a text keep their order."""
    words = list(range(registers(type_)))
    if order in ("CDAB", "DCBA") and not type_.startswith("str"):
        words.reverse()
    high = 1 if order in ("BADC", "DCBA") else 0
    return [2 * word + byte for word in words for byte in (high, 1 - high)]


def _text(raw: bytes, type_: str) -> str:
    """The letters up to the declared length or the first NUL, without the blanks that pad them."""
    length = int(re.sub(r"\D", "", type_))
    return raw[:length].split(b"\0", 1)[0].decode("utf-8", "replace").rstrip(" ")
