"""Records what goes over loopback with a raw socket, as a mirror port would show it."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from wire import pcap

_EVERY_PROTOCOL = 0x0003
_OUTGOING = 4
_QUIET_S, _LONGEST_S = 0.3, 20.0


@contextmanager
def recorded(path: Path, port: int) -> Iterator[Path]:
    """A port's packets on loopback meanwhile, once: each leaves and arrives there, and only its leaving is kept."""
    if not hasattr(socket, "AF_PACKET") or os.geteuid() != 0:
        pytest.skip("recording needs a raw socket, which only root has on Linux")
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind(("lo", _EVERY_PROTOCOL))
    packets: list[bytes] = []
    done = threading.Event()

    def listen() -> None:
        end, last = time.monotonic() + _LONGEST_S, time.monotonic()
        while (now := time.monotonic()) < end and (not done.is_set() or now < last + _QUIET_S):
            if not select.select([sock], [], [], _QUIET_S)[0]:
                continue
            data, address = sock.recvfrom(65_536)
            if address[2] == _OUTGOING and port.to_bytes(2, "big") in {data[34:36], data[36:38]}:
                packets.append(data)
                last = now

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield path
    finally:
        done.set()
        listener.join(_LONGEST_S)
        sock.close()
        pcap(path, packets)


def asked(kind: socket.SocketKind, port: int, *requests: bytes) -> None:
    """Send requests to a server on loopback and wait for each answer."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", port))
        for request in requests:
            sock.send(request)
            assert sock.recv(65_536)


def wait_for(port: int, deadline_s: float = 15.0) -> None:
    """Until somebody listens there."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.05)
    pytest.fail(f"nobody listens on port {port}")
