"""Puts together what one packet was too small for: messages over several TCP segments, IP fragments.

Both are bounded in number and bytes; what is pushed out or never completed is counted.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.capture import Window
from isthmus.assets.decode.headers import IPV4, Headers

_MOST_MESSAGE: Final = 64 * 1024
_MOST_WAITING: Final = 512
_MOST_EARLY: Final = 64
_MOST_DATAGRAMS: Final = 256
_MOST_PARTS: Final = 64
_HALF: Final = 1 << 31
_IPV6_FRAGMENT, _IPV6_HEADER = 44, 40


class Waiting:
    """A message whose rest is still to come."""

    def __init__(self, key: int, begin: bytes, seq: int, need: int) -> None:
        self.key, self.need = key, need
        """Why it is read, and its length in all."""
        self.held = bytearray(begin)
        self._next = (seq + len(begin)) & 0xFFFFFFFF
        self._early: dict[int, bytes] = {}

    def feed(self, seq: int, part: bytes) -> bool:
        """Take a segment in whatever order; True when the message is whole."""
        ahead = (seq - self._next) & 0xFFFFFFFF
        if 0 < ahead < _HALF:
            if ahead < _MOST_MESSAGE and len(self._early) < _MOST_EARLY:
                self._early[seq] = part
            return False
        self._join(seq, part)
        grown = True
        while grown and self._early:
            grown = False
            for early in list(self._early):
                if (early - self._next) & 0xFFFFFFFF == 0 or (self._next - early) & 0xFFFFFFFF < _HALF:
                    self._join(early, self._early.pop(early))
                    grown = True
        return len(self.held) >= self.need

    @property
    def seq(self) -> int:
        """Of its first byte."""
        return (self._next - len(self.held)) & 0xFFFFFFFF

    def _join(self, seq: int, part: bytes) -> None:
        known = (self._next - seq) & 0xFFFFFFFF
        fresh = part[known:] if known < len(part) else b""
        self.held += fresh
        self._next = (self._next + len(fresh)) & 0xFFFFFFFF


class Streams:
    """Messages that wait for segments, by direction."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def directions(self) -> list[int]:
        """Which directions have one."""
        return list(self._waiting)

    def get(self, direction: int) -> Waiting | None:
        """The message that waits in a direction."""
        return self._waiting.get(direction)

    def begin(self, direction: int, waiting: Waiting) -> bool:
        """Let a message wait; False when it is longer than any that matters."""
        if waiting.need > _MOST_MESSAGE:
            self.given_up += 1
            return False
        if direction not in self._waiting and len(self._waiting) >= _MOST_WAITING:
            self.given_up += 1
            del self._waiting[next(iter(self._waiting))]
        self._waiting[direction] = waiting
        return True

    def end(self, direction: int) -> None:
        """Its message is whole."""
        self._waiting.pop(direction, None)

    def move(self, moved: NDArray[np.int64]) -> None:
        """Directions have new numbers; those of -1 are forgotten, and what waited there is given up."""
        before = self._waiting
        self._waiting = {new: one for old, one in before.items() if (new := int(moved[old])) >= 0}
        self.given_up += len(before) - len(self._waiting)


class _Datagram:
    def __init__(self, first: int) -> None:
        self.first = first
        self.parts: dict[int, bytes] = {}
        self.total = -1
        self.direction = -1


class Whole:
    """A datagram put together; `direction` is its first fragment's, which alone has the ports."""

    def __init__(self, packet: int, direction: int, data: bytes) -> None:
        self.packet, self.direction, self.data = packet, direction, data


class Fragments:
    """IP datagrams in parts (RFC 791, RFC 8200). Overlaps keep what came first."""

    def __init__(self) -> None:
        self._parts: dict[tuple[int, ...], _Datagram] = {}
        self.given_up = 0

    @property
    def unfinished(self) -> int:
        """Datagrams whose parts did not all come."""
        return self.given_up + len(self._parts)

    def take(self, window: Window, found: Headers, direction: np.ndarray) -> list[Whole]:
        """Datagrams that a window's fragments complete, IP payload only."""
        out: list[Whole] = []
        for packet in np.flatnonzero(found.fragment).tolist():
            read = _read(window, found, packet)
            if read is None:
                continue
            key, offset, more, part = read
            whole = self._add(key, packet, offset, more=more, part=part, direction=int(direction[packet]))
            if whole is not None:
                out.append(whole)
        return out

    def move(self, moved: NDArray[np.int64]) -> None:
        """Directions have new numbers, -1 for none."""
        for held in self._parts.values():
            if held.direction >= 0:
                held.direction = int(moved[held.direction])

    def _add(  # noqa: PLR0913  one fragment's fields
        self, key: tuple[int, ...], packet: int, offset: int, *, more: bool, part: bytes, direction: int
    ) -> Whole | None:
        held = self._parts.get(key)
        if held is None:
            if len(self._parts) >= _MOST_DATAGRAMS:
                self.given_up += 1
                del self._parts[next(iter(self._parts))]
            held = self._parts[key] = _Datagram(packet)
        if offset + len(part) > _MOST_MESSAGE or len(held.parts) >= _MOST_PARTS:
            del self._parts[key]
            self.given_up += 1
            return None
        held.parts.setdefault(offset, part)
        if offset == 0:
            held.direction = direction
        if not more:
            held.total = offset + len(part)
        data = _joined(held)
        if data is None:
            return None
        del self._parts[key]
        return Whole(packet, held.direction, data)


def _joined(held: _Datagram) -> bytes | None:
    if held.total < 0:
        return None
    data = b""
    for offset, part in sorted(held.parts.items()):
        if offset > len(data):
            return None
        data += part[len(data) - offset :]
    return data[: held.total] if len(data) >= held.total else None


def _read(window: Window, found: Headers, packet: int) -> tuple[tuple[int, ...], int, bool, bytes] | None:
    """Its key, offset, whether more follow, and its bytes."""
    start, end = int(found.l3[packet]), int(window.at[packet] + window.caught[packet])
    data = window.data[start:end].tobytes()
    ends = (
        int(found.source_high[packet]), int(found.source_low[packet]),
        int(found.target_high[packet]), int(found.target_low[packet]), int(found.protocol[packet]),
    )  # fmt: skip
    if found.ether_type[packet] == IPV4:
        header, total = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
        flags = int.from_bytes(data[6:8], "big")
        part = data[header:total] if total >= header else data[header:]
        return (*ends, int.from_bytes(data[4:6], "big")), (flags & 0x1FFF) * 8, bool(flags & 0x2000), part
    return _read_six(data, ends)


def _read_six(data: bytes, ends: tuple[int, ...]) -> tuple[tuple[int, ...], int, bool, bytes] | None:
    kind, at = data[6], _IPV6_HEADER
    stop = _IPV6_HEADER + int.from_bytes(data[4:6], "big")
    for _ in range(8):
        if at + 8 > len(data):
            return None
        if kind == _IPV6_FRAGMENT:
            flags = int.from_bytes(data[at + 2 : at + 4], "big")
            name = int.from_bytes(data[at + 4 : at + 8], "big")
            return (*ends, name), flags & 0xFFF8, bool(flags & 1), data[at + 8 : stop]
        kind, at = data[at], at + 8 + data[at + 1] * 8
    return None
