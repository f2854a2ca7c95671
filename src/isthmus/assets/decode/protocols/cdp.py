"""Cisco Discovery Protocol: platform, software and name of the neighbour that sent it.

Source: Cisco, "Cisco Discovery Protocol" (Catalyst Token Ring Switching Implementation Guide, appendix).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import identity, none, text
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "cdp"
PORTS: Final = frozenset({0x2000})
OVER: Final = frozenset({"l2"})
ALONE: Final = True
TELLS: Final = False

_SNAP: Final = b"\xaa\xaa\x03\x00\x00\x0c\x20\x00"
_DEVICE, _ADDRESSES, _PORT, _CAPABILITIES, _VERSION, _PLATFORM, _MANAGEMENT = 1, 2, 3, 4, 5, 6, 0x16
_ROUTER, _SWITCH = 0x01, 0x0A
_SOFTWARE: Final = re.compile(r"[Vv]ersion:? ([^,\s]+)")


def length(payload: bytes) -> int:
    """LLC and SNAP with Cisco's number and CDP's type, then version 1 or 2."""
    return len(payload) if payload[:8] == _SNAP and payload[8:9] in {b"\1", b"\2"} else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All are read; one comes each minute."""
    return none(look) - np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """One announcement."""
    found = dict(_parts(packet.payload[12:]))
    platform, version = text(found.get(_PLATFORM, b"")), text(found.get(_VERSION, b""))
    name = text(found.get(_DEVICE, b""))
    if not platform and not name:
        return
    cisco = platform.lower().startswith("cisco") or "Cisco" in version
    software = _SOFTWARE.search(version)
    capabilities = int.from_bytes(found.get(_CAPABILITIES, b"")[:4], "big")
    yield identity(
        packet, SERVICE, "CDP", address=_address(found), mac=packet.source_mac, maker="Cisco" if cisco else "",
        model=platform[6:] if platform.lower().startswith("cisco ") else platform,
        firmware=software[1] if software else "", name=name, os="Cisco IOS" if "IOS" in version else "",
        role="switch" if capabilities & _SWITCH else "router" if capabilities & _ROUTER else "",
        more={"port": text(found.get(_PORT, b"")), "description": version},
    )  # fmt: skip


def _parts(payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(payload):
        kind, size = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 4], "big")
        if size < 4:  # noqa: PLR2004  type and length themselves
            return
        yield kind, payload[at + 4 : at + size]
        at += size


def _address(found: dict[int, bytes]) -> str:
    """The first IPv4 address: count, then protocol type, length, protocol, length, address."""
    for kind in (_MANAGEMENT, _ADDRESSES):
        data = found.get(kind, b"")
        if data[4:7] == b"\1\1\xcc" and data[7:9] == b"\0\4" and any(data[9:13]) and len(data) >= 13:  # noqa: PLR2004
            return ".".join(str(one) for one in data[9:13])
    return ""
