"""NetBIOS names, and the browser's announcements by which Windows tells its version.

Sources: RFC 1002 (name service, datagrams); Microsoft [MS-BRWS] 2.2 (announcement frames).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import identity, none, text, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "netbios"
PORTS: Final = frozenset({137, 138})
OVER: Final = frozenset({"udp"})
ALONE: Final = False
TELLS: Final = False

_DATAGRAMS: Final = frozenset({0x10, 0x11, 0x12})
_REGISTRATION: Final = frozenset({5, 6, 8, 9})
_NAME_END: Final = 46
_MAILSLOT: Final = b"\\MAILSLOT\\BROWSE\0"
_HOST, _LOCAL_MASTER = 1, 15
_WORKSTATION = 0
_VERSIONS: Final = {
    (4, 0): "Windows NT 4.0", (5, 0): "Windows 2000", (5, 1): "Windows XP",
    (5, 2): "Windows Server 2003 or Windows Server 2003 R2", (6, 0): "Windows Vista or Windows Server 2008",
    (6, 1): "Windows 7 or Windows Server 2008 R2", (6, 2): "Windows 8 or Windows Server 2012",
    (6, 3): "Windows 8.1 or Windows Server 2012 R2", (10, 0): "Windows 10 or later",
}  # fmt: skip
_SERVER_BITS: Final = 0x8000 | 0x0008 | 0x0010
_SAMBA: Final = 0x0800


def length(payload: bytes) -> int:
    """A datagram with a name of 32 letters behind its header, or a name service packet with one."""
    datagram = payload[:1] and payload[0] in _DATAGRAMS and payload[14:15] == b"\x20"
    name = payload[12:13] == b"\x20" and int.from_bytes(payload[4:6], "big") <= 1
    return len(payload) if len(payload) >= _NAME_END and (datagram or name) else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Datagrams and registrations are read, queries counted."""
    datagram = among(look.lead[:, 0], _DATAGRAMS) & (look.lead[:, 14] == 0x20)  # noqa: PLR2004  see above
    registers = among((look.lead[:, 2] >> 3) & 15, _REGISTRATION)
    return np.where(datagram, -1, np.where(registers, -2, none(look) + 1)).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One packet."""
    payload = packet.payload
    if payload[0] in _DATAGRAMS and payload[14:15] == b"\x20":
        at = payload.find(_MAILSLOT)
        if at > 0:
            yield from _announcement(packet, payload[at + len(_MAILSLOT) :])
    elif payload[2] >> 3 & 15 in _REGISTRATION and not payload[2] & 0x80:
        name, suffix = _decoded(payload[13:45])
        if suffix == _WORKSTATION and name and not payload[-6] & 0x80:
            yield identity(packet, SERVICE, "NetBIOS registration", name=name)
    elif not payload[2] & 0x80:
        yield use(packet._replace(asks=True), SERVICE, "Ask for a name")


def _decoded(raw: bytes) -> tuple[str, int]:
    """RFC 1001, 14.1: each half byte is a letter from A; the 16th byte tells what the name is for."""
    halves = [one - 0x41 for one in raw]
    if any(not 0 <= one < 16 for one in halves):  # noqa: PLR2004  half a byte
        return "", -1
    name = bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
    return text(name[:15], "latin-1"), name[15]


def _announcement(packet: Packet, frame: bytes) -> Iterator[Said]:
    """Kind, count, period, name of 16 bytes, version, server type, browser version, signature, comment."""
    if len(frame) < 32 or frame[0] not in {_HOST, _LOCAL_MASTER}:  # noqa: PLR2004  fixed part
        return
    name, version = text(frame[6:22], "latin-1"), (frame[22], frame[23])
    kind = int.from_bytes(frame[24:28], "little")
    comment = text(frame[32:], "latin-1")
    samba = bool(kind & _SAMBA) or "samba" in comment.lower()
    os = "Unix with Samba" if samba else _VERSIONS.get(version, f"Windows NT {version[0]}.{version[1]}")
    yield identity(
        packet, SERVICE, "SMB browser announcement", maker="" if samba else "Microsoft", name=name, os=os,
        role="server" if kind & _SERVER_BITS else "workstation", more={"comment": comment} if comment else {},
    )  # fmt: skip
