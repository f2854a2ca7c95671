"""A gzipped file as its bytes, given out as far as it is sound.

Python's own reader loses what it unpacked last when it meets a break, which of a short capture is all.
"""

from __future__ import annotations

import zlib
from io import BufferedReader
from typing import Final

_GZIP: Final = 31
"""What zlib calls a stream with gzip's header and checksum (RFC 1952)."""
_PACKED_BYTES, _MOST_BYTES = 512, 1 << 18
"""Read at once, which is what a break may cost; and unpacked at once, however well it is packed."""


class Packed:
    """Unpacks members one after the other; zeros behind the last are filler."""

    def __init__(self, file: BufferedReader) -> None:
        self._file, self._stream, self._ready = file, zlib.decompressobj(_GZIP), memoryview(b"")

    def readinto(self, into: memoryview) -> int:
        """Fill `into` from its begin; how many bytes, 0 at the end. Raises zlib.error or EOFError at a break."""
        while not self._ready:
            if self._stream.eof:
                packed = (self._stream.unused_data or self._file.read(_PACKED_BYTES)).lstrip(b"\0")
                if not packed:
                    return 0
                self._stream = zlib.decompressobj(_GZIP)
            else:
                packed = self._stream.unconsumed_tail or self._file.read(_PACKED_BYTES)
                if not packed:
                    msg = "it was packed with gzip, and its end is missing"
                    raise EOFError(msg)
            self._ready = memoryview(self._stream.decompress(packed, _MOST_BYTES))
        count = min(len(into), len(self._ready))
        into[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
