"""DHCPv6: addresses asked for and given.

Source: RFC 8415, 7.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "dhcpv6"
PORTS: Final = frozenset({546, 547})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = False


def length(payload: bytes) -> int:
    """A kind of message that exists, a transaction, then options."""
    return len(payload) if len(payload) >= 8 and 1 <= payload[0] <= 13 and payload[4] == 0 else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "ask for an address")
