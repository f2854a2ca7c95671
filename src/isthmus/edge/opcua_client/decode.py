"""Turns the bytes of a DataChangeNotification or a ReadResponse into columns, without an object per value.

A monitored item's notification is (Part 6, 5.2.2.17 and Part 4, 7.25.2):

    client handle u32 | mask u8 | [type u8, value] | [status u32] | [source time i64] | [picoseconds u16]
                                | [server time i64] | [picoseconds u16]

What is present says the mask. Neighbours of equal layout, the usual case, are read as one numpy
array; others one by one with a precompiled `struct`; what is neither (arrays, structures, rare
types) by asyncua's own decoder. A result of a Read is the same without the handle.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.edge.opcua_client.values import (
    DATE_TIME,
    STRING,
    TAKES,
    TICKS_1970,
    UINT64,
    Unfit,
    fit,
    fit_other,
    ns_of_ticks,
)
from isthmus.model.samples import ValueKind, columns
from isthmus.model.status import BAD_TYPE_MISMATCH, GOOD, is_bad
from isthmus.model.waveforms import bursts

_FORMATS: Final = {0: "", 1: "?", 2: "b", 3: "B", 4: "h", 5: "H", 6: "i", 7: "I", 8: "q", 9: "Q", 10: "f", 11: "d"} | {
    DATE_TIME: "q",
    19: "I",
}
_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = 1, 2, 4, 8, 16, 32
_TICKS_2262: Final = TICKS_1970 + 2**63 // 100
_KINDS: Final = tuple(ValueKind)
_NUMPY: Final[Mapping[ValueKind, type]] = {
    ValueKind.F64: np.float64,
    ValueKind.I64: np.int64,
    ValueKind.BOOL: np.bool_,
    ValueKind.STR: np.object_,
    ValueKind.WAVEFORM: np.object_,
}
_PLAIN: Final[Mapping[ValueKind, frozenset[int]]] = {
    ValueKind.F64: TAKES[ValueKind.F64],
    ValueKind.I64: TAKES[ValueKind.I64] - {UINT64, DATE_TIME},
    ValueKind.BOOL: TAKES[ValueKind.BOOL],
    ValueKind.STR: frozenset(),
    ValueKind.WAVEFORM: frozenset(),
}
"""The types whose columns numpy converts exactly; the others are looked at one by one."""
_SHORT: Final = 16
"""Fewer neighbours of equal layout than this are not worth a numpy array."""


class Asked(NamedTuple):
    """What the plant file says of a tag, as far as decoding must know."""

    kind: ValueKind
    element: bool = False
    interval_ns: float = 0.0
    """Of a burst: the time between two of its readings."""


class _Layout(NamedTuple):
    """Where the parts of an item stand, counted from its first byte; -1 where a part is absent."""

    builtin: int
    """The built-in type, -1 where there is no value."""
    head: int
    """4 with a client handle before it, 0 without."""
    size: int
    value: int
    value_type: str
    status: int
    source: int
    server: int
    unpack: Callable[[bytes, int], tuple[Any, ...]]
    fields: tuple[int, int, int, int]
    """Which of the unpacked numbers is the value, status, source and server time; -1 where absent."""


class _Message(NamedTuple):
    """Bytes with items in them."""

    raw: bytes
    head: int
    tags: NDArray[np.uint32] | None
    """Which tag each item is of, where the items do not say it themselves."""
    now_ns: int


class _Builder:
    """Columns of one value kind in the order of arrival: arrays of runs, between them lists of single rows."""

    def __init__(self, kind: ValueKind) -> None:
        self.kind = kind
        self._parts: list[pa.RecordBatch] = []
        self._rows: tuple[list[int], list[int], list[int], list[Any]] = ([], [], [], [])
        self.interval_ns: list[float] = []

    def row(self, tag: int, time_ns: int, status: int, value: Any) -> None:  # noqa: ANN401  of the kind
        for column, one in zip(self._rows, (tag, time_ns, status, value), strict=True):
            column.append(one)

    def run(self, tag: NDArray[Any], time_ns: NDArray[Any], status: NDArray[Any], value: NDArray[Any]) -> None:
        self._close_rows()
        self._parts.append(columns(self.kind, tag, time_ns, status, value))

    def take(self) -> pa.RecordBatch | None:
        self._close_rows()
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts) if parts else None

    def _close_rows(self) -> None:
        if self._rows[0]:
            if self.kind is ValueKind.WAVEFORM:
                tag, time_ns, status, value = self._rows
                self._parts.append(bursts(tag, time_ns, status, self.interval_ns, value))
            else:
                self._parts.append(columns(self.kind, *self._rows))
            self._rows, self.interval_ns = ([], [], [], []), []


class Decoder:
    """Decodes for the tags of one plan; a client handle is the position of its tag.

    `fault(tag, status, why)` is called when a tag begins or ends to be of a type that it cannot hold.
    """

    def __init__(self, tags: Sequence[Asked], fault: Callable[[int, int, str], None]) -> None:
        self._tags = tags
        self.fault = fault
        self._kinds = np.array([_KINDS.index(tag.kind) for tag in tags], np.int8)
        self._builders = {kind: _Builder(kind) for kind in ValueKind}
        self._unfit: set[int] = set()

    def changes(self, raw: bytes, at: int, now_ns: int) -> int:
        """Take the body of a DataChangeNotification that begins at `at`; gives where its items end."""
        (count,) = struct.unpack_from("<i", raw, at)
        return self._items(_Message(raw, 4, None, now_ns), at + 4, max(count, 0))

    def results(self, raw: bytes, at: int, tags: Sequence[int], now_ns: int) -> int:
        """Take the Results of a ReadResponse that begin at `at`, one for each of `tags`.

        Raises ValueError when the server gave another number of them.
        """
        (count,) = struct.unpack_from("<i", raw, at)
        if count != len(tags):
            msg = f"it was asked for {len(tags)} values and gave {count}"
            raise ValueError(msg)
        return self._items(_Message(raw, 0, np.asarray(tags, np.uint32), now_ns), at + 4, count)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """What was taken since the last call, one batch per value kind."""
        for builder in self._builders.values():
            batch = builder.take()
            if batch is not None:
                yield batch

    def _items(self, message: _Message, at: int, count: int) -> int:
        raw, head, done, patience = message.raw, message.head, 0, 0
        while done < count:
            mask = raw[at + head]
            builtin = raw[at + head + 1] if mask & _VALUE else -1
            layout = _layout(mask, builtin, head)
            if layout is not None and done >= patience:
                rows = _alike(raw, at, count - done, layout)
                patience = done + 4 * _SHORT if rows < _SHORT else done
                if rows >= _SHORT and self._run(message, at, done, rows, layout):
                    at += rows * layout.size
                    done += rows
                    continue
                patience = max(patience, done + rows)
            at = self._single(message, at, done, layout)
            done += 1
        return at

    def _run(self, message: _Message, at: int, done: int, rows: int, layout: _Layout) -> bool:
        """Take `rows` items of one layout at once; False when they must be taken one by one."""
        view = np.frombuffer(message.raw, np.uint8, rows * layout.size, at).reshape(rows, layout.size)
        handles = _column(view, 0, "<u4") if message.tags is None else message.tags[done : done + rows]
        if int(handles.max()) >= len(self._tags) or self._unfit:
            return False
        kinds, builtin = self._kinds[handles], layout.builtin
        kind = _KINDS[kinds[0]]
        if builtin not in _PLAIN[kind] or (kinds != kinds[0]).any():
            return False
        value: NDArray[Any] = _column(view, layout.value, layout.value_type).astype(_NUMPY[kind])
        status = _column(view, layout.status, "<u4") if layout.status >= 0 else np.full(rows, GOOD, np.uint32)
        time_ns = np.full(rows, message.now_ns, np.int64)
        for where in (layout.server, layout.source):
            if where >= 0:
                ticks = _column(view, where, "<i8")
                real = (ticks > TICKS_1970) & (ticks < _TICKS_2262)
                time_ns = np.where(real, (ticks - TICKS_1970) * 100, time_ns)
        self._builders[kind].run(handles, time_ns, status, value)
        return True

    def _single(self, message: _Message, at: int, done: int, layout: _Layout | None) -> int:
        """Take one item; gives where the next begins."""
        raw, head = message.raw, message.head
        tag = struct.unpack_from("<I", raw, at)[0] if message.tags is None else int(message.tags[done])
        if tag >= len(self._tags):
            msg = f"it sent a value for item {tag}, which was never asked for"
            raise ValueError(msg)
        asked = self._tags[tag]
        if layout is not None:
            found = layout.unpack(raw, at)
            value, status, source, server = (found[i] if i >= 0 else None for i in layout.fields)
            builtin, end = layout.builtin, at + layout.size
        else:
            mask, builtin = raw[at + head], raw[at + head + 1]
            value, at = _text(raw, at + head + 2) if builtin == STRING else _by_asyncua(raw, at + head + 1)
            status, source, server, end = _tail(raw, at, mask)
        status = status or GOOD
        try:
            if layout is None and builtin != STRING:
                value = fit_other(asked.kind, value, element=asked.element)
            else:
                value = fit(asked.kind, builtin, value)
        except Unfit as why:
            value, status = None, BAD_TYPE_MISMATCH
            if tag not in self._unfit:
                self._unfit.add(tag)
                self.fault(tag, BAD_TYPE_MISMATCH, str(why))
        else:
            if tag in self._unfit and not is_bad(status):
                self._unfit.discard(tag)
                self.fault(tag, GOOD, "")
        time_ns = (source and ns_of_ticks(source)) or (server and ns_of_ticks(server)) or message.now_ns
        if asked.kind is ValueKind.WAVEFORM:
            self._builders[asked.kind].interval_ns.append(asked.interval_ns)
        self._builders[asked.kind].row(tag, time_ns, status, value)
        return end


@cache
def _layout(mask: int, builtin: int, head: int) -> _Layout | None:
    """Where the parts stand; None for a type whose size is not fixed. `builtin` is -1 without a value."""
    if mask & _VALUE and builtin not in _FORMATS:
        return None
    text, at, count = "<" + ("I" if head else "") + "B", head + 1, 2 if head else 1
    places: list[int] = []
    fields: list[int] = []
    value_type = _FORMATS[builtin] if mask & _VALUE else ""
    if mask & _VALUE:
        text, at = text + "x", at + 1
    for present, form in (
        (bool(value_type), value_type),
        (bool(mask & _STATUS), "I"),
        (bool(mask & _SOURCE), "q" + "2x" * bool(mask & _SOURCE_PICO)),
        (bool(mask & _SERVER), "q" + "2x" * bool(mask & _SERVER_PICO)),
    ):
        places.append(at if present else -1)
        fields.append(count if present else -1)
        if present:
            text, at, count = text + form, at + struct.calcsize("<" + form), count + 1
    # Picoseconds of a time that is not there: the standard allows it, and they mean nothing.
    for pico, time in ((_SOURCE_PICO, _SOURCE), (_SERVER_PICO, _SERVER)):
        if mask & pico and not mask & time:
            return None
    made = struct.Struct(text)
    numpy_type = "<" + value_type.replace("b", "i1").replace("B", "u1") if value_type else ""
    return _Layout(
        builtin=builtin,
        head=head,
        size=made.size,
        value=places[0],
        value_type=numpy_type,
        status=places[1],
        source=places[2],
        server=places[3],
        unpack=made.unpack_from,
        fields=(fields[0], fields[1], fields[2], fields[3]),
    )


def _alike(raw: bytes, at: int, most: int, layout: _Layout) -> int:
    """How many items from here on have the layout of the first.

    The first item's mask and type fix its size, so the second begins there; when its mask and type
    are the same it has the same size, and so on: comparing two columns of bytes proves the run.
    """
    most = min(most, (len(raw) - at) // layout.size)
    if most < _SHORT or raw[at + layout.head + layout.size * (_SHORT - 1)] != raw[at + layout.head]:
        return 0
    view = np.frombuffer(raw, np.uint8, most * layout.size, at).reshape(most, layout.size)
    same = view[:, layout.head] == view[0, layout.head]
    if layout.builtin >= 0:
        same &= view[:, layout.head + 1] == layout.builtin
    return most if same.all() else int(same.argmin())


def _column(view: NDArray[np.uint8], at: int, dtype: str) -> NDArray[Any]:
    made = np.dtype(dtype)
    return np.ascontiguousarray(view[:, at : at + made.itemsize]).view(made)[:, 0]


def _text(raw: bytes, at: int) -> tuple[str | None, int]:
    (length,) = struct.unpack_from("<i", raw, at)
    at += 4
    if length > len(raw) - at:
        msg = "it sent a text that is longer than its message"
        raise ValueError(msg)
    return (raw[at : at + length].decode("utf-8", "replace") if length >= 0 else None), at + max(length, 0)


def _by_asyncua(raw: bytes, at: int) -> tuple[Any, int]:
    """A Variant that only asyncua can read, and where it ends."""
    from asyncua.common.utils import Buffer  # noqa: PLC0415  heavy, and not needed to read the plant file
    from asyncua.ua.ua_binary import variant_from_binary  # noqa: PLC0415

    buffer = Buffer(raw, at)
    return variant_from_binary(buffer).Value, buffer.cur_pos


def _tail(raw: bytes, at: int, mask: int) -> tuple[int | None, int | None, int | None, int]:
    """What follows a value: status, source time and server time, and where the item ends."""
    status = source = server = None
    if mask & _STATUS:
        (status,), at = struct.unpack_from("<I", raw, at), at + 4
    if mask & _SOURCE:
        (source,), at = struct.unpack_from("<q", raw, at), at + 8
    at += 2 * bool(mask & _SOURCE_PICO)
    if mask & _SERVER:
        (server,), at = struct.unpack_from("<q", raw, at), at + 8
    return status, source, server, at + 2 * bool(mask & _SERVER_PICO)
