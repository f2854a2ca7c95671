"""IEC 60870-5-104: commands and interrogations.

Source: IEC 60870-5-104:2006, 5 (APCI) and IEC 60870-5-101, 7.2 (types).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "iec104"
PORTS: Final = frozenset({2404})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = True

_START: Final = 0x68
_UNNUMBERED: Final = frozenset({0x07, 0x0B, 0x13, 0x23, 0x43, 0x83})
_TYPES: Final[dict[int, tuple[str, Act]]] = {
    45: ("Single Command", "control"), 46: ("Double Command", "control"), 47: ("Regulating Step Command", "control"),
    48: ("Set Point, normalised", "write"), 49: ("Set Point, scaled", "write"), 50: ("Set Point, float", "write"),
    51: ("Bit String Command", "write"), 58: ("Single Command with time", "control"),
    59: ("Double Command with time", "control"), 60: ("Regulating Step with time", "control"),
    61: ("Set Point, normalised, with time", "write"), 62: ("Set Point, scaled, with time", "write"),
    63: ("Set Point, float, with time", "write"), 64: ("Bit String with time", "write"),
    100: ("Interrogation", "read"), 101: ("Counter Interrogation", "read"), 102: ("Read", "read"),
    103: ("Clock Synchronisation", "control"), 104: ("Test", "other"), 105: ("Reset Process", "control"),
    110: ("Parameter, normalised", "write"), 111: ("Parameter, scaled", "write"), 112: ("Parameter, float", "write"),
    113: ("Parameter Activation", "write"), 120: ("File Ready", "engineering"), 122: ("Call Directory", "engineering"),
}  # fmt: skip
_ACTIVATION, _CAUSE_REQUEST, _DEACTIVATION = 6, 5, 8


def length(payload: bytes) -> int:
    """Start, length, control field of one of three formats; an ASDU's type and cause must exist."""
    if len(payload) < 6 or payload[0] != _START or payload[1] < 4:  # noqa: PLR2004  an APCI
        return 0
    size, control = 2 + payload[1], payload[2]
    if control & 3 == 3:  # noqa: PLR2004  U format
        return 6 if size == 6 and control in _UNNUMBERED and payload[3:6] == b"\0\0\0" else 0  # noqa: PLR2004
    if control & 3 == 1:
        return 6 if size == 6 and control == 1 and payload[3] == 0 and not payload[4] & 1 else 0  # noqa: PLR2004
    told = len(payload) >= 12 and 1 <= payload[6] <= 127 and 1 <= payload[8] & 0x3F <= 47  # noqa: PLR2004
    return size if told and size >= 15 and not payload[4] & 1 else 0  # noqa: PLR2004  ASDU with an object


def kinds(look: Look) -> NDArray[np.int32]:
    """By type and cause, of messages with data."""
    wide = look.lead.astype(np.int32)
    data = (wide[:, 0] == _START) & (wide[:, 2] & 1 == 0) & (look.length >= 12)  # noqa: PLR2004  an ASDU
    asks = data & among(wide[:, 8] & 0x3F, (_ACTIVATION, _CAUSE_REQUEST, _DEACTIVATION))
    return np.where(asks, 1 + wide[:, 6], 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One APDU; only those that ask for something."""
    payload = packet.payload
    if payload[2] & 1 or payload[8] & 0x3F not in {_ACTIVATION, _CAUSE_REQUEST, _DEACTIVATION}:
        return
    if payload[6] in _TYPES:
        yield use(packet._replace(asks=True), SERVICE, *_TYPES[payload[6]])
