"""PROFINET DCP: a station's name, type, maker and address, and who renames it or gives it another address.

Source: IEC 61158-6-10, 4.3 (DCP). Only answers say who someone is: a request carries the name that is sought.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._vendors import PROFINET as VENDORS
from isthmus.assets.decode.protocols._words import be, identity, text
from isthmus.assets.decode.said import Act, Look, Packet, Said, Use

SERVICE: Final = "profinet-dcp"
PORTS: Final = frozenset({0x8892})
OVER: Final = frozenset({"l2"})
ALONE: Final = False
TELLS: Final = True

_HELLO, _GET_SET, _REQUEST, _ANSWER = 0xFEFC, 0xFEFD, 0xFEFE, 0xFEFF
_GET, _SET, _IDENTIFY, _HELLO_SERVICE = 3, 4, 5, 6
_HEADER: Final = 12
_BLOCKS: Final = {(2, 1): "model", (2, 2): "name", (2, 3): "device", (2, 4): "role", (1, 2): "ip"}
_CONTROL, _RESET, _FACTORY = 5, 5, 6
_SETS: Final[dict[tuple[int, int], tuple[str, Act]]] = {
    (1, 2): ("Set IP address", "engineering"), (2, 2): ("Set station name", "engineering"),
    (_CONTROL, 3): ("Flash light", "identify"), (_CONTROL, _RESET): ("Reset to factory", "control"),
    (_CONTROL, _FACTORY): ("Reset to factory", "control"),
}  # fmt: skip
_ROLES: Final = ((2, "controller"), (1, "remote I/O"), (8, "engineering station"))


def length(payload: bytes) -> int:
    """One of DCP's four frame ids, a service that exists, and blocks that fit."""
    if len(payload) < _HEADER or payload[0] != 0xFE or payload[1] < 0xFC or payload[3] > 1 + 4:  # noqa: PLR2004
        return 0
    return len(payload) if payload[2] in {_GET, _SET, _IDENTIFY, _HELLO_SERVICE} else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Requests to identify are counted; the rest is read."""
    frame = be(look, 0)
    telling = among(frame, (_HELLO, _GET_SET, _ANSWER))
    return np.where(telling, -1, np.where(frame == _REQUEST, 1, 0)).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One DCP frame."""
    frame, service, kind = int.from_bytes(packet.payload[:2], "big"), packet.payload[2], packet.payload[3]
    blocks = list(_blocks(packet.payload))
    if frame == _REQUEST:
        yield _use(packet, "Identify", "identify")
    elif service == _SET and kind == 0:
        for option, value in blocks:
            name, act = _SETS.get(option, (f"Set option {option[0]}/{option[1]}", "engineering"))
            if option != (_CONTROL, 2) and value is not None:
                yield _use(packet, name, act)
    elif frame in {_HELLO, _ANSWER} or (service == _GET and kind == 1):
        yield from _station(packet, dict(blocks))


def _use(packet: Packet, function: str, act: Act) -> Use:
    return Use(
        packet_frame=packet.frame, time_ns=packet.time_ns, client=packet.source_mac, server=packet.target_mac,
        port=packet.ether_type, service=SERVICE, function=function, act=act,
    )  # fmt: skip


def _blocks(payload: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Option, suboption, length, value, padded to even; behind service, kind, id, delay and the length of all."""
    at, end = _HEADER, min(len(payload), _HEADER + int.from_bytes(payload[10:12], "big"))
    while at + 4 <= end:
        size = int.from_bytes(payload[at + 2 : at + 4], "big")
        yield (payload[at], payload[at + 1]), payload[at + 4 : min(at + 4 + size, end)]
        at += 4 + size + size % 2


def _station(packet: Packet, blocks: dict[tuple[int, int], bytes]) -> Iterator[Said]:
    found = {_BLOCKS[option]: value[2:] for option, value in blocks.items() if option in _BLOCKS}
    device, ip, roles = found.get("device", b""), found.get("ip", b""), found.get("role", b"\0")[:1]
    vendor = int.from_bytes(device[:2], "big")
    more = (
        {"vendor id": f"0x{vendor:04x}", "device id": f"0x{int.from_bytes(device[2:4], 'big'):04x}"} if device else {}
    )
    address = ".".join(str(one) for one in ip[:4]) if len(ip) >= 4 and any(ip[:4]) else ""  # noqa: PLR2004  IPv4
    if not (found.get("name") or found.get("model") or device):
        return
    yield identity(
        packet, SERVICE, "PROFINET DCP", address=address, mac=packet.source_mac,
        maker=VENDORS.get(vendor, f"vendor 0x{vendor:04x}") if device else "",
        model=text(found.get("model", b""), "latin-1"), name=text(found.get("name", b""), "latin-1"),
        role=next((role for bit, role in _ROLES if roles and roles[0] & bit), ""), more=more,
    )  # fmt: skip
