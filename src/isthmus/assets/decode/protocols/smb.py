"""SMB: files and printers of Windows.

Source: Microsoft [MS-CIFS] 2.2.3, [MS-SMB2] 2.2.1; RFC 1002, 4.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import none, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "smb"
PORTS: Final = frozenset({139, 445})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = False

_SIGNS: Final = (b"\xffSMB", b"\xfeSMB", b"\xfdSMB", b"\xfcSMB")


def length(payload: bytes) -> int:
    """A session message with SMB within, or a session request."""
    if payload[4:8] in _SIGNS and payload[0] == 0:
        return 4 + int.from_bytes(payload[1:4], "big")
    return len(payload) if payload[:1] == b"\x81" and payload[4:5] == b"\x20" and len(payload) >= 72 else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """All of one kind: that it is used is what counts."""
    return none(look) + np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """That it is used."""
    yield use(packet, SERVICE, "file sharing")
