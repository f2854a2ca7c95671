"""Keeps what was listened to as capture files that Wireshark and `isthmus audit import` read.

A file is closed and the next begun at FILE_BYTES; beyond the bound of all together the oldest goes. A
file's name tells the interface, when it begins, and the number of its first packet.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from isthmus.edge.listen import Caught
from isthmus.model.time import NS_PER_S, to_datetime

FILE_BYTES: Final = 256 * 1024 * 1024
_MAGIC_NS, _MAJOR, _MINOR, _LONGEST = 0xA1B23C4D, 2, 4, 1 << 18
_RECORD: Final = 16
"""Bytes in front of each packet: seconds, nanoseconds, caught, length (draft-ietf-opsawg-pcap)."""


class Keeper:
    """Capture files of one interface in a folder. Methods raise OSError when the disk is full."""

    def __init__(self, folder: Path, interface: str, *, most_bytes: int, file_bytes: int = FILE_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._interface = folder, interface
        self._most, self._file_bytes = most_bytes, file_bytes
        self._path, self._size = Path(), 0
        self.dropped = 0
        """Files that were taken away to make room."""

    def keep(self, caught: Caught, first_frame: int) -> None:
        """Write these packets; the 16 bytes in front of each are written over in `caught.data`."""
        if not self._size or self._size >= self._file_bytes:
            self._begin(caught, first_frame)
        body = _records(caught)
        with self._path.open("ab") as file:
            file.write(body)
        self._size += len(body)

    def _begin(self, caught: Caught, first_frame: int) -> None:
        begun = to_datetime(int(caught.time_ns[0])).strftime("%Y%m%dT%H%M%SZ")
        self._make_room()
        self._path = self._folder / f"{self._interface}-{begun}-from-{first_frame:012}.pcap"
        head = struct.pack("=IHHiIII", _MAGIC_NS, _MAJOR, _MINOR, 0, 0, _LONGEST, int(caught.link[0]))
        self._path.write_bytes(head)
        self._size = len(head)

    def _make_room(self) -> None:
        """Take away the oldest until one more file fits."""
        mine = sorted(self._folder.glob(f"{self._interface}-*Z-from-????????????.pcap"))
        sizes = [path.stat().st_size for path in mine]
        while mine and sum(sizes) + self._file_bytes > self._most:
            mine.pop(0).unlink(missing_ok=True)
            sizes.pop(0)
            self.dropped += 1


def _records(caught: Caught) -> bytes:
    """The packets as a capture file has them: cut out of the block together with what is written in front of each."""
    heads = np.stack([caught.time_ns // NS_PER_S, caught.time_ns % NS_PER_S, caught.caught, caught.length], 1)
    begins, ends = caught.at - _RECORD, caught.at + caught.caught
    rows = sliding_window_view(caught.data, _RECORD, writeable=True)
    rows[begins] = heads.astype(np.uint32).view(np.uint8).reshape(-1, _RECORD)
    change = np.zeros(len(caught.data) + 1, np.int8)
    change[begins] += 1
    change[ends] -= 1
    return caught.data[np.cumsum(change, dtype=np.int8)[:-1].view(bool)].tobytes()
