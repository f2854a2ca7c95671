"""Reads capture files, pcap and pcapng, in windows: packets as places in one block of bytes.

Nothing is parsed here beyond the file's own frame around each packet. A file that ends or breaks in
the middle is read up to there, and what could not be read is told. Memory stays at a few windows
whatever the size of the file.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import rows_at
from isthmus.assets.decode.packed import Packed
from isthmus.model.errors import IsthmusError
from isthmus.model.time import NS_PER_S

WINDOW_BYTES: Final = 4 * 1024 * 1024
MARGIN: Final = 256
"""Zero bytes behind the last packet, so that a header may be looked at without asking how long it is."""
_MOST_CAUGHT: Final = 1 << 20
"""No packet is longer; a length above says that the file is damaged."""

Told = Callable[[str], None]


class NoCapture(IsthmusError):
    """The file is not a capture at all; the message says what to give instead."""


class Window(NamedTuple):
    """Packets of a capture in the order of the file; all arrays have shape (packets,) but `data`."""

    data: NDArray[np.uint8]
    """Bytes, shape (bytes,), with MARGIN zeros at the end."""
    at: NDArray[np.int64]
    """Where in `data` each packet begins."""
    caught: NDArray[np.int64]
    """How many of its bytes were captured."""
    length: NDArray[np.int64]
    """How many it had on the wire."""
    time_ns: NDArray[np.int64]
    link: NDArray[np.int32]
    """LINKTYPE_ number of the interface that caught it."""
    first_frame: int
    """Number of the first packet in its file, counted from 1."""


def windows(path: Path, told: Told, size: int = WINDOW_BYTES) -> Iterator[Window]:
    """The packets of a file, plain or gzipped, window by window.

    Raises NoCapture when it is no capture, OSError when it cannot be read. `told` is given a sentence
    for what is cut short, damaged or of no use.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        reader = _reader(path, _Blocks(Packed(raw) if packed else raw, size, told))
        yield from reader.windows()


def application(path: Path) -> str:
    """Which application a pcapng says it was written by; "" for none, or for another kind of file."""
    with path.open("rb") as file:
        head = file.read(4096)
    order = "<" if head[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    if head[:4] != _SECTION_MAGIC or len(head) < _SECTION_OPTIONS:
        return ""
    end = min(struct.unpack_from(order + "I", head, 4)[0], len(head)) - 4
    at = _SECTION_OPTIONS
    while at + 4 <= end:
        code, size = struct.unpack_from(order + "HH", head, at)
        if code == _APPLICATION:
            return head[at + 4 : at + 4 + size].decode("utf-8", "replace")
        at += 4 + size + (-size % 4)
    return ""


class _Blocks:
    """The file as blocks of bytes; what a reader left of one block stands before the next."""

    def __init__(self, file: BufferedReader | Packed, size: int, told: Told) -> None:
        self._file, self._size, self.told = file, size, told
        self.data = memoryview(b"")
        self.whole = np.zeros(MARGIN, np.uint8)
        """`data` with MARGIN zeros behind it."""
        self._ended = False
        self.base = 0
        """Place in the file of the first byte of `data`."""

    def next(self, used: int) -> bool:
        """Drop `used` bytes and read on; False when the file has no more."""
        left = len(self.data) - used
        whole = np.empty(left + self._size + MARGIN, np.uint8)
        whole[:left] = self.whole[used : used + left]
        filled = left
        try:
            while (
                not self._ended
                and filled < left + self._size
                and (more := self._file.readinto(whole[filled:-MARGIN].data))
            ):
                filled += more
        except (EOFError, OSError, struct.error, zlib.error) as error:
            self.told(f"the file breaks off: {error}")
            self._ended = True
        whole[filled : filled + MARGIN] = 0
        self.whole = whole[: filled + MARGIN]
        self.data = self.whole[:filled].data
        self.base += used
        return filled > left


def _reader(path: Path, blocks: _Blocks) -> _Pcap | _PcapNg:
    blocks.next(0)
    magic = bytes(blocks.data[:4])
    if magic in _PCAP_MAGIC:
        return _Pcap(blocks)
    if magic == _SECTION_MAGIC:
        return _PcapNg(blocks)
    msg = f"{path}: this is no capture; give a file that Wireshark, tcpdump or a switch saved as pcap or pcapng"
    raise NoCapture(msg)


class _Gathered:
    """Packets found in one block, until they become a window."""

    def __init__(self) -> None:
        self.at: list[int] = []
        self.caught: list[int] = []
        self.length: list[int] = []
        self.time_ns: list[int] = []
        self.link: list[int] = []

    def window(self, data: NDArray[np.uint8], first_frame: int) -> Window:
        return Window(
            data,
            np.array(self.at, np.int64),
            np.array(self.caught, np.int64),
            np.array(self.length, np.int64),
            np.array(self.time_ns, np.int64),
            np.array(self.link, np.int32),
            first_frame,
        )


_PCAP_MAGIC: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x34\xcd\xb2\xa1": ("<", 1000),  # Kuznetzov's variant, with 8 more bytes a packet
    b"\xa1\xb2\xcd\x34": (">", 1000),
}
_PCAP_WIDE: Final = (b"\x34\xcd\xb2\xa1", b"\xa1\xb2\xcd\x34")
_PCAP_HEADER: Final = 24
_AT_ONCE, _WORTH = 512 * 1024, 64
"""Bytes that are looked through for packets at once, few enough for the processor's cache; and fewer packets than
that are sooner found one after the other."""


class _Pcap:
    """The old format: a header, then each packet behind 16 bytes of time and lengths."""

    def __init__(self, blocks: _Blocks) -> None:
        self._blocks = blocks
        magic = bytes(blocks.data[:4])
        self._order, self._fraction_ns = _PCAP_MAGIC[magic]
        self._record_bytes = 24 if magic in _PCAP_WIDE else 16
        self._link = 1
        if len(blocks.data) >= _PCAP_HEADER:
            self._link = struct.unpack_from(self._order + "I", blocks.data, 20)[0] & 0x0FFFFFFF

    def windows(self) -> Iterator[Window]:
        used, frame, going = min(_PCAP_HEADER, len(self._blocks.data)), 1, True
        while going:
            places, used, sound = self._walk(used)
            if len(places):
                yield self._window(places, frame)
                frame += len(places)
            if not sound:
                where = self._blocks.base + used
                self._blocks.told(f"damaged at byte {where}, behind packet {frame - 1}; nothing behind it was read")
                return
            going = self._blocks.next(used)
            used = 0
        if self._blocks.data:
            self._blocks.told(f"packet {frame} is cut short at the end of the file")

    def _walk(self, offset: int) -> tuple[NDArray[np.int64], int, bool]:
        """Where each packet's own header stands, where the next begins, and whether the file is sound so far."""
        parts: list[NDArray[np.int64]] = []
        steps, ends = _WORTH, False
        while not ends:
            chain = self._chain(offset)
            steps = _WORTH if len(chain) else steps * 2
            if not len(chain):
                chain, ends = self._step(offset, steps)
            parts.append(chain[:-1])
            offset = int(chain[-1])
        parts.append(np.array([offset], np.int64))
        found, size, end = np.concatenate(parts), self._record_bytes, len(self._blocks.data)
        # What the loop does not ask packet by packet is asked here: whether each is whole and of a length that exists.
        fits = (np.diff(found) <= size + _MOST_CAUGHT) & (found[1:] <= end)
        whole = len(fits) if fits.all() else int(np.argmin(fits))
        offset = int(found[whole])
        sound = whole == len(fits) or found[whole + 1] - found[whole] <= size + _MOST_CAUGHT
        return found[:whole], offset, bool(sound)

    def _step(self, offset: int, most: int) -> tuple[NDArray[np.int64], bool]:
        """Find packets one after the other, as each length says where the next is; True when there are no more."""
        data, size, places = self._blocks.data, self._record_bytes, list[int]()
        keep, kept_at = places.append, struct.Struct(self._order + "8xI").unpack_from
        try:
            for _ in range(most):
                kept = kept_at(data, offset)[0]
                keep(offset)
                offset += size + kept
        except struct.error:
            return np.array([*places, offset], np.int64), True
        return np.array([*places, offset], np.int64), False

    def _chain(self, begin: int) -> NDArray[np.int64]:
        """Find packets all at once: where the next of each is; empty when few are found so, the last is where it ends.

        Headers of one day have the upper half of their seconds in common. Of all places with these two bytes,
        those are headers that one reaches from the first by the lengths; a few others are stepped over.
        """
        data, at = self._blocks.whole, 2 if self._order == "<" else 0
        end = min(len(data) - MARGIN, begin + _AT_ONCE)
        if end - begin < _WORTH * self._record_bytes:
            return np.zeros(0, np.int64)
        likely = _again(data[begin + at : end + at]) + begin
        if not _WORTH < len(likely) < (end - begin) // 14:
            return np.zeros(0, np.int64)
        anywhere: NDArray[np.uint32] = np.ndarray((len(data) - 3,), self._order + "u4", data.data, 0, (1,))
        following = likely + anywhere[likely + 8] + self._record_bytes
        astray = np.flatnonzero(following[:-1] != likely[1:])
        if len(astray) > len(likely) // 8:
            return np.zeros(0, np.int64)
        true, last = np.ones(len(likely), bool), len(likely) - 1
        reached = 0
        for index in astray.tolist():
            if index < reached:
                continue
            reached = int(np.searchsorted(likely, following[index]))
            true[index + 1 : reached] = False
            if reached == len(likely) or likely[reached] != following[index]:
                last = index
                break
        chain = likely[: last + 1][true[: last + 1]]
        return np.append(chain, following[last]) if len(chain) > _WORTH else np.zeros(0, np.int64)

    def _window(self, places: NDArray[np.int64], frame: int) -> Window:
        data = self._blocks.whole
        numbers = rows_at(data, places, 16).view(self._order + "u4")
        seconds, fraction, caught, length = (numbers[:, part].astype(np.int64) for part in range(4))
        time_ns = seconds * NS_PER_S + fraction * self._fraction_ns
        link = np.full(len(places), self._link, np.int32)
        return Window(data, places + self._record_bytes, caught, length, time_ns, link, frame)


def _again(body: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where the first two bytes stand again: in pairs from the first byte on, and in pairs from the second on."""
    half = len(body) // 2 - 1
    pairs, between = body[: 2 * half].view(np.uint16), body[1 : 2 * half + 1].view(np.uint16)
    at, beside = np.flatnonzero(pairs == pairs[0]), np.flatnonzero(between == pairs[0])
    out: NDArray[np.int64] = np.sort(np.concatenate([at * 2, beside * 2 + 1]), kind="stable")
    return out


_SECTION_MAGIC: Final = b"\x0a\x0d\x0d\x0a"
_SECTION, _INTERFACE, _SIMPLE, _OLD, _ENHANCED = 0x0A0D0D0A, 1, 3, 2, 6
_SECTION_OPTIONS, _APPLICATION = 24, 4
"""Where a section header's options begin, and shb_userappl among them."""
_LEAST_BLOCK: Final = 12
_MOST_BLOCK: Final = 1 << 24


class _Interface(NamedTuple):
    link: int
    ticks_a_second: int
    offset_s: int


class _PcapNg:
    """The new format: sections of blocks, each section with its own byte order and interfaces."""

    def __init__(self, blocks: _Blocks) -> None:
        self._blocks = blocks
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._unknown = 0

    def windows(self) -> Iterator[Window]:
        used, frame, going = 0, 1, True
        while going:
            found, used, sound = self._walk(used)
            if found.at:
                yield found.window(self._blocks.whole, frame)
                frame += len(found.at)
            if not sound:
                where = self._blocks.base + used
                self._blocks.told(f"damaged at byte {where}, behind packet {frame - 1}; nothing behind it was read")
                break
            going = self._blocks.next(used)
            used = 0
        else:
            if self._blocks.data:
                self._blocks.told(f"the file ends within a block, behind packet {frame - 1}")
        if self._unknown:
            self._blocks.told(f"{self._unknown} packets name an interface that the file does not describe")

    def _walk(self, offset: int) -> tuple[_Gathered, int, bool]:
        found, data, end = _Gathered(), self._blocks.data, len(self._blocks.data)
        while offset + _LEAST_BLOCK <= end:
            kind = struct.unpack_from(self._order + "I", data, offset)[0]
            if kind == _SECTION and not self._begin_section(data, offset):
                return found, offset, False
            length = struct.unpack_from(self._order + "I", data, offset + 4)[0]
            if length < _LEAST_BLOCK or length % 4 or length > _MOST_BLOCK:
                return found, offset, False
            if offset + length > end:
                break
            if struct.unpack_from(self._order + "I", data, offset + length - 4)[0] != length:
                return found, offset, False
            self._block(kind, data, offset + 8, offset + length - 4, found)
            offset += length
        return found, offset, True

    def _begin_section(self, data: memoryview, offset: int) -> bool:
        """Take the section's byte order; False when it has none."""
        mark = bytes(data[offset + 8 : offset + 12])
        if mark not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
            return False
        self._order = "<" if mark == b"\x4d\x3c\x2b\x1a" else ">"
        self._interfaces = []
        return True

    def _block(self, kind: int, data: memoryview, start: int, stop: int, found: _Gathered) -> None:
        if kind == _INTERFACE and stop - start >= 8:  # noqa: PLR2004  its fixed part
            self._interfaces.append(self._interface(data, start, stop))
        elif kind in (_ENHANCED, _OLD) and stop - start >= 20:  # noqa: PLR2004  its fixed part
            shape = "IIIII" if kind == _ENHANCED else "HHIIII"
            numbers = struct.unpack_from(self._order + shape, data, start)
            high, low, kept, full = numbers[-4:]
            self._packet(numbers[0], (high << 32) | low, start + 20, min(kept, stop - start - 20), full, found)
        elif kind == _SIMPLE and stop - start >= 4:  # noqa: PLR2004  its fixed part
            full = struct.unpack_from(self._order + "I", data, start)[0]
            self._packet(0, 0, start + 4, min(full, stop - start - 4), full, found)

    def _packet(self, number: int, ticks: int, at: int, kept: int, full: int, found: _Gathered) -> None:  # noqa: PLR0913, PLR0917  a packet has as many parts
        if number >= len(self._interfaces):
            self._unknown += 1
            return
        interface = self._interfaces[number]
        seconds, rest = divmod(ticks, interface.ticks_a_second)
        found.at.append(at)
        found.caught.append(kept)
        found.length.append(full)
        found.time_ns.append(
            min((seconds + interface.offset_s) * NS_PER_S + rest * NS_PER_S // interface.ticks_a_second, 2**62)
        )
        found.link.append(interface.link)

    def _interface(self, data: memoryview, start: int, stop: int) -> _Interface:
        link = struct.unpack_from(self._order + "H", data, start)[0]
        ticks, offset_s, at = 1_000_000, 0, start + 8
        while at + 4 <= stop:
            code, length = struct.unpack_from(self._order + "HH", data, at)
            value = data[at + 4 : at + 4 + length]
            if code == 0:
                break
            if code == 9 and value:  # noqa: PLR2004  if_tsresol
                power = value[0] & 0x7F
                ticks = 2 ** min(power, 62) if value[0] & 0x80 else 10 ** min(power, 18)
            elif code == 14 and length == 8:  # noqa: PLR2004  if_tsoffset
                offset_s = max(min(struct.unpack(self._order + "q", value)[0], 2**33), -(2**33))
            at += 4 + length + (-length % 4)
        return _Interface(link, ticks, offset_s)
