"""Beckhoff ADS: which services answer and in which version, and what was read, written or controlled.

Source: Beckhoff Information System, "ADS/AMS specification" (AMS/TCP header, AMS header, commands).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import identity, le, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "ads"
PORTS: Final = frozenset({48898})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = True

_HEADER: Final = 38
_READ_INFO: Final = 1
_COMMANDS: Final[dict[int, tuple[str, Act]]] = {
    0: ("Invalid", "other"), _READ_INFO: ("Read Device Info", "identify"), 2: ("Read", "read"), 3: ("Write", "write"),
    4: ("Read State", "read"), 5: ("Write Control", "control"), 6: ("Add Notification", "read"),
    7: ("Delete Notification", "other"), 8: ("Notification", "other"), 9: ("Read Write", "write"),
}  # fmt: skip
_ANSWER: Final = 1
_ROLES: Final = {801: "controller", 811: "controller", 851: "controller", 852: "controller"}


def length(payload: bytes) -> int:
    """AMS/TCP header with its zeros, then an AMS header whose command exists and whose lengths agree."""
    if len(payload) < _HEADER or payload[:2] != b"\0\0":
        return 0
    whole, data = int.from_bytes(payload[2:6], "little"), int.from_bytes(payload[26:30], "little")
    known = int.from_bytes(payload[22:24], "little") in _COMMANDS
    return 6 + whole if known and whole == data + 32 and whole < 1 << 20 else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Answers to Read Device Info are read, requests counted."""
    command, flags = le(look, 22), le(look, 24)
    answer = (flags & _ANSWER) != 0
    out = np.where(answer, np.where(command == _READ_INFO, -1, 0), 1 + command)
    return np.where((look.lead[:, 0] | look.lead[:, 1]) == 0, out, 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One AMS frame."""
    frame = packet.payload
    command, flags = int.from_bytes(frame[22:24], "little"), int.from_bytes(frame[24:26], "little")
    if not flags & _ANSWER:
        yield use(packet._replace(asks=True), SERVICE, *_COMMANDS[command])
    elif command == _READ_INFO and frame[38:42] == b"\0\0\0\0" and len(frame) >= 62:  # noqa: PLR2004  answer's size
        port = int.from_bytes(frame[20:22], "little")
        build = int.from_bytes(frame[44:46], "little")
        net = ".".join(str(one) for one in frame[14:20])
        yield identity(
            packet, SERVICE, "ADS Read Device Info", child=f"AMS port {port}", maker="Beckhoff",
            model=text(frame[46:62], "latin-1"), firmware=f"{frame[42]}.{frame[43]}.{build}",
            role=_ROLES.get(port, ""), more={"AMS net id": net},
        )  # fmt: skip
