"""Synchrophasors: which measurement units send, and their names from the configuration frame.

Source: IEEE C37.118.2-2011, 6 (frames), table 8 (configuration 1 and 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import identity, printable, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "synchrophasor"
PORTS: Final = frozenset({4712, 4713})
OVER: Final = frozenset({"tcp", "udp"})
ALONE: Final = True
TELLS: Final = True

_SYNC, _LEAST = 0xAA, 16
_CONFIGURATIONS, _COMMAND = frozenset({2, 3}), 4
_COMMANDS: Final[dict[int, tuple[str, Act]]] = {
    1: ("Turn off data", "control"), 2: ("Turn on data", "control"), 3: ("Send header", "read"),
    4: ("Send configuration 1", "read"), 5: ("Send configuration 2", "read"), 6: ("Send configuration 3", "read"),
    8: ("Extended command", "control"),
}  # fmt: skip
_NAME_AT, _NAME_BYTES = 20, 16


def length(payload: bytes) -> int:
    """Sync byte, a frame's type and version 1 or 2, its size."""
    if len(payload) < _LEAST or payload[0] != _SYNC or payload[1] >> 4 > 5 or payload[1] & 15 not in {1, 2}:  # noqa: PLR2004
        return 0
    size = int.from_bytes(payload[2:4], "big")
    return size if size >= _LEAST else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Configurations are read, commands counted by what they ask."""
    kind = (look.lead[:, 1] >> 4).astype(np.int32)
    mine = look.lead[:, 0] == _SYNC
    command = np.where(kind == _COMMAND, 1 + look.lead[:, 15].astype(np.int32), 0)
    return np.where(mine, np.where(among(kind, _CONFIGURATIONS), -1, command), 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One frame."""
    payload, kind = packet.payload, packet.payload[1] >> 4
    if kind == _COMMAND:
        name, act = _COMMANDS.get(payload[15], (f"command {payload[15]}", "other"))
        yield use(packet._replace(asks=True), SERVICE, name, act)
    elif kind in _CONFIGURATIONS:
        raw = payload[_NAME_AT : _NAME_AT + _NAME_BYTES].rstrip(b"\0 ")
        if raw and printable(raw):
            yield identity(
                packet, SERVICE, "C37.118 configuration", name=text(raw), role="field device",
                child=f"unit {int.from_bytes(payload[36:38], 'big')}",
            )  # fmt: skip
