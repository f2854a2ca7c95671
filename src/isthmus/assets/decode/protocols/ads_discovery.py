"""Beckhoff's search for TwinCAT stations, and the route that makes one station trust another.

Not published; read as pyads and captures show it: magic, invoke id, service, AMS net id, port, tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import exposure, identity, le, text, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "ads-discovery"
PORTS: Final = frozenset({48899})
OVER: Final = frozenset({"udp"})
ALONE: Final = True
TELLS: Final = True

_MAGIC, _HEADER = b"\x03\x66\x14\x71", 24
_IDENTIFY, _ADD_ROUTE, _ANSWER = 1, 6, 0x8000_0000
_PASSWORD, _VERSION, _NAME, _USER = 2, 3, 5, 13


def length(payload: bytes) -> int:
    """The magic number, then the header."""
    return len(payload) if payload[:4] == _MAGIC and len(payload) >= _HEADER else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Few and telling: all are read."""
    return np.where(le(look, 0, 4) == int.from_bytes(_MAGIC, "little"), -1, 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One datagram."""
    service = int.from_bytes(packet.payload[8:12], "little")
    tags = dict(_tags(packet.payload))
    name = text(tags.get(_NAME, b""), "latin-1")
    if service & _ANSWER:
        version = tags.get(_VERSION, b"")
        if name and service & 0xFF == _IDENTIFY:
            build = int.from_bytes(version[2:4], "little")
            firmware = f"{version[0]}.{version[1]}.{build}" if build else ""
            net = ".".join(str(one) for one in packet.payload[12:18])
            yield identity(
                packet, SERVICE, "ADS discovery", maker="Beckhoff", name=name, role="controller",
                more={"AMS net id": net, **({"TwinCAT": firmware} if firmware else {})},
            )  # fmt: skip
        return
    asked = packet._replace(asks=True)
    if service == _ADD_ROUTE:
        yield use(asked, SERVICE, "Add Route", "engineering")
        if _PASSWORD in tags:
            user = text(tags.get(_USER, b""), "latin-1")
            yield exposure(asked, SERVICE, f"user name {user} and password")
    elif service == _IDENTIFY:
        yield use(asked, SERVICE, "Identify", "identify")


def _tags(payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEADER
    for _ in range(min(int.from_bytes(payload[20:24], "little"), 32)):
        if at + 4 > len(payload):
            return
        size = int.from_bytes(payload[at + 2 : at + 4], "little")
        yield int.from_bytes(payload[at : at + 2], "little"), payload[at + 4 : at + 4 + size]
        at += 4 + size
