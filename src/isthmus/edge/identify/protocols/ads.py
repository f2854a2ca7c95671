"""Beckhoff ADS: the identification that every TwinCAT station gives over UDP, without a route.

Read Device Info over TCP answers only to stations that the device has a route to; making one would change
the device, so it is not here. Not published; the request is the one that Beckhoff's own search sends, sent
to one address instead of to all.
"""

from __future__ import annotations

from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame
from isthmus.edge.identify.talk import Ask, Talk

NAME: Final = "ads"
OVER: Final[Literal["tcp", "udp"]] = "udp"
PORT: Final = 48899
PAUSE_S: Final = 0.1
FAREWELL: Final = 0

_IDENTIFY: Final = Frame(
    "Identify",
    "ADS discovery, service 1 as Beckhoff's own search sends it; service 6, which adds a route, is not here",
    (b"\x03\x66\x14\x71" + bytes(4) + b"\x01\x00\x00\x00" + bytes(6) + b"\x10\x27" + bytes(4),),
)
FRAMES: Final = (_IDENTIFY,)
_HEADER: Final = 24


def whole(data: bytes) -> int:
    """A datagram is a message."""
    if len(data) < _HEADER or data[:4] != b"\x03\x66\x14\x71" or data[8:12] != b"\x01\x00\x00\x80":
        msg = "no answer to an ADS identification"
        raise ValueError(msg)
    return len(data)


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """One request."""
    yield Ask(_IDENTIFY)
