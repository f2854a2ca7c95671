"""Mitsubishi MELSOFT and SLMP (MC protocol, 3E frames): type name of the controller, and what was done.

Source: Mitsubishi SH(NA)-080956ENG (SLMP reference), SH-080008 (MELSEC communication protocol). MELSOFT's own
direct connection is not published: the type name is read out of its answers as captures show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import identity, le, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "melsec"
PORTS: Final = frozenset({5000, 5001, 5002, 5006, 5007, 5010, 5560, 5562})
OVER: Final = frozenset({"tcp", "udp"})
ALONE: Final = False
TELLS: Final = True

_ASK_3E, _ANSWER_3E, _ASK_4E, _ANSWER_4E = b"\x50\x00", b"\xd0\x00", b"\x54\x00", b"\xd4\x00"
_DIRECT: Final = (b"\x57\x00", b"\xd7\x00", b"\x57\x01", b"\xd7\x01", b"\x5a\x00", b"\xda\x00")
_READ_TYPE: Final = 0x0101
_COMMANDS: Final[dict[int, tuple[str, Act]]] = {
    _READ_TYPE: ("Read Type Name", "identify"), 0x0401: ("Read", "read"), 0x0403: ("Random Read", "read"),
    0x0406: ("Block Read", "read"), 0x1401: ("Write", "write"), 0x1402: ("Random Write", "write"),
    0x1406: ("Block Write", "write"), 0x0801: ("Register Monitor", "read"), 0x0802: ("Monitor", "read"),
    0x1001: ("Remote Run", "control"), 0x1002: ("Remote Stop", "control"), 0x1003: ("Remote Pause", "control"),
    0x1005: ("Remote Latch Clear", "control"), 0x1006: ("Remote Reset", "control"), 0x1617: ("Clear Error", "control"),
    0x1630: ("Unlock", "engineering"), 0x1631: ("Lock", "engineering"), 0x1810: ("Read Directory", "engineering"),
    0x1828: ("Read File", "engineering"), 0x1829: ("Write File", "engineering"), 0x0619: ("Self Test", "other"),
    0x0E30: ("Search Node", "identify"), 0x0613: ("Read Buffer", "read"), 0x1613: ("Write Buffer", "write"),
}  # fmt: skip
_TYPE: Final = re.compile(rb"(?:Q|L|R|FX|NZ|RJ|A)[0-9][0-9A-Z]{1,8}(?:CPU)?(?:-[0-9A-Z]+(?:/[A-Z0-9]+)?)?(?=[ \0])")
_WELL: Final = b"\0\0"


def length(payload: bytes) -> int:
    """A 3E or 4E frame whose length fits, or one of MELSOFT's beginnings."""
    if payload[:2] in _DIRECT:
        return len(payload) if len(payload) >= 20 else 0  # noqa: PLR2004  its header
    at = 2 if payload[:2] in {_ASK_3E, _ANSWER_3E} else 6 if payload[:2] in {_ASK_4E, _ANSWER_4E} else 0
    if not at or len(payload) < at + 9:
        return 0
    size = int.from_bytes(payload[at + 5 : at + 7], "little")
    return at + 7 + size if 2 <= size <= 4096 else 0  # noqa: PLR2004  end code; largest frame


def kinds(look: Look) -> NDArray[np.int32]:
    """Type names asked and answered are read; other commands counted; of MELSOFT a few answers of each length are read."""
    first = look.lead[:, 0].astype(np.int32)
    command = np.where(first == 0x54, le(look, 15), le(look, 11))  # noqa: PLR2004  a 4E request
    asks = among(first, (0x50, 0x54))
    answers = among(first, (0xD0, 0xD4)) & (look.length >= 20) & (look.length <= 40)  # noqa: PLR2004
    out = np.where(asks, np.where(command == _READ_TYPE, -1, 1 + command), np.where(answers, -2, 0))
    direct = among(first, (0xD7, 0xDA)) & (look.length > 40)  # noqa: PLR2004  room for a name
    return np.where(direct, 0x20000 + np.minimum(look.length, 4096), out).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One frame."""
    payload = packet.payload
    head = payload[:2]
    if head in {_ASK_3E, _ASK_4E}:
        at = 11 if head == _ASK_3E else 15
        command = int.from_bytes(payload[at : at + 2], "little")
        yield use(packet._replace(asks=True), SERVICE, *_COMMANDS.get(command, (f"command 0x{command:04x}", "other")))
    elif head in {_ANSWER_3E, _ANSWER_4E}:
        yield from _type_name(packet, payload[9 if head == _ANSWER_3E else 13 :])
    elif head in _DIRECT and payload[0] & 0x80:
        found = _TYPE.search(payload)
        if found:
            model = found[0].decode("ascii")
            yield identity(
                packet,
                SERVICE,
                "MELSOFT",
                maker="Mitsubishi Electric",
                model=model,
                order_number=model,
                role="controller",
            )


def _type_name(packet: Packet, body: bytes) -> Iterator[Said]:
    """End code 0, then 16 characters of name and a code, if that is what was asked for."""
    at = 11 if packet.asked[:2] == _ASK_3E else 15
    asked = int.from_bytes(packet.asked[at : at + 2], "little") if packet.asked[:2] in {_ASK_3E, _ASK_4E} else 0
    if asked != _READ_TYPE or body[:2] != _WELL or len(body) < 18:  # noqa: PLR2004  end code and name
        return
    model = text(body[2:18], "ascii")
    if model:
        yield identity(
            packet, SERVICE, "SLMP type name", maker="Mitsubishi Electric", model=model, order_number=model,
            role="controller",
        )  # fmt: skip
