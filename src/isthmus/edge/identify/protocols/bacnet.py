"""BACnet/IP: Read Property of the Device object, each sent to one address; Who-Is where that needs its number.

Who-Is comes last and goes to the one address, but many devices answer it to everybody, so it is only sent
where the number that stands for "whoever you are" is not understood.
"""

from __future__ import annotations

from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame, Number
from isthmus.edge.identify.talk import Ask, Talk

NAME: Final = "bacnet"
OVER: Final[Literal["tcp", "udp"]] = "udp"
PORT: Final = 47808
PAUSE_S: Final = 0.1
FAREWELL: Final = 0

_CLAUSE: Final = "ANSI/ASHRAE 135-2020, 15.5 (ReadProperty), 12.11 (Device object)"
_INVOKE: Final = Number("invoke", 1, "big")
_DEVICE: Final = Number("device", 4, "big", 8 << 22, (8 << 22) + 0x3FFFFF)
_WHOEVER: Final = (8 << 22) + 0x3FFFFF


def _read(name: str, number: int) -> Frame:
    body = bytes((0x19, number)) if number < 0x100 else b"\x1a" + number.to_bytes(2, "big")  # noqa: PLR2004  a byte
    head = b"\x81\x0a" + (15 + len(body)).to_bytes(2, "big") + b"\x01\x04\x00\x05"
    return Frame(f"Read Property {name} of Device", _CLAUSE, (head, _INVOKE, b"\x0c\x0c", _DEVICE, body))


_WHO: Final = _read("object-identifier", 75)
_PROPERTIES: Final = (
    _read("vendor-name", 121), _read("model-name", 70), _read("firmware-revision", 44),
    _read("application-software-version", 12), _read("object-name", 77), _read("serial-number", 372),
)  # fmt: skip
_WHO_IS: Final = Frame(
    "Who-Is, to one address",
    "ANSI/ASHRAE 135-2020, 16.10 (Who-Is)",
    (b"\x81\x0a\x00\x08\x01\x00\x10\x08",),
)
FRAMES: Final = (_WHO, *_PROPERTIES, _WHO_IS)
_COMPLEX, _I_AM = 0x30, b"\x10\x00\xc4"
_IDENTIFIER: Final = b"\x3e\xc4"
"""Opening tag 3, then an object identifier of four bytes."""


def whole(data: bytes) -> int:
    """A datagram is a message."""
    if len(data) < 8 or data[0] != 0x81 or int.from_bytes(data[2:4], "big") != len(data):  # noqa: PLR2004  BVLL, NPDU, APDU
        msg = "no BACnet/IP message"
        raise ValueError(msg)
    return len(data)


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """Its number first, then what it says of itself; a property that it has not costs one refusal."""
    answer = yield Ask(_WHO, {"invoke": 0, "device": _WHOEVER})
    device = _after(answer, _IDENTIFIER)
    if not device:
        device = _after((yield Ask(_WHO_IS)), _I_AM)
    if not device:
        msg = "it does not say which device it is"
        raise ValueError(msg)
    for number, frame in enumerate(_PROPERTIES, 1):
        yield Ask(frame, {"invoke": number, "device": device})


def _after(answer: bytes, sign: bytes) -> int:
    """The device's object identifier behind `sign`, 0 where there is none."""
    at = answer.find(sign)
    value = int.from_bytes(answer[at + len(sign) : at + len(sign) + 4], "big") if at >= 0 else 0
    return value if value >> 22 == 8 else 0  # noqa: PLR2004  Device
