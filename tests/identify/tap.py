"""Frames on loopback as a mirror port would show them, and what a careful visit looks like there."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

FIN, SYN, RST = 1, 2, 4
_ALL, _OUTGOING = 0x0003, 4
_QUIET_S = 0.25


class Seen(NamedTuple):
    """One TCP or UDP frame."""

    asks: bool
    """True when it goes to the device."""
    client: int
    """The other side's port."""
    flags: int
    data: bytes


@contextmanager
def tapped(port: int) -> Iterator[list[Seen]]:
    """Every frame to or from a port on loopback meanwhile; complete once the block has ended."""
    if not hasattr(socket, "AF_PACKET") or os.geteuid() != 0:
        pytest.skip("looking at the wire needs a raw socket, which only root has on Linux")
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    _only(sock, port)
    sock.bind(("lo", _ALL))
    sock.settimeout(0.05)
    seen: list[Seen] = []
    done = threading.Event()

    def listen() -> None:
        quiet = time.monotonic()
        while not done.is_set() or time.monotonic() < quiet + _QUIET_S:
            try:
                frame, address = sock.recvfrom(65_536)
            except TimeoutError:
                continue
            quiet = time.monotonic()
            if address[2] == _OUTGOING and (found := _seen(frame, port)):
                seen.append(found)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield seen
        time.sleep(0.05)
    finally:
        done.set()
        listener.join(10)
        sock.close()


def _only(sock: socket.socket, port: int) -> None:
    """Let the kernel pass on this port's IPv4 frames alone: loopback carries other tests too (classic BPF)."""
    code = [
        (0x28, 0, 0, 12), (0x15, 0, 6, 0x0800),  # EtherType IPv4, else away
        (0xB1, 0, 0, 14),  # X = length of the IP header
        (0x48, 0, 0, 14), (0x15, 2, 0, port),  # source port
        (0x48, 0, 0, 16), (0x15, 0, 1, port),  # target port
        (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0),
    ]  # fmt: skip
    program = b"".join(struct.pack("HBBI", *each) for each in code)
    buffer = ctypes.create_string_buffer(program)
    sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer)))


def _seen(frame: bytes, port: int) -> Seen | None:
    if frame[12:14] != b"\x08\x00" or frame[23] not in {6, 17}:
        return None
    tcp = frame[23] == 6
    ip = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
    inner = ip[(ip[0] & 15) * 4 :]
    source, target = int.from_bytes(inner[:2], "big"), int.from_bytes(inner[2:4], "big")
    if port not in {source, target}:
        return None
    data = inner[(inner[12] >> 4) * 4 :] if tcp else inner[8:]
    return Seen(target == port, source if target == port else target, inner[13] if tcp else 0, data)


def by_connection(seen: list[Seen]) -> list[list[Seen]]:
    """The frames of each connection that was opened meanwhile; a later one may come from the same port."""
    out: list[list[Seen]] = []
    newest: dict[int, list[Seen]] = {}
    for one in seen:
        if one.flags & SYN and one.asks:
            newest[one.client] = []
            out.append(newest[one.client])
        if one.client in newest:
            newest[one.client].append(one)
    return out


def most_open(seen: list[Seen]) -> int:
    """The largest number of connections that were open at once, from SYN to both FINs."""
    most, ends = 0, dict[int, set[bool]]()
    for one in seen:
        if one.flags & SYN and one.asks:
            ends[one.client] = set()
        if one.flags & FIN and one.client in ends:
            ends[one.client].add(one.asks)
        most = max(most, sum(len(closed) < 2 for closed in ends.values()))
    return most
