"""Packets and capture files, built by hand from the documents of each protocol."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.heard import Heard
from isthmus.assets.decode.said import Identity

A, B = "10.0.0.5", "10.0.0.9"
MAC_A, MAC_B = "02:00:00:00:00:05", "02:00:00:00:00:09"
BEGIN_NS = 1_700_000_000_000_000_000
SYN, ACK, PSH, FIN = 2, 16, 8, 1


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(ether_type: int, payload: bytes, source: str = MAC_A, target: str = MAC_B) -> bytes:
    return mac(target) + mac(source) + struct.pack(">H", ether_type) + payload


def ip(  # noqa: PLR0913  the fields of a fragment
    source: str, target: str, protocol: int, payload: bytes, *, name: int = 1, offset: int = 0, more: bool = False
) -> bytes:
    """IPv4 or IPv6 by the addresses; `offset` in bytes makes it a fragment."""
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if one.version == 4:
        flags = (offset // 8) | (0x2000 if more else 0)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), name, flags, 64, protocol, 0)
        return head + one.packed + other.packed + payload
    if offset or more:
        payload = struct.pack(">BBHI", protocol, 0, offset | int(more), name) + payload
        protocol = 44
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + one.packed + other.packed + payload


def udp(source: tuple[str, int], target: tuple[str, int], payload: bytes) -> bytes:
    """An Ethernet frame; MAC addresses follow from who sends."""
    inner = struct.pack(">HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    return _framed(source[0], target[0], 17, inner)


def tcp(
    source: tuple[str, int], target: tuple[str, int], payload: bytes, seq: int = 1, flags: int = PSH | ACK
) -> bytes:
    """An Ethernet frame."""
    head = struct.pack(">HHIIBBHHH", source[1], target[1], seq & 0xFFFFFFFF, 1, 0x50, flags, 8192, 0, 0)
    return _framed(source[0], target[0], 6, head + payload)


def _framed(source: str, target: str, protocol: int, inner: bytes) -> bytes:
    kind = 0x86DD if ":" in source else 0x0800
    macs = (MAC_A, MAC_B) if source in {A, "fd00::5"} else (MAC_B, MAC_A)
    return ethernet(kind, ip(source, target, protocol, inner), *macs)


def session(port: int, *turns: tuple[str, bytes]) -> list[bytes]:
    """A TCP connection from A to B's port: handshake, then each turn, ">" from the client, "<" from the server."""
    client, server = (A, 40_001), (B, port)
    out = [
        tcp(client, server, b"", 99, SYN),
        tcp(server, client, b"", 499, SYN | ACK),
        tcp(client, server, b"", 100, ACK),
    ]
    at = {">": 100, "<": 500}
    for who, payload in turns:
        ends = (client, server) if who == ">" else (server, client)
        out.append(tcp(*ends, payload, at[who]))
        at[who] += len(payload)
    return out


def pcap(path: Path, packets: Iterable[bytes], *, link: int = 1, order: str = "<", nano: bool = False) -> Path:
    """A capture of the old format, a packet each millisecond."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65_535, link)]
    for index, packet in enumerate(packets):
        at = BEGIN_NS + index * 1_000_000
        fraction = at % 10**9 if nano else at % 10**9 // 1000
        out.append(struct.pack(order + "IIII", at // 10**9, fraction, len(packet), len(packet)) + packet)
    path.write_bytes(b"".join(out))
    return path


def pcapng(path: Path, packets: Iterable[bytes], *, link: int = 1, order: str = "<") -> Path:
    """A capture of the new format, in ticks of a nanosecond."""
    body = struct.pack(order + "HHI", link, 0, 0) + struct.pack(order + "HHB3x", 9, 1, 9) + bytes(4)
    out = [_block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)), _block(order, 1, body)]
    for index, packet in enumerate(packets):
        at = BEGIN_NS + index * 1_000_000
        head = struct.pack(order + "IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(packet), len(packet))
        out.append(_block(order, 6, head + packet + bytes(-len(packet) % 4)))
    path.write_bytes(b"".join(out))
    return path


def _block(order: str, kind: int, body: bytes) -> bytes:
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def heard(folder: Path, packets: Sequence[bytes], *, link: int = 1) -> Heard:
    """What a capture of these packets says."""
    return hear(pcap(folder / "wire.pcap", packets, link=link))


def one_identity(found: Heard) -> Identity:
    """The only device that said who it is."""
    assert len(found.identities) == 1, found.identities
    return found.identities[0]
