"""TriStation, the engineering protocol of Triconex safety controllers: who reads or changes their program.

Not published; read as the Nozomi Networks dissector and the captures of 2017 show it. All of it concerns safety.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import identity, le, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "tristation"
PORTS: Final = frozenset({1502})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = False

_REQUEST, _ANSWER, _COMMAND = 1, 2, 5
_KINDS: Final = {1: "Connection Request", 2: "Connection Answer", 3: "Disconnect Request", 4: "Disconnect Answer",
                 _COMMAND: "Command", 6: "Ping", 7: "Connection Limit", 8: "Not Connected"}  # fmt: skip
_ENGINEERING: Final[Act] = "engineering"
_FUNCTIONS: Final[dict[int, tuple[str, Act]]] = {
    0x00: ("Start Download All", "engineering"), 0x01: ("Start Download Change", "engineering"),
    0x02: ("Update Configuration", "engineering"), 0x03: ("Upload Configuration", "engineering"),
    0x06: ("Load Vector Table", "engineering"), 0x07: ("Set Calendar", "control"),
    0x09: ("Set Scan Time", "engineering"), 0x0A: ("End Download All", "engineering"),
    0x0B: ("End Download Change", "engineering"), 0x0C: ("Cancel Download Change", "engineering"),
    0x0F: ("Configure Module", "engineering"), 0x10: ("Set Multiple Point Values", "write"),
    0x11: ("Enable All Points", "control"), 0x13: ("Get Control Program Status", "engineering"),
    0x14: ("Run Program", "control"), 0x15: ("Halt Program", "control"), 0x16: ("Pause Program", "control"),
    0x17: ("Do Single Scan", "control"), 0x18: ("Get Chassis Status", "engineering"),
    0x19: ("Get Minimum Scan Time", "engineering"), 0x1D: ("Get Main Processor Status", "engineering"),
    0x36: ("Get Module Versions", "identify"), 0x37: ("Allocate Program", "engineering"),
    0x38: ("Allocate Function", "engineering"), 0x41: ("Upload Program", "engineering"),
    0x42: ("Upload Function", "engineering"),
}  # fmt: skip


def length(payload: bytes) -> int:
    """Kind, channel, length of what stands between and the checksum's two bytes."""
    if len(payload) < 6 or payload[0] not in _KINDS or payload[1] > 3:  # noqa: PLR2004  least size, channels
        return 0
    return len(payload) if int.from_bytes(payload[2:4], "little") == len(payload) - 6 else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Counted by kind and function; the sender matters, so it is part of it."""
    function = le(look, 6, 1)
    command = look.lead[:, 0] == _COMMAND
    to_server = among(look.target_port, PORTS)
    return (1 + look.lead[:, 0] + (np.where(command, function, 0) << 8) + (to_server.astype(np.int64) << 20)).astype(
        np.int32
    )


def read(packet: Packet) -> Iterator[Said]:
    """One datagram."""
    kind = packet.payload[0]
    if packet.asks:
        name, act = _KINDS[kind], _ENGINEERING
        if kind == _COMMAND and len(packet.payload) > 10:  # noqa: PLR2004  header and function
            function = packet.payload[6]
            name, act = _FUNCTIONS.get(function, (f"Function 0x{function:02x}", "engineering"))
        yield use(packet, SERVICE, name, act)
    elif kind in {_ANSWER, _COMMAND}:
        yield identity(
            packet, SERVICE, "TriStation protocol", maker="Schneider Electric (Triconex)", role="safety controller"
        )
