"""EtherNet/IP: List Identity, then by CIP the Identity object of modules behind it, where slots are approved.

All of one backplane seldom fits the frames of one visit; what is left is said, and asked in another window.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame, Number
from isthmus.edge.identify.talk import Ask, NoRoom, Talk

NAME: Final = "ethernet-ip"
OVER: Final[Literal["tcp", "udp"]] = "tcp"
PORT: Final = 44818
PAUSE_S: Final = 0.02
"""Short, so that acknowledgements ride on the next request and more slots fit the frames of one visit."""
FAREWELL: Final = 2

_CONTEXT: Final = (b"isthmus", Number("number", 1, "little"))
_SESSION: Final = Number("session", 4, "little")
_ENCAPSULATED: Final = b"\x00\x00\x00\x00\x05\x00\x02\x00\x00\x00\x00\x00\xb2\x00"
_GET_IDENTITY: Final = b"\x01\x02\x20\x01\x24\x01"
"""Get_Attributes_All, path: class 1 Identity, instance 1."""
_LIST: Final = Frame(
    "List Identity",
    "CIP Networks Library vol. 2, 2-4.2 (ListIdentity, 0x63)",
    (b"\x63\x00\x00\x00" + bytes(8), *_CONTEXT, bytes(4)),
)
_REGISTER: Final = Frame(
    "Register Session",
    "CIP Networks Library vol. 2, 2-4.4 (RegisterSession, 0x65)",
    (b"\x65\x00\x04\x00" + bytes(8), *_CONTEXT, bytes(4) + b"\x01\x00\x00\x00"),
)
_IDENTITY: Final = Frame(
    "Get Attributes All of Identity",
    "CIP Networks Library vol. 1, 5-2 (Identity object, Get_Attributes_All 0x01)",
    (b"\x6f\x00\x16\x00", _SESSION, bytes(4), *_CONTEXT, bytes(4) + _ENCAPSULATED + b"\x06\x00" + _GET_IDENTITY),
)
_SLOT: Final = Frame(
    "Get Attributes All of Identity, through the backplane",
    "CIP Networks Library vol. 1, 3-5 (Unconnected_Send) around 5-2 (Identity object, Get_Attributes_All 0x01)",
    (
        b"\x6f\x00\x24\x00", _SESSION, bytes(4), *_CONTEXT,
        bytes(4) + _ENCAPSULATED + b"\x14\x00" + b"\x52\x02\x20\x06\x24\x01" + b"\x06\x10" + b"\x06\x00"
        + _GET_IDENTITY + b"\x01\x00\x01", Number("slot", 1, "little", 0, 31),
    ),
)  # fmt: skip
_UNREGISTER: Final = Frame(
    "Unregister Session",
    "CIP Networks Library vol. 2, 2-4.5 (UnRegisterSession, 0x66)",
    (b"\x66\x00\x00\x00", _SESSION, bytes(4), *_CONTEXT, bytes(4)),
)
FRAMES: Final = (_LIST, _REGISTER, _IDENTITY, _SLOT, _UNREGISTER)
_HEADER, _LONGEST = 24, 24 + 4096


def whole(data: bytes) -> int:
    """The encapsulation header and the length it tells."""
    if len(data) < _HEADER:
        return 0
    size = _HEADER + int.from_bytes(data[2:4], "little")
    if data[0] not in {0x63, 0x65, 0x6F} or data[1] or size > _LONGEST:
        msg = "no EtherNet/IP header"
        raise ValueError(msg)
    return size


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """List Identity; a session only for slots, or where List Identity told nothing."""
    answer = yield Ask(_LIST, {"number": 0})
    told = _of(answer, 0x63, 0)[:2] not in {b"", b"\0\0"} and not answer[8:12].strip(b"\0")
    if told and not approval.slots:
        return
    registered = yield Ask(_REGISTER, {"number": 1})
    _of(registered, 0x65, 1)
    session = int.from_bytes(registered[4:8], "little")
    if not session or registered[8:12].strip(b"\0"):
        return
    with suppress(NoRoom):
        yield from _modules(approval, session, told=told)
    yield Ask(_UNREGISTER, {"session": session, "number": 2}, answered=False, goodbye=True)


def _modules(approval: Approval, session: int, *, told: bool) -> Talk:
    number = 3
    if not told:
        _of((yield Ask(_IDENTITY, {"session": session, "number": number})), 0x6F, number)
    for slot in approval.slots:
        number += 1
        _of((yield Ask(_SLOT, {"session": session, "number": number, "slot": slot})), 0x6F, number)


def _of(answer: bytes, command: int, number: int) -> bytes:
    """What an answer to this request holds. Raises ValueError for an answer to another."""
    if answer[0] != command or answer[12:20] != b"isthmus" + bytes((number,)):
        msg = "an answer to another request"
        raise ValueError(msg)
    return answer[_HEADER:]
