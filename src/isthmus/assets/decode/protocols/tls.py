"""TLS: that a conversation is encrypted.

Source: RFC 8446, RFC 5246 (record layer).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "tls"
PORTS: Final = frozenset({443, 8443, 8883})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = False

_KINDS: Final = frozenset({20, 21, 22, 23})
_MOST: Final = (1 << 14) + 2048


def length(payload: bytes) -> int:
    """A record of a kind and version that exist; a handshake begins with a hello."""
    if len(payload) < 6 or payload[0] not in _KINDS or payload[1] != 3 or payload[2] > 4:  # noqa: PLR2004
        return 0
    size = int.from_bytes(payload[3:5], "big")
    return len(payload) if 0 < size <= _MOST else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "encrypted session")
