"""Siemens S7: system status lists 0x0011 (order number, firmware) and 0x001C (names, serial number).

Not published by its maker beyond the lists themselves. A list that does not fit one answer is taken as
far as its first part; the rest is not fetched.
"""

from __future__ import annotations

from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame, Number
from isthmus.edge.identify.talk import Ask, Talk

NAME: Final = "s7"
OVER: Final[Literal["tcp", "udp"]] = "tcp"
PORT: Final = 102
PAUSE_S: Final = 0.1
FAREWELL: Final = 0

_REFERENCE: Final = Number("reference", 2, "big")
_CONNECT: Final = Frame(
    "COTP Connection Request",
    "ISO 8073 (X.224) 13.3 within RFC 1006 6; TSAP of a programming device",
    (
        b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01",
        Number("rack and slot", 1, "big"),
    ),
)
_SETUP: Final = Frame(
    "S7 Setup Communication",
    "S7 job 0xF0; agrees the length of messages, reads and changes nothing",
    (
        b"\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00",
        _REFERENCE,
        b"\x00\x08\x00\x00\xf0\x00\x00\x01\x00\x01\x03\xc0",
    ),
)


def _list(number: bytes, what: str) -> Frame:
    return Frame(
        f"Read System Status List 0x{number.hex().upper()}: {what}",
        "S7 user data, CPU functions, read SZL; SIMATIC System and Standard Functions A5E02789976, 34",
        (
            b"\x03\x00\x00\x21\x02\xf0\x80\x32\x07\x00\x00",
            _REFERENCE,
            b"\x00\x08\x00\x08\x00\x01\x12\x04\x11\x44\x01\x00\xff\x09\x00\x04" + number + b"\x00\x00",
        ),
    )


_IDENTIFICATION: Final = _list(b"\x00\x11", "module identification")
_COMPONENTS: Final = _list(b"\x00\x1c", "component identification")
FRAMES: Final = (_CONNECT, _SETUP, _IDENTIFICATION, _COMPONENTS)
_LONGEST: Final = 2048
_CONFIRM, _DATA = 0xD0, 0xF0


def whole(data: bytes) -> int:
    """TPKT's length."""
    if len(data) < 4:  # noqa: PLR2004  TPKT
        return 0
    size = int.from_bytes(data[2:4], "big")
    if data[0] != 3 or not 7 <= size <= _LONGEST:  # noqa: PLR2004  its version, a data unit
        msg = "no TPKT header"
        raise ValueError(msg)
    return size


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """Connect, agree, two lists; nothing is asked again."""
    answer = yield Ask(_CONNECT, {"rack and slot": approval.rack << 5 | approval.slot})
    if answer[5] != _CONFIRM:
        msg = f"no CPU takes connections at rack {approval.rack}, slot {approval.slot}"
        raise ValueError(msg)
    for number, frame in enumerate((_SETUP, _IDENTIFICATION, _COMPONENTS), 1):
        answer = yield Ask(frame, {"reference": number})
        if answer[5] != _DATA or answer[7] != 0x32 or answer[11:13] != number.to_bytes(2, "big"):  # noqa: PLR2004  its mark
            msg = "an answer to another request"
            raise ValueError(msg)
