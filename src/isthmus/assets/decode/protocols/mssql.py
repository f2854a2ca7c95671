"""Microsoft SQL Server: the database of many historians.

Source: Microsoft [MS-TDS] 2.2.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "mssql"
PORTS: Final = frozenset({1433})
OVER: Final = frozenset({"tcp"})
ALONE: Final = False
TELLS: Final = False


def length(payload: bytes) -> int:
    """A packet header of a kind that exists."""
    return len(payload) if len(payload) >= 8 and payload[0] in {1, 3, 4, 14, 16, 18} and payload[1] <= 9 else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "database")
