"""Which OPC UA values a tag of which kind can hold, and how a value becomes text.

    tag kind   takes
    f64        Float, Double and every integer (an Int64 beyond 2**53 loses its last digits)
    i64        every integer, exactly; Boolean as 0 or 1; DateTime as ns since 1970; StatusCode
    bool       Boolean
    waveform   an array of numbers: one burst
    str        everything: text as it stands, the rest as the word or the JSON that says it

A value that does not fit is a Bad sample, and the tag's fault names the type that the server sent.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from isthmus.model.samples import ValueKind
from isthmus.model.time import iso

BOOLEAN, FLOAT, DOUBLE, STRING, DATE_TIME, UINT64, STATUS_CODE = 1, 10, 11, 12, 13, 9, 19
_INTEGERS: Final = frozenset(range(2, 10))
_I64: Final = range(-(2**63), 2**63)
TICKS_1970: Final = 116_444_736_000_000_000
"""1970 as OPC UA counts time: 100 ns since 1601 (Part 6, 5.2.2.5)."""

TAKES: Final[Mapping[ValueKind, frozenset[int]]] = {
    ValueKind.F64: _INTEGERS | {FLOAT, DOUBLE},
    ValueKind.I64: _INTEGERS | {BOOLEAN, DATE_TIME, STATUS_CODE},
    ValueKind.BOOL: frozenset({BOOLEAN}),
    ValueKind.STR: _INTEGERS | {BOOLEAN, FLOAT, DOUBLE, STRING, DATE_TIME, STATUS_CODE},
    ValueKind.WAVEFORM: frozenset(),
}
"""The built-in types (Part 6, table 1) that are decoded without asyncua, for each kind of tag."""

TYPE_NAMES: Final = (
    "Null",
    "Boolean",
    "SByte",
    "Byte",
    "Int16",
    "UInt16",
    "Int32",
    "UInt32",
    "Int64",
    "UInt64",
    "Float",
    "Double",
    "String",
    "DateTime",
    "Guid",
    "ByteString",
    "XmlElement",
    "NodeId",
    "ExpandedNodeId",
    "StatusCode",
    "QualifiedName",
    "LocalizedText",
    "ExtensionObject",
    "DataValue",
    "Variant",
    "DiagnosticInfo",
)


class Unfit(Exception):
    """The value cannot be held by a tag of this kind. Its text says why and what to write instead."""


def ns_of_ticks(ticks: int) -> int | None:
    """OPC UA time in ns since 1970, or None for a time that means none, or lies outside 64 bits."""
    time_ns = (ticks - TICKS_1970) * 100
    return time_ns if 0 < time_ns < 2**63 else None


def fit(kind: ValueKind, builtin: int, value: Any) -> Any:  # noqa: ANN401  any built-in type
    """A scalar of a built-in type as a tag of this kind holds it. Raises Unfit."""
    if value is None:
        return None
    if builtin not in TAKES[kind]:
        raise Unfit(_unfit(kind, TYPE_NAMES[builtin] if builtin < len(TYPE_NAMES) else f"type {builtin}"))
    if builtin == DATE_TIME:
        value = ns_of_ticks(value)
        return iso(value) if kind is ValueKind.STR and value is not None else value
    if kind is ValueKind.F64:
        return float(value)
    if kind is ValueKind.STR:
        return value if builtin == STRING else json.dumps(value)
    if kind is ValueKind.I64 and value not in _I64:
        msg = f"{value} is larger than 64 bits with a sign can hold; declare the tag as str to keep it exactly"
        raise Unfit(msg)
    return int(value) if kind is ValueKind.I64 else value


def fit_other(kind: ValueKind, value: Any, *, element: bool) -> Any:  # noqa: ANN401  whatever asyncua decoded
    """A value that asyncua decoded: an array, a structure or a rare type. Raises Unfit.

    `element` says that the tag asked for one element, which arrives as an array of one.
    """
    if element and isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    if kind is ValueKind.STR:
        return value if isinstance(value, str) else _text(value)
    if kind is ValueKind.WAVEFORM and isinstance(value, list) and all(type(one) in {int, float} for one in value):
        return value or None  # an empty array is no burst
    if isinstance(value, bool) and kind in {ValueKind.BOOL, ValueKind.I64}:
        return value if kind is ValueKind.BOOL else int(value)
    if isinstance(value, int) and not isinstance(value, bool) and kind is ValueKind.I64 and value in _I64:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and kind is ValueKind.F64:
        return float(value)
    raise Unfit(_unfit(kind, _type_name(value)))


def _unfit(kind: ValueKind, name: str) -> str:
    hint = "name one element with `index`, or declare it as str" if name.startswith("an array") else ""
    return f"the server sends {name}, which a tag of kind {kind} cannot hold; {hint or 'declare the kind that fits'}"


def _type_name(value: Any) -> str:  # noqa: ANN401  as above
    if isinstance(value, list):
        inner = _type_name(value[0]) if value else "nothing"
        return f"an array of {len(value)} ({inner})"
    if type(value).__name__ == "ExtensionObject":
        return f"a structure of type {value.TypeId.to_string()} that it does not describe"
    return type(value).__name__


def _text(value: Any) -> str:  # noqa: ANN401  as above
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911  one line per sort of value is the clearest
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, uuid.UUID):
        return str(value)
    name = type(value).__name__
    if name == "LocalizedText":
        return value.Text or ""
    if name == "QualifiedName":
        return value.Name or ""
    if hasattr(value, "to_string"):
        return value.to_string()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value
