"""What decoders share: the sentences they make of a packet, clean text, and numbers out of the first look."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.said import Act, Exposure, Identity, Look, Packet, Use

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_MOST_TEXT: Final = 512


def use(packet: Packet, service: str, function: str, act: Act = "other") -> Use:
    """A client used a function of a server."""
    return Use(
        packet_frame=packet.frame, time_ns=packet.time_ns, client=packet.client, server=packet.server,
        port=packet.port, service=service, function=function, act=act,
    )  # fmt: skip


def exposure(packet: Packet, service: str, what: str) -> Exposure:
    """Something of use to anyone who listens went over the wire."""
    return Exposure(
        packet_frame=packet.frame, time_ns=packet.time_ns, client=packet.client, server=packet.server,
        port=packet.port, service=service, what=what,
    )  # fmt: skip


def identity(packet: Packet, service: str, method: str, **fields: Any) -> Identity:  # noqa: ANN401  Identity's own
    """The packet's sender says who it is; `fields` are those of Identity."""
    fields.setdefault("address", packet.source)
    return Identity(packet_frame=packet.frame, time_ns=packet.time_ns, service=service, method=method, **fields)


def text(raw: bytes, encoding: str = "utf-8") -> str:
    """Text of a device, up to its first zero, without control characters and filler."""
    if encoding in {"utf-8", "ascii", "latin-1"}:
        raw = raw.split(b"\0", 1)[0]
    return _CONTROL.sub(" ", raw[:_MOST_TEXT].decode(encoding, "replace")).strip()


def printable(raw: bytes) -> bool:
    """Whether all of it could be read by a person."""
    return all(32 <= one < 127 for one in raw)  # noqa: PLR2004  ASCII's printable range


def be(look: Look, at: int, width: int = 2) -> NDArray[np.int64]:
    """A big-endian number at a place of each payload."""
    out = np.zeros(len(look.lead), np.int64)
    for index in range(at, at + width):
        out = (out << 8) | look.lead[:, index]
    return out


def le(look: Look, at: int, width: int = 2) -> NDArray[np.int64]:
    """A little-endian number at a place of each payload."""
    out = np.zeros(len(look.lead), np.int64)
    for index in reversed(range(at, at + width)):
        out = (out << 8) | look.lead[:, index]
    return out


def none(look: Look) -> NDArray[np.int32]:
    """No packet is of interest."""
    return np.zeros(len(look.lead), np.int32)


def begins(look: Look, *signs: bytes) -> NDArray[np.bool_]:
    """Which payloads begin with one of these."""
    out = np.zeros(len(look.lead), bool)
    for sign in signs:
        out |= (look.lead[:, : len(sign)] == np.frombuffer(sign, np.uint8)).all(1)
    return out


def numbered(look: Look, *signs: bytes) -> NDArray[np.int32]:
    """1 for payloads that begin with the first sign, 2 for the second, and so on."""
    out = none(look)
    for number, sign in enumerate(signs, 1):
        out[begins(look, sign)] = number
    return out
