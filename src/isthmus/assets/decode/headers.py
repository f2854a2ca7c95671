"""The headers of all packets of a window at once: addresses, ports and where the payload stands.

Every array has shape (packets,). IPv4 addresses are kept as IPv4-mapped IPv6 addresses in two 64-bit
halves, so that one kind of key serves both. A packet that has no such header, or is cut off before
it ends, has zeros there.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.capture import Window
from isthmus.assets.decode.columns import among, rows_at

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
TCP, UDP = 6, 17
MAPPED: Final = 0xFFFF_0000_0000
"""What stands before an IPv4 address in the low half."""
_VLAN: Final = (0x8100, 0x88A8, 0x9100)
_ETHERNET, _COOKED, _COOKED2 = 1, 113, 276
_RAW_IP: Final = (12, 14, 101, 228, 229)
_LOOPBACK: Final = (0, 108)
_FRAGMENT, _AUTHENTICATION = 44, 51
_EXTENSIONS: Final = (0, 43, _FRAGMENT, _AUTHENTICATION, 60)
_L2, _L3, _L4 = 32, 44, 20
"""How many bytes of each header are looked at."""


class Headers(NamedTuple):
    """What stands in front of each payload."""

    ether_type: U16
    """EtherType; below 1536 it is the length of an 802.3 frame."""
    vlan: U16
    """The outermost VLAN's number, 0 for none."""
    source_mac: U64
    target_mac: U64
    l3: I64
    """Where in the window's data the network header begins."""
    source_high: U64
    source_low: U64
    target_high: U64
    target_low: U64
    protocol: U8
    """IP protocol, 0 when it is no IP packet."""
    source_port: U16
    target_port: U16
    tcp_flags: U8
    tcp_seq: NDArray[np.uint32]
    fragment: Bool
    """True for a part of a fragmented packet, the first included."""
    payload: I64
    """Where in the window's data the payload of UDP, TCP or what else it is begins."""
    payload_length: I64
    """Captured bytes of it; never negative."""

    @property
    def is_ip(self) -> Bool:
        """Which packets carry IP."""
        return self.protocol != 0


def headers(window: Window) -> Headers:
    """Parse the headers of every packet of a window."""
    ether_type, vlan, source_mac, target_mac, l3 = _link(window)
    end = window.at + window.caught
    rows = _rows(window, l3, _L3)
    room = end - l3
    four = (ether_type == IPV4) & (room >= 20) & (rows[:, 0] >> 4 == 4)  # noqa: PLR2004  header sizes and versions
    six = (ether_type == IPV6) & (room >= 40) & (rows[:, 0] >> 4 == 6)  # noqa: PLR2004  as above
    # Nearly all packets are IPv4, so that its fields are taken of all and kept where they are so.
    protocol = np.where(four, rows[:, 9], np.uint8(0))
    l4 = l3 + np.where(four, (rows[:, 0] & np.uint8(15)) * np.uint8(4), np.uint8(0))
    total, flags = _be(rows, 2, 2).astype(np.int64), np.where(four, _be(rows, 6, 2), 0)
    stop = np.where(four & (total > 0), np.minimum(end, l3 + total), end)
    fragment, later = (flags & 0x3FFF) != 0, (flags & 0x1FFF) != 0
    high = [np.zeros(len(l3), np.uint64) for _ in range(2)]
    low = [np.where(four, _be(rows, at, 4) | np.uint64(MAPPED), np.uint64(0)) for at in (12, 16)]
    if six.any():
        part = rows[six]
        protocol[six] = part[:, 6]
        length = _be(part, 4, 2).astype(np.int64)
        stop[six] = np.where(length > 0, np.minimum(end[six], l3[six] + 40 + length), end[six])
        l4[six] += 40
        for side, at in enumerate((8, 24)):
            high[side][six], low[side][six] = _be(part, at, 8), _be(part, at + 8, 8)
        _skip_extensions(window, np.flatnonzero(six), protocol, l4, fragment, later)
    return _transport(
        window,
        Headers(
            ether_type, vlan, source_mac, target_mac, l3, high[0], low[0], high[1], low[1], protocol,
            np.zeros(len(l3), np.uint16), np.zeros(len(l3), np.uint16),
            np.zeros(len(l3), np.uint8), np.zeros(len(l3), np.uint32), fragment, l4, stop,
        ),
        later,
    )  # fmt: skip


def _rows(window: Window, at: I64, width: int) -> U8:
    """`width` bytes from each place, shape (packets, width); one copy of rows, never beyond the block's end."""
    return rows_at(window.data, np.clip(at, 0, len(window.data) - width), width)


def _be(rows: U8, at: int, width: int) -> U64:
    """A big-endian number of 2, 4, 6 or 8 bytes out of each row; of 6, two more bytes must stand behind it."""
    kind = {2: ">u2", 4: ">u4"}.get(width, ">u8")
    rows = np.ascontiguousarray(rows)
    seen: NDArray[Any] = np.ndarray((len(rows),), kind, rows.data, at, (rows.strides[0],)) if len(rows) else rows[:, 0]
    out: U64 = seen.astype(np.uint64)
    return out >> np.uint64(16) if width == 6 else out  # noqa: PLR2004  a MAC address


def _link(window: Window) -> tuple[U16, U16, U64, U64, I64]:
    """EtherType, VLAN, MAC addresses and the place of the network header, for every kind of link."""
    rows, link = _rows(window, window.at, _L2), window.link
    ether_type = _be(rows, 12, 2).astype(np.uint16)
    source, target, l3 = _be(rows, 6, 6), _be(rows, 0, 6), window.at + 14
    vlan = np.zeros(len(rows), np.uint16)
    short = window.caught < 14  # noqa: PLR2004  an Ethernet header
    for other in np.unique(link[link != _ETHERNET]).tolist():
        mine = link == other
        type_at, address_at, size = {_COOKED: (14, 6, 16), _COOKED2: (0, 12, 20)}.get(other, (0, 0, 0))
        source[mine] = target[mine] = 0
        ether_type[mine] = 0
        l3[mine] = window.at[mine] + size
        short[mine] = window.caught[mine] < size
        if size:
            ether_type[mine] = _be(rows[mine], type_at, 2).astype(np.uint16)
            source[mine] = _be(rows[mine], address_at, 6)
        elif other in _RAW_IP or other in _LOOPBACK:
            ahead = 4 if other in _LOOPBACK else 0
            l3[mine] = window.at[mine] + ahead
            version = rows[mine][:, ahead] >> 4
            ether_type[mine] = np.where(version == 4, IPV4, np.where(version == 6, IPV6, 0))  # noqa: PLR2004
    for step in range(2):  # at most two tags, one within the other
        tagged = among(ether_type, _VLAN) & (link == _ETHERNET) & (window.caught >= 18 + 4 * step)
        if not tagged.any():
            break
        tag = _be(rows[tagged], 14 + 4 * step, 2).astype(np.uint16) & 0x0FFF
        vlan[tagged] = np.where(vlan[tagged] == 0, tag, vlan[tagged])
        ether_type[tagged] = _be(rows[tagged], 16 + 4 * step, 2).astype(np.uint16)
        l3[tagged] += 4
    ether_type[short] = 0
    return ether_type, vlan, source, target, l3


def _skip_extensions(  # noqa: PLR0913, PLR0917  it works on the columns that its caller fills
    window: Window, six: NDArray[np.intp], protocol: U8, l4: I64, fragment: Bool, later: Bool
) -> None:
    """Step over IPv6 extension headers (RFC 8200, 4); at most eight, as more are no honest traffic."""
    waiting = six[among(protocol[six], _EXTENSIONS)]
    for _ in range(8):
        if not len(waiting):
            return
        rows, kind = _rows(window, l4[waiting], 8), protocol[waiting]
        parts = kind == _FRAGMENT
        fragment[waiting[parts]] = True
        later[waiting[parts]] = (_be(rows[parts], 2, 2) & 0xFFF8) != 0
        units = rows[:, 1].astype(np.int64)
        size = np.where(parts, 8, np.where(kind == _AUTHENTICATION, (units + 2) * 4, (units + 1) * 8))
        protocol[waiting] = rows[:, 0]
        l4[waiting] += size
        waiting = waiting[among(protocol[waiting], _EXTENSIONS)]


def _transport(window: Window, found: Headers, later: Bool) -> Headers:
    """Ports, TCP's flags and sequence, and the payload; `payload_length` holds the end of the packet until then."""
    l4, stop = found.payload, found.payload_length
    rows: Any = _rows(window, l4, _L4)
    room = stop - l4
    tcp = (found.protocol == TCP) & ~later & (room >= 20)  # noqa: PLR2004  a TCP header
    udp = (found.protocol == UDP) & ~later & (room >= 8)  # noqa: PLR2004  a UDP header
    ported = tcp | udp
    source_port = np.where(ported, _be(rows, 0, 2), 0).astype(np.uint16)
    target_port = np.where(ported, _be(rows, 2, 2), 0).astype(np.uint16)
    offset = np.where(tcp, np.maximum((rows[:, 12] >> 4).astype(np.int64) * 4, 20), np.where(udp, 8, 0))
    payload = l4 + offset
    return found._replace(
        source_port=source_port,
        target_port=target_port,
        tcp_flags=np.where(tcp, rows[:, 13], 0).astype(np.uint8),
        tcp_seq=np.where(tcp, _be(rows, 4, 4), 0).astype(np.uint32),
        payload=payload,
        payload_length=np.maximum(stop - payload, 0),
    )
