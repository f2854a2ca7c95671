"""Omron FINS over UDP and TCP: model and version of the controller (05 01), and what was done.

Sources: Omron W342 (communications commands), W421 (FINS/TCP header).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import identity, printable, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "omron-fins"
PORTS: Final = frozenset({9600})
OVER: Final = frozenset({"tcp", "udp"})
ALONE: Final = True
TELLS: Final = True

_TCP, _TCP_HEADER, _FRAME_SEND = b"FINS", 16, 2
_HEADER: Final = 10
_COMMANDS: Final[dict[int, tuple[str, Act]]] = {
    0x0101: ("Memory Area Read", "read"), 0x0102: ("Memory Area Write", "write"),
    0x0103: ("Memory Area Fill", "write"), 0x0104: ("Multiple Memory Area Read", "read"),
    0x0105: ("Memory Area Transfer", "write"), 0x0201: ("Parameter Area Read", "engineering"),
    0x0202: ("Parameter Area Write", "engineering"), 0x0203: ("Parameter Area Clear", "engineering"),
    0x0306: ("Program Area Read", "engineering"), 0x0307: ("Program Area Write", "engineering"),
    0x0308: ("Program Area Clear", "engineering"), 0x0401: ("Run", "control"), 0x0402: ("Stop", "control"),
    0x0501: ("Controller Data Read", "identify"), 0x0502: ("Connection Data Read", "identify"),
    0x0601: ("Controller Status Read", "read"), 0x0620: ("Cycle Time Read", "read"), 0x0701: ("Clock Read", "read"),
    0x0702: ("Clock Write", "control"), 0x0920: ("Message Read", "read"), 0x0C01: ("Access Right Acquire", "control"),
    0x0C02: ("Access Right Forced Acquire", "control"), 0x0C03: ("Access Right Release", "control"),
    0x2101: ("Error Clear", "control"), 0x2102: ("Error Log Read", "read"), 0x2201: ("File Name Read", "read"),
    0x2202: ("File Read", "read"), 0x2203: ("File Write", "write"), 0x2301: ("Forced Set/Reset", "write"),
    0x2302: ("Forced Set/Reset Cancel", "write"),
}  # fmt: skip
_CONTROLLER_DATA: Final = 0x0501
_ANSWER_BIT: Final = 0x40


def length(payload: bytes) -> int:
    """The word FINS with a command that exists, or a UDP header whose reserved fields fit and whose command exists."""
    if payload[:4] == _TCP:
        command = int.from_bytes(payload[8:12], "big")
        size = int.from_bytes(payload[4:8], "big")
        return 8 + size if len(payload) >= _TCP_HEADER and command <= 6 and 8 <= size <= 2048 else 0  # noqa: PLR2004
    return len(payload) if _plain(payload) else 0


def _plain(payload: bytes) -> bool:
    if len(payload) < _HEADER + 2 or payload[0] & 0x3E or not payload[0] & 0x80 or payload[1] or payload[2] > 7:  # noqa: PLR2004
        return False
    return int.from_bytes(payload[10:12], "big") in _COMMANDS


def kinds(look: Look) -> NDArray[np.int32]:
    """Controller data is read; other commands are counted."""
    wide = look.lead.astype(np.int32)
    stream = (wide[:, 0] == _TCP[0]) & (wide[:, 1] == _TCP[1]) & (wide[:, 11] == _FRAME_SEND)
    plain = ~(wide[:, 0] == _TCP[0])
    control = np.where(stream, wide[:, 16], wide[:, 0])
    command = np.where(stream, (wide[:, 26] << 8) | wide[:, 27], (wide[:, 10] << 8) | wide[:, 11])
    answer = (control & _ANSWER_BIT) != 0
    out = np.where(answer, 0, 1 + command)
    out = np.where(answer & (command == _CONTROLLER_DATA), -1, out)
    return np.where(stream | plain, out, 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One frame."""
    frame = packet.payload
    if frame[:4] == _TCP:
        if int.from_bytes(frame[8:12], "big") != _FRAME_SEND:
            return
        frame = frame[_TCP_HEADER:]
    if not _plain(frame):
        return
    command = int.from_bytes(frame[10:12], "big")
    if not frame[0] & _ANSWER_BIT:
        yield use(packet._replace(asks=True), SERVICE, *_COMMANDS[command])
    elif command == _CONTROLLER_DATA and frame[12:14] == b"\0\0":
        yield from _controller(packet, frame[14:])


def _controller(packet: Packet, body: bytes) -> Iterator[Said]:
    """Model, 20 characters, then version, 20; a filler of one letter over and over is no model."""
    raw, version = body[:20].rstrip(b"\0 "), body[20:40]
    if len(raw) < 3 or len(set(raw)) < 3 or not printable(raw):  # noqa: PLR2004  see above
        return
    model = text(raw, "ascii")
    yield identity(
        packet, SERVICE, "FINS controller data", maker="Omron", model=model, order_number=model,
        firmware=text(version, "ascii") if printable(version.split(b"\0", 1)[0]) else "", role="controller",
    )  # fmt: skip
