"""BACnet/IP: who is there (I-Am), model, firmware and maker (ReadProperty, ReadPropertyMultiple), writes.

Source: ANSI/ASHRAE 135-2020, clauses 15, 16, 20, annex J.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._vendors import BACNET as VENDORS
from isthmus.assets.decode.protocols._words import identity, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "bacnet"
PORTS: Final = frozenset({47808})
OVER: Final = frozenset({"udp"})
ALONE: Final = True
TELLS: Final = True

_BVLL, _FORWARDED = 0x81, 4
_MOST_FUNCTION: Final = 0x0C
_CONFIRMED, _UNCONFIRMED, _SIMPLE, _COMPLEX = 0, 1, 2, 3
_READ, _READ_MULTIPLE, _I_AM, _WHO_IS = 12, 14, 0, 8
_CONFIRMED_SERVICES: Final[dict[int, tuple[str, Act]]] = {
    0: ("Acknowledge Alarm", "control"), 5: ("Subscribe COV", "read"), 6: ("Atomic Read File", "read"),
    7: ("Atomic Write File", "engineering"), 8: ("Add List Element", "write"), 9: ("Remove List Element", "write"),
    10: ("Create Object", "engineering"), 11: ("Delete Object", "engineering"), _READ: ("Read Property", "read"),
    _READ_MULTIPLE: ("Read Property Multiple", "read"), 15: ("Write Property", "write"),
    16: ("Write Property Multiple", "write"), 17: ("Device Communication Control", "control"),
    18: ("Private Transfer", "other"), 20: ("Reinitialise Device", "control"), 26: ("Read Range", "read"),
}  # fmt: skip
_UNCONFIRMED_SERVICES: Final[dict[int, tuple[str, Act]]] = {
    7: ("Who Has", "identify"), _WHO_IS: ("Who Is", "identify"), 6: ("Time Synchronisation", "control"),
    9: ("UTC Time Synchronisation", "control"), 4: ("Private Transfer", "other"), 10: ("Write Group", "write"),
}  # fmt: skip
_DEVICE: Final = 8
_PROPERTIES: Final = {
    12: "application", 28: "description", 44: "firmware", 58: "location", 70: "model", 77: "name", 120: "vendor id",
    121: "maker", 372: "serial",
}  # fmt: skip
_ENCODINGS: Final = {0: "utf-8", 4: "utf-16-be", 5: "latin-1"}


def length(payload: bytes) -> int:
    """BVLL type, function and length that fits, then network layer version 1."""
    if len(payload) < 6 or payload[0] != _BVLL or payload[1] > _MOST_FUNCTION:  # noqa: PLR2004  BVLL and NPDU
        return 0
    whole = int.from_bytes(payload[2:4], "big")
    if whole != len(payload):
        return 0
    at = 10 if payload[1] == _FORWARDED else 4
    return whole if payload[1] in {0, 1, 2, 3, 5, 6, 7, 8} or payload[at : at + 1] == b"\1" else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """All of it is little; what names a device cannot be told at a fixed place."""
    wide = look.lead.astype(np.int32)
    plain = (wide[:, 0] == _BVLL) & among(wide[:, 1], (0x0A, 0x0B)) & (wide[:, 5] & 0xA8 == 0)
    pdu = wide[:, 6]
    service = np.where(pdu >> 4 == _CONFIRMED, wide[:, 9], wide[:, 7])
    counted = plain & ((pdu >> 4 == _CONFIRMED) | ((pdu >> 4 == _UNCONFIRMED) & (service != _I_AM)))
    dull = plain & ((pdu >> 4 == _SIMPLE) | (pdu >> 4 > _COMPLEX))
    out = np.where(counted, 1 + (service | (pdu & 0xF0) << 8), np.where(dull, 0, -1))
    return np.where(wide[:, 0] == _BVLL, out, 0).astype(np.int32)


class _Npdu(NamedTuple):
    child: str
    """Network and address of the sender behind a router, "" for the sender of the packet."""
    apdu: bytes


def read(packet: Packet) -> Iterator[Said]:
    """One datagram."""
    if packet.payload[1] not in {4, 9, 0x0A, 0x0B}:
        return
    found = _npdu(packet.payload[10 if packet.payload[1] == _FORWARDED else 4 :])
    if found is None or not found.apdu:
        return
    kind, apdu = found.apdu[0] >> 4, found.apdu
    if kind == _UNCONFIRMED:
        if apdu[1] == _I_AM:
            yield from _i_am(packet, found)
        else:
            name, act = _UNCONFIRMED_SERVICES.get(apdu[1], (f"unconfirmed service {apdu[1]}", "other"))
            yield use(packet._replace(asks=True), SERVICE, name, act)
    elif kind == _CONFIRMED:
        service = apdu[5 if apdu[0] & 8 else 3]
        name, act = _CONFIRMED_SERVICES.get(service, (f"confirmed service {service}", "other"))
        yield use(packet._replace(asks=True), SERVICE, name, act)
    elif kind == _COMPLEX and not apdu[0] & 8:
        if apdu[2] == _READ:
            yield from _named(packet, found.child, _property(apdu[3:]), "BACnet Read Property")
        elif apdu[2] == _READ_MULTIPLE:
            for device, values in _multiple(apdu[3:]):
                yield from _named(packet, found.child, (device, values), "BACnet Read Property Multiple")


def _npdu(data: bytes) -> _Npdu | None:
    """Clause 6.2: version, control, destination, source, hop count; network messages hold no APDU."""
    control, at, child = data[1], 2, ""
    if control & 0x80 or data[0] != 1:
        return None
    if control & 0x20:
        at += 3 + data[at + 2]
    if control & 8:
        size = data[at + 2]
        child = f"network {int.from_bytes(data[at : at + 2], 'big')} address {data[at + 3 : at + 3 + size].hex()}"
        at += 3 + size
    if control & 0x20:
        at += 1
    return _Npdu(child, data[at:])


class _Tag(NamedTuple):
    number: int
    context: bool
    opens: bool
    closes: bool
    value: bytes
    end: int


def _tag(data: bytes, at: int) -> _Tag:
    """Clause 20.2.1."""
    first = data[at]
    number, at = first >> 4, at + 1
    if number == 15:  # noqa: PLR2004  the number follows
        number, at = data[at], at + 1
    context, size = bool(first & 8), first & 7
    if context and size in {6, 7}:
        return _Tag(number, context, size == 6, size == 7, b"", at)  # noqa: PLR2004  opening, closing
    if size == 5:  # noqa: PLR2004  the length follows
        size, at = data[at], at + 1
        if size == 254:  # noqa: PLR2004  in two bytes
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        elif size == 255:  # noqa: PLR2004  in four
            size, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    if not context and number == 1:
        size = 0  # a Boolean's value stands in the length
    return _Tag(number, context, opens=False, closes=False, value=data[at : at + size], end=at + size)


def _device_of(value: bytes) -> int:
    """The instance number when an object identifier is a device's, else -1."""
    number = int.from_bytes(value, "big")
    return number & 0x3FFFFF if number >> 22 == _DEVICE else -1


def _value(tag: _Tag) -> str:
    if tag.number == 7 and tag.value:  # noqa: PLR2004  CharacterString
        return text(tag.value[1:], _ENCODINGS.get(tag.value[0], "latin-1"))
    return str(int.from_bytes(tag.value, "big")) if tag.number == 2 and tag.value else ""  # noqa: PLR2004  Unsigned


def _property(data: bytes) -> tuple[int, dict[str, str]]:
    """Object, property, perhaps an index, then the value between opening and closing tag 3."""
    device, known, at, inside = -1, "", 0, False
    while at < len(data):
        tag = _tag(data, at)
        if tag.context and tag.number == 0 and not inside:
            device = _device_of(tag.value)
        elif tag.context and tag.number == 1 and not inside:
            known = _PROPERTIES.get(int.from_bytes(tag.value, "big"), "")
        elif inside and not tag.context:
            return device, {known: _value(tag)} if known else {}
        inside = inside or tag.opens
        at = tag.end
    return device, {}


def _multiple(data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Per object: [0] object, [1] list of ([2] property, [3] index, [4] value or [5] error)."""
    device, values, known, depth, at = -1, dict[str, str](), "", 0, 0
    for _ in range(4096):
        if at >= len(data):
            break
        tag = _tag(data, at)
        at = tag.end
        if tag.opens or tag.closes:
            depth += 1 if tag.opens else -1
        elif tag.context and tag.number == 0 and depth == 0:
            if values:
                yield device, values
            device, values = _device_of(tag.value), {}
        elif tag.context and tag.number == 2 and depth == 1:  # noqa: PLR2004  property
            known = _PROPERTIES.get(int.from_bytes(tag.value, "big"), "")
        elif known and depth == 2 and not tag.context:  # noqa: PLR2004  within the value
            values.setdefault(known, _value(tag))
    if values:
        yield device, values


def _named(packet: Packet, child: str, found: tuple[int, dict[str, str]], method: str) -> Iterator[Said]:
    device, values = found
    values = {key: value for key, value in values.items() if value}
    if device < 0 or not values:
        return
    number = values.get("vendor id", "")
    maker = values.get("maker") or (VENDORS.get(int(number), f"vendor 0x{int(number):04x}") if number else "")
    yield identity(
        packet, SERVICE, method, child=child, maker=maker, model=values.get("model", ""),
        firmware=values.get("firmware", ""), serial=values.get("serial", ""), name=values.get("name", ""),
        role="building controller",
        more={"device instance": str(device), **{key: values[key] for key in ("application", "description", "location",
              "vendor id") if key in values}},
    )  # fmt: skip


def _i_am(packet: Packet, found: _Npdu) -> Iterator[Said]:
    """Object identifier, largest APDU, segmentation, vendor."""
    values, at = list[_Tag](), 2
    while at < len(found.apdu) and len(values) < 4:  # noqa: PLR2004  as above
        values.append(_tag(found.apdu, at))
        at = values[-1].end
    if len(values) < 4 or values[0].number != 12 or _device_of(values[0].value) < 0:  # noqa: PLR2004
        return
    vendor = int.from_bytes(values[3].value, "big")
    yield identity(
        packet, SERVICE, "BACnet I-Am", child=found.child, maker=VENDORS.get(vendor, f"vendor 0x{vendor:04x}"),
        role="building controller",
        more={"device instance": str(_device_of(values[0].value)), "vendor id": str(vendor)},
    )  # fmt: skip
