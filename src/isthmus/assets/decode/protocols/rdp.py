"""Remote Desktop: a screen seen and driven from afar.

Source: Microsoft [MS-RDPBCGR] 2.2.1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "rdp"
PORTS: Final = frozenset({3389})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = False


def length(payload: bytes) -> int:
    """RFC 1006 with a connection request or confirm that carries a cookie or a negotiation."""
    if payload[:2] != b"\x03\0" or len(payload) < 11 or payload[5] not in {0xE0, 0xD0}:  # noqa: PLR2004
        return 0
    size = int.from_bytes(payload[2:4], "big")
    tail = payload[11:]
    negotiates = tail[:4] in {b"\1\0\x08\0", b"\2\0\x08\0", b"\2\x1f\x08\0", b"\3\0\x08\0"} or tail.startswith(
        b"Cookie: mstshash"
    )
    return size if negotiates else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "remote desktop", "engineering")
