"""Listens on a mirror port: takes packets from the kernel's ring, and never sends one.

The kernel writes packets into blocks of memory that it shares with us (TPACKET_V3), and marks a block
when it is full or PATIENCE_MS old. Each `take` copies all marked blocks at once, gives them back to the
kernel, and says where in the copy each packet stands. What did not find room in the ring is counted
by the kernel and told by `missed`.

    a block     offset  8  status, 1 when it is ours     12  packets     16  where the first begins
    a packet    offset  0  bytes to the next    4  s     8  ns           12  caught      16  length
                       20  status              24  where its bytes begin (16 bits)
                       32  VLAN tag            36  its EtherType, 16 bits each of meaning

The network card takes a VLAN tag off; it is put back where it stood. Sources: Linux
Documentation/networking/packet_mmap.rst, include/uapi/linux/if_packet.h.
"""

from __future__ import annotations

import difflib
import errno
import fcntl
import mmap
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from isthmus.model.errors import DeviceAway, UsageError
from isthmus.model.time import NS_PER_S

RING_MB: Final = 64
PATIENCE_MS: Final = 60
_BLOCK: Final = 1 << 20
_AT_ONCE: Final = 16
"""Blocks copied together at most, so that a busy network is read in large windows."""
_WORTH, _GATHER_S = 3, 0.02
"""Fewer blocks are waited for a little: hearing many at once costs much less than one after the other."""
_SOL_PACKET, _ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 263, 1, 5, 6, 10, 23
_PROMISCUOUS, _TPACKET_V3, _EVERY_PROTOCOL = 1, 2, 3
_OURS, _HAS_TAG, _HAS_TAG_TYPE = 1, 1 << 4, 1 << 6
_PACKET_HEADER: Final = 48
_TAG, _TAG_BYTES, _MACS = 0x8100, 4, 12
_ETHERNET, _RAW_IP = 1, 101
_LINKS: Final = {1: _ETHERNET, 772: _ETHERNET, 65534: _RAW_IP, 519: _RAW_IP, 512: _RAW_IP}
"""LINKTYPE_ by the kernel's ARPHRD_: Ethernet, loopback, none, PPP and their like."""
_LOOPBACK: Final = 772
_GET_FLAGS, _GET_ADDRESS, _GET_KIND = 0x8913, 0x8915, 0x8927
_UP, _LOOP = 1, 8


class Caught(NamedTuple):
    """Packets in the order in which they came; all arrays have shape (packets,) but `data`."""

    data: NDArray[np.uint8]
    """The blocks as the kernel wrote them, shape (bytes,), with `margin` zeros at the end; what stands in the
    16 bytes in front of a packet is of no use any more."""
    at: NDArray[np.int64]
    caught: NDArray[np.int64]
    length: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    link: NDArray[np.int32]
    """LINKTYPE_ number."""


class Tap:
    """An interface that is listened to. Raises UsageError when that cannot be.

    `margin` zero bytes stand behind the last packet of what is caught.
    """

    def __init__(self, interface: str, *, margin: int, ring_mb: int = RING_MB) -> None:
        _can_listen(interface)
        self.interface, self._margin = interface, margin
        self._packets = self._missed = 0
        self._next, self._blocks = 0, max(ring_mb, 4)
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise UsageError(_NO_RIGHT.format(interface=interface, python=Path(sys.executable).resolve())) from error
        try:
            self._open()
        except OSError as error:
            self._socket.close()
            msg = f"{interface} cannot be listened to: {error.strerror}"
            if error.errno == errno.ENOMEM:
                msg += f"; the ring takes {self._blocks} MB, give a smaller one with --ring"
            raise UsageError(msg) from error

    def _open(self) -> None:
        """Make the ring before binding, so that nothing is caught that finds no place."""
        given = self._socket
        given.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        frames = self._blocks * (_BLOCK // 2048)
        shape = struct.pack("7I", _BLOCK, self._blocks, 2048, frames, PATIENCE_MS, 0, 0)
        given.setsockopt(_SOL_PACKET, _RX_RING, shape)
        self._ring = mmap.mmap(given.fileno(), self._blocks * _BLOCK, mmap.MAP_SHARED)
        self._view: NDArray[np.uint8] = np.frombuffer(self._ring, np.uint8).reshape(self._blocks, _BLOCK)
        self._heads = self._view[:, :24].view(np.uint32)
        number = socket.if_nametoindex(self.interface)
        (kind,) = _asked(self.interface, _GET_KIND)
        if kind not in _LINKS:
            raise OSError(errno.EOPNOTSUPP, f"it carries neither Ethernet nor IP (kind {kind})")
        self._link = _LINKS[kind]
        if kind == _LOOPBACK:  # everything would be caught twice, leaving and arriving
            given.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        given.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("iHH8x", number, _PROMISCUOUS, 0))
        given.bind((self.interface, _EVERY_PROTOCOL))
        self._poll = select.poll()
        self._poll.register(given, select.POLLIN | select.POLLERR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the interface as it was."""
        del self._view, self._heads
        self._ring.close()
        self._socket.close()

    def take(self, wait_s: float) -> Caught | None:
        """What came since the last time; None when nothing did within `wait_s`.

        Raises DeviceAway when the interface went down: it may come back, or be gone.
        """
        if self._heads[self._next, 2] & _OURS == 0:
            for _, event in self._poll.poll(wait_s * 1000):
                if event & select.POLLERR:
                    self._away()
        ready = self._ready()
        if 0 < ready < _WORTH:
            time.sleep(_GATHER_S)
            ready = self._ready()
        return self._copied(ready) if ready else None

    def _ready(self) -> int:
        """How many blocks are ours, of those that are copied together."""
        ready = 0
        while ready < min(_AT_ONCE, self._blocks) and self._heads[(self._next + ready) % self._blocks, 2] & _OURS:
            ready += 1
        return ready

    def _away(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            msg = f"{self.interface} went down: {errno.errorcode.get(code, code)}"
            raise DeviceAway(msg)

    def _copied(self, ready: int) -> Caught | None:
        """Copy so many blocks, give them back, and find the packets in the copy."""
        numbers = [(self._next + index) % self._blocks for index in range(ready)]
        sizes = [min(int(self._heads[number, 5]), _BLOCK) for number in numbers]
        data = np.empty(sum(sizes) + self._margin, np.uint8)
        data[-self._margin :] = 0
        places: list[int] = []
        begin = 0
        for number, size in zip(numbers, sizes, strict=True):
            data[begin : begin + size] = self._view[number, :size]
            self._heads[number, 2] = 0
            _walk(data.data, begin, places)
            begin += size
        self._next = (self._next + ready) % self._blocks
        return _caught(data, np.array(places, np.int64), self._link) if places else None

    def missed(self) -> int:
        """Packets that the kernel could not give us since the beginning, for want of room."""
        seen = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)
        packets, missed, _ = struct.unpack("3I", seen)  # the kernel begins anew each time it is asked
        self._packets += packets
        self._missed += missed
        return self._missed


def _walk(data: memoryview, begin: int, places: list[int]) -> None:
    """Where each packet's header stands: each says where the next is, the one thing that is asked one by one."""
    count, at = struct.unpack_from("=II", data, begin + 12)
    at, step, keep = begin + at, struct.Struct("=I").unpack_from, places.append
    for _ in range(count):
        keep(at)
        at += step(data, at)[0]


def _caught(data: NDArray[np.uint8], places: NDArray[np.int64], link: int) -> Caught:
    rows = sliding_window_view(data, _PACKET_HEADER)[places]
    numbers = rows.view(np.uint32).astype(np.int64)
    at = places + (numbers[:, 6] & 0xFFFF)
    caught, length = numbers[:, 3], numbers[:, 4]
    tagged = np.flatnonzero(numbers[:, 5] & _HAS_TAG) if link == _ETHERNET else places[:0]
    if len(tagged):
        at[tagged] -= _TAG_BYTES
        caught[tagged] += _TAG_BYTES
        length[tagged] += _TAG_BYTES
        _put_back(data, at[tagged], numbers[tagged])
    time_ns = numbers[:, 1] * NS_PER_S + numbers[:, 2]
    return Caught(data, at, caught, length, time_ns, np.full(len(at), link, np.int32))


def _put_back(data: NDArray[np.uint8], at: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
    """Write VLAN tags where they stood; in front of each packet the kernel leaves more room than that."""
    rows = sliding_window_view(data, _MACS + _TAG_BYTES, writeable=True)
    fresh = np.empty((len(at), _MACS + _TAG_BYTES), np.uint8)
    fresh[:, :_MACS] = rows[at][:, _TAG_BYTES:]
    kind = np.where(numbers[:, 5] & _HAS_TAG_TYPE, numbers[:, 9] & 0xFFFF, _TAG).astype(">u2")
    fresh[:, _MACS : _MACS + 2] = kind.view(np.uint8).reshape(-1, 2)
    fresh[:, _MACS + 2 :] = (numbers[:, 8] & 0xFFFF).astype(">u2").view(np.uint8).reshape(-1, 2)
    rows[at] = fresh


_NO_RIGHT: Final = (
    "listening on {interface} needs the right to see raw packets. Give it to Python once:\n"
    "    sudo setcap cap_net_raw=ep {python}\n"
    "or, where systemd starts it, in the unit's [Service]:\n"
    "    AmbientCapabilities=CAP_NET_RAW"
)


def interfaces() -> list[str]:
    """The names of this machine's network interfaces."""
    return [name for _, name in socket.if_nameindex()]


def _can_listen(interface: str) -> None:
    if not sys.platform.startswith("linux"):
        msg = f"listening needs Linux, this is {sys.platform}; save a capture with Wireshark and read it "
        msg += "with isthmus audit import"
        raise UsageError(msg)
    known = interfaces()
    if interface not in known:
        near = difflib.get_close_matches(interface, known, 1, 0.4)
        msg = f"there is no interface {interface}{f'; did you mean {near[0]}?' if near else ''}"
        msg += f" This machine has {', '.join(known)}"
        raise UsageError(msg)
    (flags,) = _asked(interface, _GET_FLAGS)
    if not flags & _UP:
        msg = f"{interface} is down; take it up first: sudo ip link set {interface} up"
        raise UsageError(msg)


def may_send(interface: str) -> str:
    """Why the system itself may send through an interface, with the mend; "" where it has no reason to.

    An interface with an address answers ARP and calls for routers and neighbours, whoever only listens to it.
    """
    (flags,) = _asked(interface, _GET_FLAGS)
    if flags & _LOOP:
        return ""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, suppress(OSError):
        answer = fcntl.ioctl(any_socket, _GET_ADDRESS, struct.pack("16s24x", interface.encode()))
        found.append(socket.inet_ntoa(answer[20:24]))
    with suppress(OSError):
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
        six = [line.split()[0] for line in lines if line.split()[-1] == interface]
        found += [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(one)) for one in six]
    if not found:
        return ""
    return (
        f"{interface} has the address {' and '.join(found)}, so this system itself may send there (ARP, calls for "
        f"routers). At a mirror port take it away: sudo sysctl net.ipv6.conf.{interface}.disable_ipv6=1; "
        f"sudo ip address flush dev {interface}"
    )


def _asked(interface: str, request: int) -> tuple[int]:
    """What the kernel tells of an interface in 16 bits (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, request, struct.pack("16s24x", interface.encode()))
    number: tuple[int] = struct.unpack_from("=H", answer, 16)
    return number
