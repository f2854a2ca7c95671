"""SSDP: devices that look for each other (UPnP).

Source: UPnP Device Architecture 2.0, 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "ssdp"
PORTS: Final = frozenset({1900})
OVER: Final = frozenset({"udp"})
ALONE: Final = True
TELLS: Final = False


def length(payload: bytes) -> int:
    """A search or a notice."""
    return len(payload) if payload.startswith((b"M-SEARCH * HTTP", b"NOTIFY * HTTP")) else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "look for devices")
