"""OPC UA over TCP: who the applications are (ApplicationDescription, BuildInfo), which security was asked for, names.

Sources: OPC 10000-6 clauses 5.2 (binary encoding), 6.7 and 7.1 (secure conversation, TCP); 10000-4 clause 5;
10000-5 clause 12.4 (BuildInfo).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import be, exposure, identity, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "opc-ua"
PORTS: Final = frozenset({4840})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = True

_KINDS: Final = frozenset({b"HEL", b"ACK", b"ERR", b"RHE", b"OPN", b"CLO", b"MSG"})
_HEADER, _MOST = 8, 1 << 24
_SECURE_HEADER: Final = 24
"""Header, channel, token, sequence and request of a MSG without encryption."""
_SERVICES: Final[dict[int, tuple[str, Act]]] = {
    422: ("Find Servers", "identify"), 428: ("Get Endpoints", "identify"), 461: ("Create Session", "other"),
    467: ("Activate Session", "other"), 473: ("Close Session", "other"), 527: ("Browse", "read"),
    533: ("Browse Next", "read"), 554: ("Translate Browse Paths", "read"), 631: ("Read", "read"),
    664: ("History Read", "read"), 673: ("Write", "write"), 700: ("History Update", "write"), 712: ("Call", "control"),
    751: ("Create Monitored Items", "read"), 763: ("Modify Monitored Items", "read"),
    787: ("Create Subscription", "read"), 826: ("Publish", "read"), 832: ("Republish", "read"),
    488: ("Add Nodes", "engineering"), 494: ("Add References", "engineering"), 500: ("Delete Nodes", "engineering"),
}  # fmt: skip
_DESCRIBED: Final = frozenset({425, 431, 464})
"""Answers that hold an ApplicationDescription: Find Servers, Get Endpoints, Create Session."""
_CREATE_SESSION, _ACTIVATE = 461, 467
_READ_ANSWER, _BUILD_INFO = 634, b"\x01\x00\x54\x01\x01"
"""Answer to Read; node id 340 in four bytes, a BuildInfo in binary."""
_USER_TOKEN: Final = b"\x01\x00\x44\x01\x01"
"""Node id 324 in four bytes: a UserNameIdentityToken."""
_URN: Final = re.compile(rb"(.{4})((?:urn:|https?://)[\x21-\x7e]{1,250})", re.DOTALL)
_POLICY_NONE: Final = b"SecurityPolicy#None"
_TYPES: Final = {0: "SCADA server", 1: "client", 2: "SCADA server", 3: "server"}


def length(payload: bytes) -> int:
    """Three letters, a chunk mark, the size."""
    if len(payload) < _HEADER or payload[:3] not in _KINDS or payload[3:4] not in {b"F", b"C", b"A"}:
        return 0
    size = int.from_bytes(payload[4:8], "little")
    return size if _HEADER <= size < _MOST else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Openings and sessions are read; other requests counted by service."""
    sign = be(look, 0, 3)
    wide = look.lead.astype(np.int32)
    node = np.where(wide[:, 24] == 1, wide[:, 26] | (wide[:, 27] << 8), 0)
    message = sign == int.from_bytes(b"MSG", "big")
    telling = among(node, (*_DESCRIBED, _CREATE_SESSION, _ACTIVATE))
    # Behind a response header without diagnostics: one value, an extension object that is a BuildInfo.
    telling |= (node == _READ_ANSWER) & (be(look, 58, 4) == int.from_bytes(_BUILD_INFO[:4], "big"))
    counted = np.where(among(node, _SERVICES), 1 + node, 0)
    opening = among(sign, [int.from_bytes(one, "big") for one in (b"HEL", b"OPN")])
    return np.where(message, np.where(telling, -1, counted), np.where(opening, -2, 0)).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One message chunk."""
    kind = packet.payload[:3]
    if kind == b"HEL":
        yield use(packet._replace(asks=True), SERVICE, "Hello")
    elif kind == b"OPN" and _POLICY_NONE in packet.payload[12:80] and packet.asks:
        yield use(packet, SERVICE, "Open Secure Channel without security")
    elif kind == b"OPN" and packet.asks:
        yield use(packet, SERVICE, "Open Secure Channel")
    elif kind == b"MSG" and len(packet.payload) > _SECURE_HEADER + 4 and packet.payload[24:26] == b"\x01\x00":
        node = int.from_bytes(packet.payload[26:28], "little")
        body = packet.payload[28:]
        if node in _SERVICES:
            yield use(packet._replace(asks=True), SERVICE, *_SERVICES[node])
        if node == _CREATE_SESSION or node in _DESCRIBED:
            yield from _described(packet, body, node)
        elif node == _ACTIVATE:
            yield from _user(packet, body)
        elif node == _READ_ANSWER and body[30:35] == _BUILD_INFO:
            yield from _build_info(packet, body[39:])


def _described(packet: Packet, body: bytes, node: int) -> Iterator[Said]:
    """The sender's own ApplicationDescription: of a client in Create Session, of a server in its endpoints."""
    seen = set[str]()
    for found in _URN.finditer(body):
        at = found.start(1)
        if int.from_bytes(found[1], "little") > len(found[2]) + 250:
            continue
        uri, after = _string(body, at)
        product, after = _string(body, after) if uri else ("", after)
        name, after = _localised(body, after) if product or uri else ("", after)
        if not uri or not name or after + 4 > len(body) or uri in seen:
            continue
        kind = int.from_bytes(body[after : after + 4], "little")
        if kind not in _TYPES or (node == _CREATE_SESSION) != (kind == 1):
            continue
        seen.add(uri)
        yield identity(
            packet, SERVICE, "OPC UA ApplicationDescription", child=uri if node == 425 else "", model=product, name=name,  # noqa: PLR2004
            role=_TYPES[kind], more={"application uri": uri},
        )  # fmt: skip


def _build_info(packet: Packet, body: bytes) -> Iterator[Said]:
    """Product URI, maker, product, software version, build number; then a date."""
    words, at = list[str](), 0
    for _ in range(5):
        word, at = _string(body, at)
        words.append(word)
    product, maker, name, version, build = words
    if at > len(body) - 8 or not (maker or name or version):
        return
    more = {"product uri": product, "build": build}
    yield identity(
        packet, SERVICE, "OPC UA BuildInfo", maker=maker, model=name, firmware=version,
        more={key: value for key, value in more.items() if value},
    )  # fmt: skip


def _string(body: bytes, at: int) -> tuple[str, int]:
    """A length of four bytes, -1 for none, then UTF-8."""
    size = int.from_bytes(body[at : at + 4], "little", signed=True)
    if size < 0:
        return "", at + 4
    if size > 1024 or at + 4 + size > len(body):  # noqa: PLR2004  no name is longer
        return "", len(body)
    return text(body[at + 4 : at + 4 + size]), at + 4 + size


def _localised(body: bytes, at: int) -> tuple[str, int]:
    """A LocalizedText: a mask, then locale and text where the mask says so."""
    if at >= len(body) or body[at] > 3:  # noqa: PLR2004  two bits
        return "", len(body)
    mask, at, name = body[at], at + 1, ""
    if mask & 1:
        _, at = _string(body, at)
    if mask & 2:
        name, at = _string(body, at)
    return name, at


def _user(packet: Packet, body: bytes) -> Iterator[Said]:
    """A user name token whose encryption algorithm is none: the password stands there as it is."""
    at = body.find(_USER_TOKEN)
    if at < 0:
        return
    token = body[at + len(_USER_TOKEN) + 4 :]
    _, after = _string(token, 0)
    user, after = _string(token, after)
    size = int.from_bytes(token[after : after + 4], "little", signed=True)
    algorithm, _ = _string(token, after + 4 + max(size, 0))
    if user and size > 0 and not algorithm:
        yield exposure(packet._replace(asks=True), SERVICE, f"user name {user} and password")
