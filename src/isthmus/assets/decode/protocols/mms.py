"""MMS (IEC 61850 and others): vendor, model and revision by Identify, and writes.

Sources: ISO 9506-2 (Identify, 10.4), RFC 1006, ISO 8327 and 8823 (session and presentation data).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._asn1 import Node, nodes
from isthmus.assets.decode.protocols._words import identity, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "mms"
PORTS: Final[frozenset[int]] = frozenset()
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = True

_TPKT_DATA: Final = b"\x02\xf0\x80"
_GIVE_TOKENS: Final = b"\x01\x00\x01\x00\x61"
_CONNECT, _ACCEPT = 0x0D, 0x0E
_REQUEST, _ANSWER = 0xA0, 0xA1
_IDENTIFY: Final = 0x82
_IDENTIFY_ANSWER: Final = 0xA2
_SERVICES: Final[dict[int, tuple[str, Act]]] = {
    0x80: ("Status", "read"), 0xA1: ("Get Name List", "read"), _IDENTIFY: ("Identify", "identify"),
    0xA4: ("Read", "read"), 0xA5: ("Write", "write"), 0xA6: ("Get Variable Attributes", "read"),
    0xAC: ("Get Named Variable List", "read"), 0xAB: ("Define Named Variable List", "engineering"),
}  # fmt: skip
_FIELDS: Final = {0x80: "maker", 0x81: "model", 0x82: "firmware"}


def length(payload: bytes) -> int:
    """RFC 1006, COTP data, then a session that connects, accepts or carries presentation data."""
    if payload[:2] != b"\x03\0" or payload[4:7] != _TPKT_DATA or len(payload) < 12:  # noqa: PLR2004
        return 0
    size = int.from_bytes(payload[2:4], "big")
    opens = payload[7] in {_CONNECT, _ACCEPT} and payload[8] + 9 <= size
    return size if opens or payload[7:12] == _GIVE_TOKENS else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Confirmed services stand at no fixed place; the PDU's tag is looked for behind the presentation header."""
    lead = look.lead
    out = np.zeros(len(lead), np.int32)
    for tag in (_REQUEST, _ANSWER):
        for at in range(18, 26):
            found = (out == 0) & (lead[:, at] == tag) & (lead[:, at - 2] == _REQUEST)
            for ahead in (4, 5, 6, 7, 8):
                service = lead[:, at + ahead].astype(np.int32)
                named = found & (lead[:, at + 2] == 2) & (lead[:, at + 3] + 4 == ahead)  # noqa: PLR2004  invoke id
                kind = 1 + service if tag == _REQUEST else np.where(service == _IDENTIFY_ANSWER, -1, 0)
                out = np.where(named, kind, out)
    return np.where(lead[:, 7] == 1, out, 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One message, when it is a confirmed request or answer."""
    if packet.payload[7:12] != _GIVE_TOKENS:
        return
    pdu = _mms(packet.payload[11:])
    if pdu is None:
        return
    parts = list(nodes(pdu.value, 3))
    if len(parts) < 2:  # noqa: PLR2004  invoke id and service
        return
    service = parts[1]
    if pdu.tag == _REQUEST and service.tag in _SERVICES:
        yield use(packet._replace(asks=True), SERVICE, *_SERVICES[service.tag])
    elif pdu.tag == _ANSWER and service.tag == _IDENTIFY_ANSWER:
        found = {_FIELDS[one.tag]: text(one.value) for one in nodes(service.value, 8) if one.tag in _FIELDS}
        if found:
            yield identity(packet, SERVICE, "MMS Identify", **found)


def _mms(data: bytes) -> Node | None:
    """Presentation: user data [APPLICATION 1], a list, context id, then the PDU within [0]."""
    outer = next(nodes(data, 1), None)
    listed = next(nodes(outer.value, 1), None) if outer else None
    for one in nodes(listed.value, 4) if listed else ():
        if one.tag == _REQUEST:
            return next(nodes(one.value, 1), None)
    return None
