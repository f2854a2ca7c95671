"""MQTT: who connects under which name, and user names with passwords that anyone can read.

Sources: OASIS MQTT 3.1.1, 5.0; MQTT 3.1 ("MQIsdp"); Eclipse Sparkplug 3.0 (topics spBv1.0/...).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import exposure, identity, text, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "mqtt"
PORTS: Final = frozenset({1883})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = True

_CONNECT, _PUBLISH, _SUBSCRIBE = 1, 3, 8
_NAMES: Final = (b"\0\x04MQTT", b"\0\x06MQIsdp")
_FLAGS: Final = {1: 0, 2: 0, 4: 0, 5: 0, 6: 2, 7: 0, 8: 2, 9: 0, 10: 2, 11: 0, 12: 0, 13: 0, 14: 0}
_USER, _PASSWORD, _WILL = 0x80, 0x40, 0x04
_VERSION_5: Final = 5


def _size(payload: bytes) -> tuple[int, int]:
    """Bytes of the fixed header and of what follows; (0, 0) when it is malformed."""
    size = 0
    for index, byte in enumerate(payload[1:5]):
        size |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return 2 + index, size
    return 0, 0


def length(payload: bytes) -> int:
    """A CONNECT or CONNACK, by which a stream is known; of a known stream any packet with its fixed flags."""
    ahead, size = _size(payload)
    kind = payload[0] >> 4 if payload else 0
    if not ahead or (kind != _PUBLISH and _FLAGS.get(kind, -1) != payload[0] & 15):
        return 0
    if kind == _CONNECT:
        return ahead + size if payload[ahead:].startswith(_NAMES) else 0
    if kind == 2:  # noqa: PLR2004  CONNACK
        return ahead + size if 2 <= size <= 64 and payload[ahead : ahead + 1] in {b"\0", b"\1"} else 0  # noqa: PLR2004
    if kind == _PUBLISH:
        name = int.from_bytes(payload[ahead : ahead + 2], "big")
        topic = payload[ahead + 2 : ahead + 2 + name]
        return ahead + size if 0 < name <= size and len(topic) == name and topic.isascii() and b"\0" not in topic else 0
    return ahead + size if kind == _SUBSCRIBE and size > 4 else 0  # noqa: PLR2004  id and a filter


def kinds(look: Look) -> NDArray[np.int32]:
    """CONNECT is read, PUBLISH and SUBSCRIBE counted."""
    kind = (look.lead[:, 0] >> 4).astype(np.int32)
    return np.where(kind == _CONNECT, -1, np.where(among(kind, (_PUBLISH, _SUBSCRIBE)), kind, 0)).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One control packet."""
    ahead, _ = _size(packet.payload)
    kind, body = packet.payload[0] >> 4, packet.payload[ahead:]
    if kind == _CONNECT:
        yield from _connect(packet._replace(asks=True), body)
    elif kind == _PUBLISH and packet.asks:
        yield use(packet, SERVICE, "Publish", "write")
    elif kind == _SUBSCRIBE:
        yield use(packet._replace(asks=True), SERVICE, "Subscribe", "read")


def _connect(packet: Packet, body: bytes) -> Iterator[Said]:
    """Name, version, flags, keep alive, properties (5), client, will, user, password."""
    at = 2 + int.from_bytes(body[:2], "big")
    version, flags, at = body[at], body[at + 1], at + 4
    if version == _VERSION_5:
        at += _properties(body, at)
    client, at = _field(body, at)
    if flags & _WILL:
        if version == _VERSION_5:
            at += _properties(body, at)
        _, at = _field(body, at)
        _, at = _field(body, at)
    user, at = _field(body, at) if flags & _USER else (b"", at)
    password, at = _field(body, at) if flags & _PASSWORD else (b"", at)
    yield use(packet, SERVICE, "Connect")
    if client:
        yield identity(
            packet, SERVICE, "MQTT Connect", name=text(client), role="client", child=f"client {text(client)}"
        )
    if password:
        yield exposure(packet, SERVICE, f"user name {text(user)} and password")
    elif user:
        yield exposure(packet, SERVICE, f"user name {text(user)}")


def _properties(body: bytes, at: int) -> int:
    """How many bytes a list of properties has, its length included."""
    ahead, size = _size(b"\0" + body[at : at + 4])
    if not ahead:
        msg = "no length"
        raise ValueError(msg)
    return ahead - 1 + size


def _field(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    if end > len(body):
        msg = "cut short"
        raise ValueError(msg)
    return body[at + 2 : end], end
