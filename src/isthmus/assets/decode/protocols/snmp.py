"""SNMP: what a device says of itself (sysDescr, sysName, ENTITY-MIB), and communities in clear.

Sources: RFC 1157, RFC 3416, RFC 3412; RFC 3418 (system group); RFC 6933 (ENTITY-MIB).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._asn1 import header, nodes, oid
from isthmus.assets.decode.protocols._descriptions import described
from isthmus.assets.decode.protocols._words import exposure, identity, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "snmp"
PORTS: Final = frozenset({161, 162})
OVER: Final = frozenset({"udp"})
ALONE: Final = True
TELLS: Final = True

_SEQUENCE, _INTEGER, _OCTETS, _OID = 0x30, 2, 4, 6
_ANSWER: Final = 0xA2
_PDUS: Final[dict[int, tuple[str, Act]]] = {
    0xA0: ("Get", "read"), 0xA1: ("Get Next", "read"), 0xA3: ("Set", "write"), 0xA4: ("Trap", "other"),
    0xA5: ("Get Bulk", "read"), 0xA6: ("Inform", "other"), 0xA7: ("Trap", "other"),
}  # fmt: skip
_VERSIONS: Final = {0: "1", 1: "2c", 3: "3"}
_SYSTEM: Final = {
    "1.3.6.1.2.1.1.1.0": "description", "1.3.6.1.2.1.1.2.0": "object id", "1.3.6.1.2.1.1.4.0": "contact",
    "1.3.6.1.2.1.1.5.0": "name", "1.3.6.1.2.1.1.6.0": "location",
}  # fmt: skip
_ENTITY: Final = {
    "1.3.6.1.2.1.47.1.1.1.1.9.": "firmware", "1.3.6.1.2.1.47.1.1.1.1.10.": "software",
    "1.3.6.1.2.1.47.1.1.1.1.11.": "serial", "1.3.6.1.2.1.47.1.1.1.1.12.": "maker",
    "1.3.6.1.2.1.47.1.1.1.1.13.": "model",
}  # fmt: skip


def length(payload: bytes) -> int:
    """A sequence of a version that exists and a community (1, 2c) or header (3)."""
    ahead, size = header(payload)
    if not ahead or payload[0] != _SEQUENCE or ahead + size > len(payload) or size < 8:  # noqa: PLR2004
        return 0
    if payload[ahead : ahead + 2] != b"\x02\x01" or payload[ahead + 2] not in _VERSIONS:
        return 0
    return len(payload) if payload[ahead + 3] == (_SEQUENCE if payload[ahead + 2] == 3 else _OCTETS) else 0  # noqa: PLR2004


def kinds(look: Look) -> NDArray[np.int32]:
    """Answers that hold an object of the system group or of ENTITY-MIB are read; others counted by PDU."""
    wide = look.lead
    lead = wide[:, 1] & 0x7F
    ahead = np.where(wide[:, 1] & 0x80, 2 + lead.astype(np.int64), 2)
    at = np.minimum(ahead + 3, 60)
    rows = np.arange(len(wide))
    size = wide[rows, np.minimum(at + 1, 63)].astype(np.int64)
    pdu = wide[rows, np.minimum(at + 2 + size, 63)].astype(np.int32)
    system = _holds(wide, b"\x2b\x06\x01\x02\x01\x01") | _holds(wide, b"\x2b\x06\x01\x02\x01\x2f")
    answer = pdu == _ANSWER
    out = np.where(answer & (system | (at + 2 + size > 50)), -1, np.where(answer, 0, 1 + pdu))  # noqa: PLR2004
    return np.where(wide[:, 0] == _SEQUENCE, out, 0).astype(np.int32)


def _holds(lead: NDArray[np.uint8], sign: bytes) -> NDArray[np.bool_]:
    """Whether the bytes stand anywhere in the first look."""
    width = lead.shape[1] - len(sign) + 1
    out = np.ones((len(lead), width), bool)
    for index, byte in enumerate(sign):
        out &= lead[:, index : index + width] == byte
    return np.logical_or.reduce(out, axis=1)


def read(packet: Packet) -> Iterator[Said]:
    """One message of version 1 or 2c; of version 3 only that it is used."""
    ahead, size = header(packet.payload)
    parts = list(nodes(packet.payload[ahead : ahead + size], 8))
    version = _VERSIONS[parts[0].value[0]]
    if version == "3" or len(parts) < 3 or parts[1].tag != _OCTETS:  # noqa: PLR2004  version, community, PDU
        return
    pdu, community = parts[2], text(parts[1].value, "latin-1")
    if pdu.tag in _PDUS:
        trap = "Trap" in _PDUS[pdu.tag][0] or "Inform" in _PDUS[pdu.tag][0]
        asked = packet._replace(asks=True)
        yield use(asked, SERVICE, f"{_PDUS[pdu.tag][0]} (version {version})", _PDUS[pdu.tag][1])
        if community:
            yield exposure(asked, SERVICE, f"community {community}" + (" in a trap" if trap else ""))
    elif pdu.tag == _ANSWER:
        yield from _answer(packet._replace(asks=False), pdu.value)


def _answer(packet: Packet, pdu: bytes) -> Iterator[Said]:
    """Request id, error, index, then a list of (object, value)."""
    parts = list(nodes(pdu, 4))
    found: dict[str, str] = {}
    entities: dict[str, dict[str, str]] = {}
    for binding in nodes(parts[3].value) if len(parts) > 3 else ():  # noqa: PLR2004  as above
        pair = list(nodes(binding.value, 2))
        if len(pair) < 2 or pair[0].tag != _OID:  # noqa: PLR2004  a pair
            continue
        name = oid(pair[0].value)
        if name in _SYSTEM:
            found[_SYSTEM[name]] = oid(pair[1].value) if pair[1].tag == _OID else text(pair[1].value)
        prefix, _, index = name.rpartition(".")
        if pair[1].tag == _OCTETS and f"{prefix}." in _ENTITY and pair[1].value:
            entities.setdefault(index, {})[_ENTITY[f"{prefix}."]] = text(pair[1].value)
    if found:
        yield from _system(packet, found)
    for index, fields in entities.items():
        firmware = fields.pop("software", "") or fields.get("firmware", "")
        fields.pop("firmware", None)
        yield identity(
            packet, SERVICE, "SNMP ENTITY-MIB", child="" if index == "1" else f"entity {index}", firmware=firmware, **fields
        )  # fmt: skip


def _system(packet: Packet, found: dict[str, str]) -> Iterator[Said]:
    fields = described(found.get("description", ""))
    if found.get("name"):
        fields["name"] = found["name"]
    more = {key: value for key, value in found.items() if value and key != "name"}
    yield identity(packet, SERVICE, "SNMP system group", more=more, **fields)
