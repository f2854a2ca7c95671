"""CIP I/O: the cyclic data of EtherNet/IP over UDP.

Source: ODVA CIP Networks Library volume 2, 2-6 (sequenced address item, then connected data).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "cip-io"
PORTS: Final = frozenset({2222})
OVER: Final = frozenset({"udp"})
ALONE: Final = True
TELLS: Final = False
_SEQUENCED = b"\x02\x00\x02\x80\x08\x00"
_LEAST = 18


def length(payload: bytes) -> int:
    """Two items: sequenced address of 8 bytes, connected data whose length fits."""
    if payload[:6] != _SEQUENCED or payload[14:16] != b"\xb1\x00" or len(payload) < _LEAST:
        return 0
    whole = _LEAST + int.from_bytes(payload[16:18], "little")
    return whole if whole <= len(payload) else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it flows."""
    yield use(packet, SERVICE, "cyclic data")
