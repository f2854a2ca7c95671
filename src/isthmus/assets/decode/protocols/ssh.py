"""SSH: remote access to a command line, encrypted.

Source: RFC 4253, 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "ssh"
PORTS: Final = frozenset({22})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = False


def length(payload: bytes) -> int:
    """The line by which both sides begin."""
    return len(payload) if payload.startswith(b"SSH-") else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "remote command line", "engineering")
