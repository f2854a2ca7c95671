"""Omron FINS over UDP: Controller Data Read (05 01), one request and one answer."""

from __future__ import annotations

from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame, Number
from isthmus.edge.identify.talk import Ask, Talk

NAME: Final = "fins"
OVER: Final[Literal["tcp", "udp"]] = "udp"
PORT: Final = 9600
PAUSE_S: Final = 0.1
FAREWELL: Final = 0

_READ: Final = Frame(
    "Controller Data Read",
    "Omron W342, section 5 (CPU UNIT DATA READ, 05 01)",
    (b"\x80\x00\x02\x00\x00\x00\x00", Number("our node", 1, "big"), b"\x00\x69\x05\x01\x00"),
)
FRAMES: Final = (_READ,)
_HEADER, _ANSWER = 14, 0xC0


def whole(data: bytes) -> int:
    """A datagram is a message."""
    if len(data) < _HEADER or data[0] & _ANSWER != _ANSWER or data[10:12] != b"\x05\x01":
        msg = "no FINS answer to Controller Data Read"
        raise ValueError(msg)
    return len(data)


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """One request; FINS takes the last part of an address as its node number."""
    last = near.rpartition(".")[2]
    yield Ask(_READ, {"our node": int(last) if last.isdecimal() else 0x63})
