"""NTP: time.

Source: RFC 5905, 7.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "ntp"
PORTS: Final = frozenset({123})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = False


def length(payload: bytes) -> int:
    """48 bytes at least, a version and a mode that exist."""
    return len(payload) if len(payload) >= 12 and 1 <= payload[0] >> 3 & 7 <= 4 and payload[0] & 7 else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "ask for the time")
