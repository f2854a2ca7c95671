"""Syslog: messages of devices.

Source: RFC 3164, RFC 5424.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "syslog"
PORTS: Final = frozenset({514})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = False


def length(payload: bytes) -> int:
    """A priority in angle brackets."""
    return len(payload) if payload[:1] == b"<" and b">" in payload[1:5] else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "messages")
