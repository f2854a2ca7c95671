"""SNMP version 2c: the system group and the first entity of ENTITY-MIB, with the community that is approved.

Two GET requests of fixed objects; nothing is walked. The community goes over the wire in clear, as
version 2c has it.
"""

from __future__ import annotations

from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame, Number, Size, Text
from isthmus.edge.identify.talk import Ask, Talk

NAME: Final = "snmp"
OVER: Final[Literal["tcp", "udp"]] = "udp"
PORT: Final = 161
PAUSE_S: Final = 0.1
FAREWELL: Final = 0

_NULL: Final = b"\x05\x00"


def _node(tag: int, inner: bytes) -> bytes:
    """BER with a length of one byte, which all of these have."""
    return bytes((tag, len(inner))) + inner


def _get(name: str, clause: str, *objects: bytes) -> Frame:
    names = _node(0x30, b"".join(_node(0x30, _node(6, one) + _NULL) for one in objects))
    inner = 3 + 6 + len(names)
    return Frame(
        name,
        clause,
        (
            b"\x30", Size(1, "big", -2), b"\x02\x01\x01\x04", Text("community", 32, 1, "big"),
            bytes((0xA0, inner)) + b"\x02\x01", Number("request", 1, "big", 1, 127), b"\x02\x01\x00\x02\x01\x00" + names,
        ),
    )  # fmt: skip


_SYSTEM_GROUP: Final = b"\x2b\x06\x01\x02\x01\x01"
_ENTITY: Final = b"\x2b\x06\x01\x02\x01\x2f\x01\x01\x01\x01"
_SYSTEM: Final = _get(
    "Get sysDescr, sysObjectID, sysName",
    "RFC 3416, 4.2.1 (GetRequest-PDU); RFC 3418, 2 (system group)",
    *(_SYSTEM_GROUP + bytes((number, 0)) for number in (1, 2, 5)),
)
_FIRST_ENTITY: Final = _get(
    "Get software, serial, maker and model of the first entity",
    "RFC 3416, 4.2.1 (GetRequest-PDU); RFC 6933, entPhysicalTable",
    *(_ENTITY + bytes((number, 1)) for number in (10, 11, 12, 13)),
)
FRAMES: Final = (_SYSTEM, _FIRST_ENTITY)
_LEAST: Final = 16


def whole(data: bytes) -> int:
    """A datagram is a message."""
    if len(data) < _LEAST or data[0] != 0x30:  # noqa: PLR2004  a sequence
        msg = "no SNMP answer"
        raise ValueError(msg)
    return len(data)


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """The system group, then the first entity; an agent without ENTITY-MIB says so within its answer."""
    for number, frame in enumerate((_SYSTEM, _FIRST_ENTITY), 1):
        yield Ask(frame, {"community": approval.community.encode(), "request": number})
