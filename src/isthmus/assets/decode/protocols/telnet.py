"""Telnet: remote access to a command line that anyone can read.

Source: RFC 854.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "telnet"
PORTS: Final = frozenset({23})
OVER: Final = frozenset({"tcp"})
ALONE: Final = False
TELLS: Final = False


def length(payload: bytes) -> int:
    """Negotiation: 255, a verb, an option."""
    return len(payload) if len(payload) > 2 and payload[0] == 255 and 240 <= payload[1] <= 254 else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "remote command line in clear", "engineering")
