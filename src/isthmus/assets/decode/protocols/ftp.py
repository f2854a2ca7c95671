"""FTP: user names with passwords in clear, and the server's greeting.

Source: RFC 959.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import exposure, identity, numbered, printable, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "ftp"
PORTS: Final = frozenset({21})
OVER: Final = frozenset({"tcp"})
ALONE: Final = False
TELLS: Final = False

_COMMANDS: Final[tuple[tuple[bytes, Act], ...]] = (
    (b"PASS ", "other"), (b"STOR ", "write"), (b"RETR ", "read"), (b"DELE ", "write"), (b"LIST", "read"),
    (b"USER ", "other"), (b"220", "other"),
)  # fmt: skip


def length(payload: bytes) -> int:
    """A line of letters, or of a number and text."""
    line = payload.split(b"\r\n", 1)[0]
    words = line[:3].isdigit() or line.split(b" ", 1)[0].isalpha()
    return len(payload) if 3 <= len(line) < 512 and words and printable(line) else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """By command."""
    found = numbered(look, *(sign for sign, _ in _COMMANDS))
    return np.where(among(found, (1, 6)), -found, found).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One line."""
    line = packet.payload.split(b"\r\n", 1)[0]
    if line.startswith(b"220") and not packet.asks:
        yield identity(
            packet, SERVICE, "FTP greeting", child=f"port {packet.source_port}", more={"ftp greeting": text(line[4:])}
        )
    for sign, act in _COMMANDS:
        if packet.asks and line.startswith(sign):
            yield use(packet, SERVICE, text(sign), act)
    if line.startswith(b"PASS ") and packet.asks:
        user = text(packet.asked[5:]) if packet.asked.startswith(b"USER ") else ""
        yield exposure(packet, SERVICE, f"user name {user} and password" if user else "password")
