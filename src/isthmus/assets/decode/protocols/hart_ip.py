"""HART-IP: who a field device or gateway is (command 0), and which commands write.

Sources: FieldComm Group HCF_SPEC-085 (HART-IP), HCF_SPEC-127 (universal commands).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._vendors import HART as VENDORS
from isthmus.assets.decode.protocols._words import identity, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "hart-ip"
PORTS: Final = frozenset({5094})
OVER: Final = frozenset({"tcp", "udp"})
ALONE: Final = True
TELLS: Final = True

_HEADER, _PASS_THROUGH = 8, 3
_REQUEST, _ANSWER = 0, 1
_IDENTIFY: Final = frozenset({0, 11, 21, 73, 75})
_NAMES: Final[dict[int, tuple[str, Act]]] = {
    0: ("Read Unique Identifier", "identify"), 1: ("Read Primary Variable", "read"),
    2: ("Read Loop Current", "read"), 3: ("Read Dynamic Variables", "read"), 6: ("Write Polling Address", "write"),
    7: ("Read Loop Configuration", "read"), 9: ("Read Device Variables", "read"),
    11: ("Read Identifier of Tag", "identify"), 12: ("Read Message", "read"), 13: ("Read Tag", "read"),
    17: ("Write Message", "write"), 18: ("Write Tag", "write"), 19: ("Write Final Assembly Number", "write"),
    20: ("Read Long Tag", "read"), 22: ("Write Long Tag", "write"), 35: ("Write Range Values", "write"),
    38: ("Reset Configuration Changed", "write"), 40: ("Enter Fixed Current Mode", "control"),
    41: ("Perform Self Test", "control"), 42: ("Perform Device Reset", "control"), 48: ("Read Status", "read"),
}  # fmt: skip
_LONG_TAG: Final = 20


def length(payload: bytes) -> int:
    """Version 1 or 2, message type, message id, status, sequence, count of bytes in all."""
    if len(payload) < _HEADER or payload[0] not in {1, 2} or payload[1] > 2 or payload[2] > 4:  # noqa: PLR2004
        return 0
    whole = int.from_bytes(payload[6:8], "big")
    return whole if _HEADER <= whole <= 1500 and (payload[2] != _PASS_THROUGH or whole > _HEADER + 4) else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """Identifying answers are read; requests counted by command."""
    wide = look.lead.astype(np.int32)
    long_address = (wide[:, 8] & 0x80) != 0
    command = np.where(long_address, wide[:, 14], wide[:, 10])
    passed = wide[:, 2] == _PASS_THROUGH
    identifies = among(command, (*_IDENTIFY, _LONG_TAG)) & passed & (wide[:, 1] == _ANSWER)
    out = np.where(passed, 1 + command, 0x100 + wide[:, 2])
    return np.where(identifies, -1, np.where(wide[:, 1] == _REQUEST, out, 0)).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One message; a passed-through one carries a token-passing PDU."""
    if packet.payload[2] != _PASS_THROUGH:
        return
    pdu = packet.payload[_HEADER:]
    at = (6 if pdu[0] & 0x80 else 2) + (pdu[0] >> 5 & 3)
    command, body = pdu[at], pdu[at + 2 : at + 2 + pdu[at + 1]]
    if packet.payload[1] == _REQUEST:
        yield use(packet._replace(asks=True), SERVICE, *_NAMES.get(command, (f"command {command}", "other")))
    elif command in _IDENTIFY and len(body) >= 14:  # noqa: PLR2004  status and the identity of HART 5
        yield from _identity(packet, body[2:])
    elif command == _LONG_TAG and len(body) > 2 and pdu[0] & 0x80:  # noqa: PLR2004  status
        name = text(body[2:34], "latin-1")
        if name:
            yield identity(
                packet, SERVICE, "HART-IP command 20", child=f"device {pdu[1:6].hex()}", name=name, role="field device"
            )


def _identity(packet: Packet, body: bytes) -> Iterator[Said]:
    """254, type, preambles, HART, device and software revision, ..., device id; from HART 7 on the maker."""
    if body[0] != 254:  # noqa: PLR2004  the fixed first byte of the answer
        return
    hart7 = body[4] >= 7  # noqa: PLR2004  HART revision
    kind = int.from_bytes(body[1:3], "big")
    maker = int.from_bytes(body[17:19], "big") if hart7 and len(body) >= 19 else body[1]  # noqa: PLR2004
    number = body[9:12].hex()
    yield identity(
        packet, SERVICE, "HART-IP command 0", child=f"device {kind:04x}{number}",
        maker=VENDORS.get(maker, f"vendor 0x{maker:04x}"), model=f"HART device type 0x{kind:04x}",
        firmware=f"dev rev {body[5]}, sw rev {body[6]}", serial=number, role="field device",
        more={"vendor id": str(maker), "HART revision": str(body[4]), "hardware revision": str(body[7] >> 3)},
    )  # fmt: skip
