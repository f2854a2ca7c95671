"""EtherNet/IP: ListIdentity, the CIP Identity object of a device and of the modules behind it, CIP services.

Sources: ODVA CIP Networks Library volumes 1 (5-2 Identity object, appendix C paths) and 2 (chapter 2
encapsulation). Vendor numbers are ODVA's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._vendors import CIP as VENDORS
from isthmus.assets.decode.protocols._words import identity, le, printable, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "ethernet/ip"
PORTS: Final = frozenset({44818})
OVER: Final = frozenset({"tcp", "udp"})
ALONE: Final = True
TELLS: Final = True

_HEADER: Final = 24
_LIST_IDENTITY, _UNCONNECTED, _CONNECTED = 0x63, 0x6F, 0x70
_COMMANDS: Final = {
    0x04: "List Services", _LIST_IDENTITY: "List Identity", 0x64: "List Interfaces", 0x65: "Register Session",
    0x66: "Unregister Session", _UNCONNECTED: "Send RR Data", _CONNECTED: "Send Unit Data",
}  # fmt: skip
_STATUSES: Final = frozenset({0, 1, 2, 3, 0x64, 0x65, 0x69, 0x6A})
_IDENTITY_ITEM, _UNCONNECTED_ITEM, _CONNECTED_ITEM = 0x0C, 0xB2, 0xB1
_UNCONNECTED_AT, _CONNECTED_AT = 40, 46
"""Where the CIP message stands in the two usual shapes."""
_GET_ALL, _UNCONNECTED_SEND, _MULTIPLE, _REPLY = 0x01, 0x52, 0x0A, 0x80
_IDENTITY, _MESSAGE_ROUTER, _CONNECTION_MANAGER = 1, 2, 6
_SERVICES: Final[dict[int, tuple[str, Act]]] = {
    0x01: ("Get Attributes All", "read"), 0x02: ("Set Attributes All", "write"),
    0x03: ("Get Attribute List", "read"), 0x04: ("Set Attribute List", "write"),
    0x05: ("Reset", "control"), 0x06: ("Start", "control"), 0x07: ("Stop", "control"),
    0x08: ("Create", "engineering"), 0x09: ("Delete", "engineering"), _MULTIPLE: ("Multiple Service", "other"),
    0x0D: ("Apply Attributes", "engineering"), 0x0E: ("Get Attribute Single", "read"),
    0x10: ("Set Attribute Single", "write"), 0x11: ("Find Next", "read"), 0x15: ("Restore", "engineering"),
    0x16: ("Save", "engineering"), 0x17: ("Nop", "other"), 0x18: ("Get Member", "read"), 0x19: ("Set Member", "write"),
}  # fmt: skip
_OF_CLASS: Final[dict[tuple[int, int], tuple[str, Act]]] = {
    (_CONNECTION_MANAGER, 0x4E): ("Forward Close", "other"),
    (_CONNECTION_MANAGER, 0x54): ("Forward Open", "other"),
    (_CONNECTION_MANAGER, 0x5B): ("Large Forward Open", "other"),
    (0x67, 0x4B): ("Execute PCCC", "engineering"),
    (0x37, 0x4B): ("Initiate Upload", "engineering"),
    (0x37, 0x4C): ("Initiate Download", "engineering"),
    (0x37, 0x4F): ("Upload Transfer", "engineering"),
    (0x37, 0x50): ("Download Transfer", "engineering"),
    (0xA1, 0x4B): ("Begin Firmware Update", "engineering"),
    (0xA1, 0x4C): ("Write Firmware Block", "engineering"),
    (0xA1, 0x4D): ("Firmware Update", "engineering"),
}
_LOGIX: Final[dict[int, tuple[str, Act]]] = {
    0x4C: ("Read Tag", "read"), 0x4D: ("Write Tag", "write"), 0x4E: ("Read Modify Write Tag", "write"),
    0x52: ("Read Tag Fragmented", "read"), 0x53: ("Write Tag Fragmented", "write"),
    0x55: ("Get Instance Attribute List", "read"),
}  # fmt: skip
_SYMBOLIC, _SYMBOL_CLASS = 0x91, 0x6B
_ROLES: Final = {
    0x02: "drive", 0x07: "remote I/O", 0x0C: "communications adapter", 0x0E: "controller", 0x18: "HMI",
    0x22: "remote I/O", 0x2C: "switch",
}  # fmt: skip
_CATALOGUE: Final = re.compile(r"^\d{4}[A-Z]?-[A-Z0-9]+(?:/[A-Z])?")


def length(payload: bytes) -> int:
    """The encapsulation header: command, length, session, status, context, options 0."""
    if len(payload) < _HEADER or payload[20:24] != b"\0\0\0\0":
        return 0
    command, size = int.from_bytes(payload[:2], "little"), int.from_bytes(payload[2:4], "little")
    if command not in _COMMANDS or int.from_bytes(payload[8:12], "little") not in _STATUSES:
        return 0
    return _HEADER + size


def kinds(look: Look) -> NDArray[np.int32]:
    """Identity in any shape is read; other services are counted by service and class."""
    command = le(look, 0)
    at = np.where(command == _CONNECTED, _CONNECTED_AT, _UNCONNECTED_AT)
    rows, wide = np.arange(len(at)), look.lead.astype(np.int64)
    service, size = wide[rows, at], wide[rows, at + 1]
    named = (size > 0) & (wide[rows, at + 2] == 0x20)  # noqa: PLR2004  a path that names a class in 8 bits
    of = np.where(named, wide[rows, at + 3], np.where(size > 0, wide[rows, at + 2], 0))
    wrapped = (service == _UNCONNECTED_SEND) & named & (of == _CONNECTION_MANAGER)
    inner = np.where(wrapped, wide[:, 50], 0)
    inner_of = np.where(wrapped, wide[:, 53], 0)
    message = (command == _UNCONNECTED) | (command == _CONNECTED)
    identity_request = ((service == _GET_ALL) & named & (of == _IDENTITY)) | (
        (inner == _GET_ALL) & (inner_of == _IDENTITY)
    )
    out = 1 + (service | (of << 8) | (inner << 16) | ((inner_of & 0x7F) << 24))
    out = np.where(service & _REPLY, 0, out)
    # An answer to Get Attributes All of Identity is exactly as long as its name says.
    size_of_answer, name = le(look, 38), wide[:, _UNCONNECTED_AT + 18]
    exact = np.where(command == _UNCONNECTED, size_of_answer == name + 19, le(look, 42) < 21 + 64)
    out = np.where(identity_request, -2, np.where((service == _GET_ALL | _REPLY) & exact, -1, out))
    other = np.where((command == _LIST_IDENTITY) & (look.length > _HEADER + 2), -3, 1 + (command << 8))
    return np.where(message, out, other).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One encapsulated message."""
    command, body = int.from_bytes(packet.payload[:2], "little"), packet.payload[_HEADER:]
    if command == _LIST_IDENTITY:
        if len(body) > 2:  # noqa: PLR2004  the count of items
            yield from _list_identity(packet, body)
        else:
            yield use(packet, SERVICE, _COMMANDS[command], "identify")
        return
    for kind, item in _items(body[6:]) if command in {_UNCONNECTED, _CONNECTED} else ():
        if kind in {_UNCONNECTED_ITEM, _CONNECTED_ITEM}:
            message = item if kind == _UNCONNECTED_ITEM else item[2:]
            if message and message[0] & _REPLY:
                yield from _answer(packet, message, connected=kind == _CONNECTED_ITEM)
            elif message:
                yield from _request(packet, message)


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Common Packet Format: a count, then type, length and bytes of each item."""
    at = 2
    for _ in range(min(int.from_bytes(body[:2], "little"), 16)):
        if at + 4 > len(body):
            return
        size = int.from_bytes(body[at + 2 : at + 4], "little")
        yield int.from_bytes(body[at : at + 2], "little"), body[at + 4 : at + 4 + size]
        at += 4 + size


def _list_identity(packet: Packet, body: bytes) -> Iterator[Said]:
    for kind, item in _items(body):
        if kind == _IDENTITY_ITEM and len(item) > 33:  # noqa: PLR2004  version, socket address, fixed part
            yield from _identity_object(packet, item[18:], "EtherNet/IP List Identity", "", {})


def _answer(packet: Packet, message: bytes, *, connected: bool) -> Iterator[Said]:
    """An answer to Get Attributes All; the request tells of what and through which slot."""
    if message[0] != _GET_ALL | _REPLY or len(message) < 4 or message[2] != 0:  # noqa: PLR2004  answer header
        return
    body = message[4 + 2 * message[3] :]
    asked = packet.asked if packet.asked[12:20] == packet.payload[12:20] and not connected else b""
    of, route = _target(asked[_UNCONNECTED_AT:]) if asked else (None, b"")
    if of not in {None, _IDENTITY}:
        return
    whole = len(body) > 14 and len(body) == 15 + body[14] and printable(body[15:])  # noqa: PLR2004  fixed part
    if of is None and not whole:
        return
    child, more = "", {}
    if route:
        more = {"path": ",".join(str(one) for one in route)}
        child = f"slot {route[1]}" if len(route) == 2 else f"path {more['path']}"  # noqa: PLR2004  port and slot
    elif connected or of is None:
        child = f"serial {int.from_bytes(body[10:14], 'little'):08x}"
    yield from _identity_object(packet, body, "CIP Identity object", child, more)


def _target(message: bytes) -> tuple[int | None, bytes]:
    """Class that a request is for, and the route of an Unconnected Send."""
    if len(message) < 4:  # noqa: PLR2004  service, size of path, first segment
        return None, b""
    path = message[2 : 2 + 2 * message[1]]
    of = path[1] if path[:1] == b"\x20" else None
    if message[0] != _UNCONNECTED_SEND or of != _CONNECTION_MANAGER:
        return of, b""
    rest = message[2 + len(path) :]
    size = int.from_bytes(rest[2:4], "little")
    after = rest[4 + size + size % 2 :]
    route = after[2 : 2 + 2 * after[0]] if after else b""
    return _target(rest[4 : 4 + size])[0], route


def _identity_object(packet: Packet, body: bytes, method: str, child: str, more: dict[str, str]) -> Iterator[Said]:
    """Vendor, type, code, revision, status, serial, name; all little-endian."""
    if len(body) < 15:  # noqa: PLR2004  fixed part and the length of the name
        return
    vendor, kind = int.from_bytes(body[:2], "little"), int.from_bytes(body[2:4], "little")
    code, serial = int.from_bytes(body[4:6], "little"), int.from_bytes(body[10:14], "little")
    model = text(body[15 : 15 + body[14]], "latin-1")
    catalogue = _CATALOGUE.match(model)
    yield identity(
        packet, SERVICE, method, child=child, maker=VENDORS.get(vendor, f"vendor 0x{vendor:04x}"), model=model,
        order_number=catalogue[0] if catalogue else "", firmware=f"{body[6]}.{body[7]}",
        serial=f"{serial:08x}" if serial else "", role=_ROLES.get(kind, ""),
        more={**more, "vendor id": str(vendor), "device type": f"0x{kind:02x}", "product code": str(code)},
    )  # fmt: skip


def _request(packet: Packet, message: bytes) -> Iterator[Said]:
    service, path = message[0], message[2 : 2 + 2 * message[1]] if len(message) > 1 else b""
    of = path[1] if path[:1] == b"\x20" and len(path) > 1 else -1
    if service == _UNCONNECTED_SEND and of == _CONNECTION_MANAGER:
        rest = message[2 + len(path) :]
        inner = rest[4 : 4 + int.from_bytes(rest[2:4], "little")]
        if inner and inner[0] != _UNCONNECTED_SEND:
            yield from _request(packet, inner)
        return
    name, act = _function(service, of, symbolic=path[:1] == bytes((_SYMBOLIC,)))
    yield use(packet, SERVICE, name, act)


def _function(service: int, of: int, *, symbolic: bool) -> tuple[str, Act]:
    if service == _GET_ALL and of == _IDENTITY:
        return "Get Attributes All of Identity", "identify"
    if (of, service) in _OF_CLASS:
        return _OF_CLASS[of, service]
    if service in _LOGIX and (symbolic or of in {_SYMBOL_CLASS, 0xB2, -1}):
        return _LOGIX[service]
    if service in _SERVICES:
        name, act = _SERVICES[service]
        return (f"{name} of class 0x{of:02x}" if of >= 0 and service != _MULTIPLE else name), act
    return f"service 0x{service:02x}" + (f" of class 0x{of:02x}" if of >= 0 else ""), "other"
