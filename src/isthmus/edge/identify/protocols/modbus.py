"""Modbus/TCP: Read Device Identification, function 43 / MEI 14.

Report Server ID (function 17) is left out: its clause says "serial line only", and its answer has no
fixed form, so that nothing could be taken from it without a guess. MEI 13, the other half of function 43,
can write and is not here either.
"""

from __future__ import annotations

from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame, Number
from isthmus.edge.identify.talk import Ask, Talk

NAME: Final = "modbus"
OVER: Final[Literal["tcp", "udp"]] = "tcp"
PORT: Final = 502
PAUSE_S: Final = 0.1
FAREWELL: Final = 0

_CLAUSE: Final = "MODBUS Application Protocol V1.1b3, 6.21 (43/14 Read Device Identification)"
_MBAP: Final = (Number("transaction", 2, "big"), b"\x00\x00\x00\x05", Number("unit", 1, "big"))
_REGULAR: Final = Frame(
    "Read Device Identification, regular",
    _CLAUSE,
    (*_MBAP, b"\x2b\x0e\x02", Number("object", 1, "big", 0, 6)),
)
_BASIC: Final = Frame(
    "Read Device Identification, basic",
    _CLAUSE,
    (*_MBAP, b"\x2b\x0e\x01", Number("object", 1, "big", 0, 2)),
)
FRAMES: Final = (_REGULAR, _BASIC)
_LAST: Final = {_REGULAR: 6, _BASIC: 2}
"""The last object of each."""
_LONGEST, _MOST_PARTS = 260, 3
_MORE: Final = 0xFF


def whole(data: bytes) -> int:
    """The length that MBAP tells."""
    if len(data) < 6:  # noqa: PLR2004  up to the length
        return 0
    size = 6 + int.from_bytes(data[4:6], "big")
    if data[2:4] != b"\0\0" or not 8 < size <= _LONGEST:  # noqa: PLR2004  a function and a byte
        msg = "no Modbus/TCP header"
        raise ValueError(msg)
    return size


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """Regular first, which holds the basic objects; basic where a device refuses that."""
    number, refused = 0, False
    for frame in (_REGULAR, _BASIC):
        following = 0
        for _ in range(_MOST_PARTS):
            number += 1
            answer = yield Ask(frame, {"transaction": number, "unit": approval.unit, "object": following})
            if answer[:2] != number.to_bytes(2, "big") or answer[7] & 0x7F != 0x2B:  # noqa: PLR2004  the function
                msg = "an answer to another request"
                raise ValueError(msg)
            refused = bool(answer[7] & 0x80)
            more = not refused and answer[11] == _MORE and following < answer[12] <= _LAST[frame]
            if not more:
                break
            following = answer[12]
        if not refused:
            return
