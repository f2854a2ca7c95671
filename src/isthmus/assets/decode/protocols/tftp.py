"""TFTP: files without any login, as firmware is often loaded.

Source: RFC 1350.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "tftp"
PORTS: Final = frozenset({69})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = False


def length(payload: bytes) -> int:
    """A read or write request with a name and a mode."""
    ends = payload.count(b"\0", 2) >= 2  # noqa: PLR2004  behind the name and the mode
    return len(payload) if payload[:2] in {b"\0\1", b"\0\2"} and ends else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "file transfer without login", "engineering")
