"""DNS and its relatives on the local link, mDNS and LLMNR.

Source: RFC 1035, RFC 6762, RFC 4795.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "dns"
PORTS: Final = frozenset({53, 5353, 5355})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = False


def length(payload: bytes) -> int:
    """A header whose counts are few, and a name."""
    if len(payload) < 17 or payload[2] & 0x70:  # noqa: PLR2004  header, name, type; opcodes are few
        return 0
    counts = [int.from_bytes(payload[at : at + 2], "big") for at in range(4, 12, 2)]
    return len(payload) if sum(counts) and max(counts) < 64 else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "ask for names")
