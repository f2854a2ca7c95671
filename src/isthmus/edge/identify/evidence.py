"""Every byte sent and received, with its time and meaning, in a capture that `isthmus audit import` and Wireshark read.

    section header   application "isthmus audit identify"
    interface        link type 101: packets begin with the IP header; times in ns
    packet           IP, then TCP or UDP header, the bytes, and a comment: what was asked, by which clause

What was said is exact. The headers around it are written here, since the kernel keeps its own: addresses and
ports are the real ones, sequence numbers count from 0. A request is on disk before it is sent.

Source: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import ipaddress
import os
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from isthmus.model.errors import IsthmusError
from isthmus.model.inventory import ASKED

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_MAGIC, _RAW_IP, _NS = 0x1A2B3C4D, 101, 9
_COMMENT, _APPLICATION, _RESOLUTION = 1, 4, 9
_TCP, _UDP = 6, 17
FIN, SYN, PSH, ACK = 1, 2, 8, 16
_MOST_BYTES: Final = 32_768
"""Of one packet; more is cut into several."""


class Ends(NamedTuple):
    """Both ends of a connection."""

    over: Literal["tcp", "udp"]
    near: tuple[str, int]
    far: tuple[str, int]


class Evidence:
    """The capture of one round, open. Raises IsthmusError when it cannot be written: then nothing is sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}; nothing was sent"
            raise IsthmusError(msg) from error
        self._sequence: dict[tuple[Ends, bool], int] = {}
        self._block(_SECTION, struct.pack("<IHHq", _MAGIC, 1, 0, -1) + _option(_APPLICATION, ASKED.encode()) + bytes(4))
        self._block(_INTERFACE, struct.pack("<HHI", _RAW_IP, 0, 0) + _option(_RESOLUTION, bytes((_NS,))) + bytes(4))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """On disk for good when this returns."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def opened(self, ends: Ends, comment: str) -> None:
        """A connection stands: its three frames, as TCP has them."""
        self._sequence[ends, True] = self._sequence[ends, False] = 0
        self._packet(ends, b"", comment, sent=True, flags=SYN)
        self._packet(ends, b"", "", sent=False, flags=SYN | ACK)
        self._packet(ends, b"", "", sent=True, flags=ACK)

    def tried(self, ends: Ends, comment: str) -> None:
        """A connection that did not come about."""
        self._packet(ends, b"", comment, sent=True, flags=SYN)

    def said(self, ends: Ends, data: bytes, comment: str, *, sent: bool) -> None:
        """Bytes that are sent, or came."""
        for at in range(0, len(data), _MOST_BYTES):
            self._packet(ends, data[at : at + _MOST_BYTES], comment if not at else "", sent=sent, flags=PSH | ACK)

    def closing(self, ends: Ends, comment: str, *, sent: bool) -> None:
        """One side says that it sends nothing more."""
        self._packet(ends, b"", comment, sent=sent, flags=FIN | ACK)

    def _packet(self, ends: Ends, data: bytes, comment: str, *, sent: bool, flags: int) -> None:
        source, target = (ends.near, ends.far) if sent else (ends.far, ends.near)
        mine = self._sequence.get((ends, sent), 0)
        inner = self._tcp(ends, source[1], target[1], flags, sent=sent) if ends.over == "tcp" else b""
        inner = inner or struct.pack(">HHHH", source[1], target[1], 8 + len(data), 0)
        self._sequence[ends, sent] = mine + len(data) + bool(flags & (SYN | FIN))
        packet = _ip(source[0], target[0], _TCP if ends.over == "tcp" else _UDP, inner + data)
        now = time.time_ns()
        body = struct.pack("<IIIII", 0, now >> 32, now & 0xFFFFFFFF, len(packet), len(packet)) + _padded(packet)
        self._block(_PACKET, body + (_option(_COMMENT, comment.encode()[:1000]) + bytes(4) if comment else b""))

    def _tcp(self, ends: Ends, source: int, target: int, flags: int, *, sent: bool) -> bytes:
        mine, theirs = self._sequence.get((ends, sent), 0), self._sequence.get((ends, not sent), 0)
        heard = theirs if flags & ACK else 0
        return struct.pack(">HHIIBBHHH", source, target, mine, heard, 5 << 4, flags, 65_535, 0, 0)

    def _block(self, kind: int, body: bytes) -> None:
        size = 12 + len(body)
        try:
            self._file.write(struct.pack("<II", kind, size) + body + struct.pack("<I", size))
        except OSError as error:
            msg = f"{self.path} cannot be written: {error.strerror}; nothing more is sent"
            raise IsthmusError(msg) from error


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _ip(source: str, target: str, protocol: int, inner: bytes) -> bytes:
    near, far = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if near.version == 6:  # noqa: PLR2004  IPv6
        return struct.pack(">IHBB", 6 << 28, len(inner), protocol, 64) + near.packed + far.packed + inner
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(inner), 0, 0x4000, 64, protocol, 0) + near.packed + far.packed
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + check.to_bytes(2, "big") + head[12:] + inner
