"""Observations straight into columns: one pass of expat per document, no object per observation.

UNAVAILABLE becomes status "no data" without a value; a text that is not of the tag's kind becomes
"another type than declared" without a value. A condition becomes text made of everything that is
active on it, worst first:

    all     FAULT:401 Oil pressure low; WARNING:120 Filter     NORMAL
    level   FAULT                                              NORMAL
    code    401                                                "" (nothing is active)

Source: MTConnect 1.4 part 3, sections 5 to 7 (a Normal with a native code ends that one, without a
code it ends all).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from isthmus.edge.mtconnect_client import xml
from isthmus.model import status as st
from isthmus.model.samples import ValueKind, columns
from isthmus.model.time import NS_PER_S

Form = Literal["all", "level", "code"]
Active = dict[str, dict[str, tuple[str, str]]]
"""Data item id to native code to (level, text): what is active now."""

UNAVAILABLE: Final = "UNAVAILABLE"
_LEVELS: Final = {"Fault": 0, "Warning": 1}
_CONDITIONS: Final = frozenset({"Normal", "Warning", "Fault", "Unavailable"})
_MOST_EXACT: Final = 2.0**53


class Reader(NamedTuple):
    """How one tag reads its data item."""

    tag: int
    kind: ValueKind
    part: int | None = None
    form: Form = "all"


class Chunk(NamedTuple):
    """One document: its Header, its observations as columns, and the tags that carry another type."""

    header: xml.Header
    batches: list[pa.RecordBatch]
    mismatched: dict[int, str]


class _Rows:
    def __init__(self) -> None:
        self.tag: list[int] = []
        self.time_ns: list[int] = []
        self.status: list[int] = []
        self.value: list[Any] = []

    def hold(self, held_ns: int) -> None:
        """Say each tag's last value again at `held_ns`, unless it is younger."""
        last = {tag: row for row, tag in enumerate(self.tag)}
        for tag, row in last.items():
            if self.time_ns[row] < held_ns:
                self.add(tag, held_ns, self.status[row], self.value[row])

    def without_first(self, rows: int) -> _Rows:
        """The same without its first so many rows."""
        rest = _Rows()
        rest.tag, rest.time_ns = self.tag[rows:], self.time_ns[rows:]
        rest.status, rest.value = self.status[rows:], self.value[rows:]
        return rest

    def add(self, tag: int, time_ns: int, status: int, value: object) -> None:
        self.tag.append(tag)
        self.time_ns.append(time_ns)
        self.status.append(status)
        self.value.append(value)


class Streams:
    """Reads the documents of one connection; keeps which conditions are active and the latest time."""

    def __init__(self, wanted: Mapping[str, Sequence[Reader]], active: Active) -> None:
        self._wanted = wanted
        self._active = active
        self._clock = xml.Clock()
        self._rows: dict[ValueKind, _Rows] = {}
        self._mismatched: dict[int, str] = {}
        self._readers: Sequence[Reader] = ()
        self._element = ""
        self._attributes: dict[str, str] = {}
        self._text = ""
        self._depth = 0
        self._entries: dict[str, Any] | None = None
        self._key: list[str] = []
        self.latest_ns = 0

    def read(self, document: bytes) -> Chunk:
        """A sample document. Raises xml.NotMtconnect and xml.AgentError."""
        header = self._parse(document)
        return Chunk(header, self._batches(), self._mismatched)

    def read_current(self, document: bytes, now_ns: int, *, known: bool = False) -> Chunk:
        """A current document: every value at its own time, and once more at the time at which it was told.

        Without the second, a value that has not changed since before a lost connection would stay lost.
        `now_ns` is the arrival at the edge, taken where the agent's clock only tells the second. `known`
        leaves out the first, where samples up to this document have been read already.
        """
        self._active.clear()
        header = self._parse(document)
        held_ns = self.told_ns(header, now_ns)
        for kind, rows in list(self._rows.items()):
            own = len(rows.tag)
            rows.hold(held_ns)
            if known:
                self._rows[kind] = rows.without_first(own)
        self.latest_ns = max(self.latest_ns, held_ns)
        return Chunk(header, self._batches(), self._mismatched)

    def told_ns(self, header: xml.Header, now_ns: int) -> int:
        """When the agent made a document, by its own clock."""
        created_ns = self._clock.read(header.created) if header.created else now_ns
        whole_second = created_ns % NS_PER_S == 0
        return now_ns if whole_second and 0 <= now_ns - created_ns < 2 * NS_PER_S else created_ns

    def _parse(self, document: bytes) -> xml.Header:
        self._rows, self._mismatched, self._depth, self._readers = {}, {}, 0, ()
        return xml.parse(document, "MTConnectStreams", self._start, self._end, self._hear)

    def _batches(self) -> list[pa.RecordBatch]:
        out = []
        for kind, rows in self._rows.items():
            if not rows.tag:
                continue
            time_ns, status = np.array(rows.time_ns, np.int64), np.array(rows.status, np.uint32)
            self.latest_ns = max(self.latest_ns, int(time_ns.max()))
            out.append(columns(kind, rows.tag, time_ns, status, rows.value))
        return out

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._readers:
            self._begin_entry(attributes)
            return
        readers = self._wanted.get(attributes.get("dataItemId", ""))
        if readers:
            self._readers = readers
            self._element, self._attributes, self._text, self._entries, self._depth = name, attributes, "", None, 0

    def _hear(self, text: str) -> None:
        if self._readers:
            self._text += text

    def _end(self, _: str) -> None:
        if not self._readers:
            return
        if self._depth:
            self._end_entry()
            return
        self._observe(xml.local(self._element), self._attributes, self._text.strip())
        self._readers = ()

    def _begin_entry(self, attributes: dict[str, str]) -> None:
        """An Entry of a data set, or a Cell of a table's Entry."""
        self._depth += 1
        self._entries = {} if self._entries is None else self._entries
        self._key = [*self._key[: self._depth - 1], attributes.get("key", "")]
        self._text = ""

    def _end_entry(self) -> None:
        assert self._entries is not None  # noqa: S101  set by _begin_entry
        row = self._entries
        for key in self._key[: self._depth - 1]:
            row = row.setdefault(key, {})
        row.setdefault(self._key[self._depth - 1], self._text.strip())
        self._text = ""
        self._depth -= 1

    def _observe(self, element: str, attributes: dict[str, str], text: str) -> None:
        time_ns = self._clock.read(attributes.get("timestamp", ""))
        active = self._condition(element, attributes, text) if element in _CONDITIONS else None
        status: int
        value: float | int | str | None
        for reader in self._readers:
            if element in _CONDITIONS:
                status, value = _told(active, reader)
            elif self._entries is not None:
                status, value = _typed(reader, json.dumps(self._entries, ensure_ascii=False))
            else:
                status, value = _typed(reader, text)
            if status == st.BAD_TYPE_MISMATCH:
                self._mismatched[reader.tag] = _mismatch(reader, text)
            rows = self._rows.get(reader.kind)
            if rows is None:
                rows = self._rows[reader.kind] = _Rows()
            rows.add(reader.tag, time_ns, status, value)

    def _condition(self, level: str, attributes: dict[str, str], text: str) -> dict[str, tuple[str, str]] | None:
        """What is active on a condition after this observation; None when that is unavailable."""
        item, code = attributes["dataItemId"], attributes.get("nativeCode", "")
        active = self._active.setdefault(item, {})
        if level in _LEVELS:
            active[code] = level, text
        elif level == "Normal" and code:
            active.pop(code, None)
        else:
            active.clear()
        return None if level == "Unavailable" else active


def _typed(reader: Reader, text: str) -> tuple[int, float | int | str | None]:
    if text == UNAVAILABLE:
        return st.BAD_NO_DATA, None
    if reader.part is not None:
        parts = text.split()
        if reader.part >= len(parts):
            return st.BAD_TYPE_MISMATCH, None
        text = parts[reader.part]
    return (st.GOOD, text) if reader.kind is ValueKind.STR else _number(reader.kind, text)


def _number(kind: ValueKind, text: str) -> tuple[int, float | int | None]:
    if not text:
        return st.BAD_NO_DATA, None
    try:
        if kind is ValueKind.I64:
            return _whole(text)
        number = float(text)
    except ValueError:
        return st.BAD_TYPE_MISMATCH, None
    return (st.BAD_NO_DATA, None) if math.isnan(number) else (st.GOOD, number)


def _whole(text: str) -> tuple[int, int | None]:
    """A whole number, also where an agent writes it with decimals that are zero."""
    try:
        number = int(text)
    except ValueError:
        inexact = float(text)
        if not inexact.is_integer() or abs(inexact) > _MOST_EXACT:
            return st.BAD_TYPE_MISMATCH, None
        number = int(inexact)
    return (st.GOOD, number) if -(2**63) <= number < 2**63 else (st.BAD_OUT_OF_RANGE, None)


def _told(active: Mapping[str, tuple[str, str]] | None, reader: Reader) -> tuple[int, str | None]:
    """A condition as text, see the head of this file."""
    if active is None:
        return st.BAD_NO_DATA, None
    if reader.kind is not ValueKind.STR:
        return st.BAD_TYPE_MISMATCH, None
    worst_first = sorted(active.items(), key=lambda found: (_LEVELS[found[1][0]], found[0]))
    if reader.form == "level":
        return st.GOOD, worst_first[0][1][0].upper() if worst_first else "NORMAL"
    if reader.form == "code":
        return st.GOOD, "; ".join(code for code, _ in worst_first)
    told = (
        f"{level.upper()}{f':{code}' if code else ''}{f' {text}' if text else ''}"
        for code, (level, text) in worst_first
    )
    return st.GOOD, "; ".join(told) or "NORMAL"


def _mismatch(reader: Reader, text: str) -> str:
    said = text if len(text) <= 40 else text[:39] + "…"  # noqa: PLR2004  what fits in a sentence
    if reader.kind is not ValueKind.STR and reader.part is None and len(text.split()) > 1:
        return f"it says {said!r}, which is several numbers; add part = 0 for the first, or write kind = 'str'"
    return f"it says {said!r}, which is no {reader.kind}; write kind = 'str'"
