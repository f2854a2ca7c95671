"""DHCP and BOOTP: host names, and what a client says of its maker.

Sources: RFC 951, RFC 2131, RFC 2132.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import identity, none, text, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "dhcp"
PORTS: Final = frozenset({67, 68})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = True

_FIXED, _MAGIC = 236, b"\x63\x82\x53\x63"
_REQUEST, _ANSWER = 1, 2
_HOST, _MESSAGE, _VENDOR_CLASS = 12, 53, 60
_ACK, _NAK = 5, 6


def length(payload: bytes) -> int:
    """Request or answer over Ethernet, with the options' magic or the vendor field of BOOTP."""
    fits = len(payload) >= _FIXED + 4 and payload[0] in {_REQUEST, _ANSWER} and payload[1:3] == b"\1\6"
    return len(payload) if fits else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Few; all are read."""
    return none(look) - np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """One message; the address counts only where the server gives it."""
    payload = packet.payload
    options = dict(_options(payload[_FIXED + 4 :])) if payload[_FIXED : _FIXED + 4] == _MAGIC else {}
    if payload[0] == _REQUEST:
        yield use(packet._replace(asks=True), SERVICE, "Ask for an address")
    name, vendor = text(options.get(_HOST, b""), "latin-1"), text(options.get(_VENDOR_CLASS, b""), "latin-1")
    if not name and not (vendor and payload[0] == _REQUEST):
        return
    given = (
        payload[16:20] if payload[0] == _ANSWER and options.get(_MESSAGE, b"\5") == bytes((_ACK,)) else payload[12:16]
    )
    address = ".".join(str(one) for one in given) if any(given) else ""
    yield identity(
        packet, SERVICE, "DHCP host name", address=address, mac=payload[28:34].hex(":"), name=name,
        os="Windows" if vendor.startswith("MSFT ") else "", more={"vendor class": vendor} if vendor else {},
    )  # fmt: skip


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at] != 255:  # noqa: PLR2004  the end
        if data[at] == 0:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        yield data[at], data[at + 2 : at + 2 + size]
        at += 2 + size
