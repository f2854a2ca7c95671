"""LLDP: chassis, name and description of the neighbour that sent it.

Sources: IEEE 802.1AB-2016 clause 8; ANSI/TIA-1057 (LLDP-MED inventory).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._descriptions import described
from isthmus.assets.decode.protocols._words import identity, none, text
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "lldp"
PORTS: Final = frozenset({0x88CC})
OVER: Final = frozenset({"l2"})
ALONE: Final = False
TELLS: Final = False

_CHASSIS, _PORT, _NAME, _DESCRIPTION, _CAPABILITIES, _MANAGEMENT, _OWN = 1, 2, 5, 6, 7, 8, 127
_MAC_SUBTYPE, _BRIDGE, _ROUTER, _IPV4 = 4, 0x04, 0x10, 1
_MED: Final = b"\x00\x12\xbb"
_MED_FIELDS: Final = {5: "hardware", 6: "firmware", 7: "software", 8: "serial", 9: "maker", 10: "model"}


def length(payload: bytes) -> int:
    """Begins with a chassis id."""
    return len(payload) if payload[:1] == b"\x02" and len(payload) > 9 else 0  # noqa: PLR2004  three obligatory TLVs


def kinds(look: Look) -> NDArray[np.int32]:
    """All are read; one comes each half minute."""
    return none(look) - np.int32(1)


def read(packet: Packet) -> Iterator[Said]:
    """One LLDPDU. The frame's source is a port's MAC; the chassis is what stays the same."""
    found: dict[str, str] = {}
    more: dict[str, str] = {}
    for kind, value in _parts(packet.payload):
        if kind == _CHASSIS and len(value) > 1:
            mac = value[0] == _MAC_SUBTYPE and len(value) == 7  # noqa: PLR2004  subtype and MAC
            more["chassis"] = value[1:].hex(":") if mac else text(value[1:])
        elif kind == _PORT and len(value) > 1:
            more["port"] = value[1:].hex(":") if value[0] == 3 else text(value[1:])  # noqa: PLR2004  MAC
        elif kind == _NAME:
            found["name"] = text(value)
        elif kind == _DESCRIPTION:
            more["description"] = text(value)
        elif kind == _CAPABILITIES and len(value) >= 4:  # noqa: PLR2004  has, enabled
            found.setdefault("role", "router" if value[3] & _ROUTER else "switch" if value[3] & _BRIDGE else "")
        elif kind == _MANAGEMENT and len(value) > 5 and value[0] == 5 and value[1] == _IPV4 and any(value[2:6]):  # noqa: PLR2004
            found["address"] = ".".join(str(one) for one in value[2:6])
        elif kind == _OWN and value[:3] == _MED and len(value) > 4 and value[3] in _MED_FIELDS:  # noqa: PLR2004
            more[_MED_FIELDS[value[3]]] = text(value[4:])
    if not found.get("name") and not more.get("description"):
        return
    fields: dict[str, str] = {"address": "", **{key: more.pop(key) for key in ("firmware", "serial", "maker", "model") if key in more},
              **described(more.get("description", "")), **{key: one for key, one in found.items() if one}}  # fmt: skip
    chassis = more.get("chassis", "")
    yield identity(
        packet, SERVICE, "LLDP", mac=chassis if chassis.count(":") == 5 else packet.source_mac, more=more,  # noqa: PLR2004
        **fields,
    )  # fmt: skip


def _parts(payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(payload):
        head = int.from_bytes(payload[at : at + 2], "big")
        kind, size = head >> 9, head & 0x1FF
        if kind == 0 or at + 2 + size > len(payload):
            return
        yield kind, payload[at + 2 : at + 2 + size]
        at += 2 + size
