"""A stream of documents in one HTTP answer: multipart/x-mixed-replace, cut where Content-length says.

    --boundary CRLF
    Content-type: text/xml CRLF
    Content-length: n CRLF CRLF
    n bytes CRLF

An agent that leaves Content-length out is cut at its boundary.
"""

from __future__ import annotations

import re
from typing import Final

from isthmus.edge.mtconnect_client.xml import NotMtconnect

_MOST_HEAD: Final = 4096
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,12})[ \t]*\r?$")


def boundary(content_type: str) -> bytes | None:
    """The boundary of a multipart answer; None when the answer is one document.

    >>> boundary("multipart/x-mixed-replace;boundary=abc")
    b'abc'
    """
    kind, _, parameters = content_type.partition(";")
    if not kind.strip().lower().startswith("multipart/"):
        return None
    found = re.search(r'boundary="?([^";]+)"?', parameters)
    return found[1].strip().encode() if found else None


class Parts:
    """Takes bytes as they come and gives whole documents; holds at most `most_bytes` of an unfinished one."""

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        self._line = b"--" + boundary
        self._most_bytes = most_bytes
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, came: bytes) -> list[bytes]:
        """The documents that are whole now. Raises NotMtconnect when the stream is no multipart or too large."""
        self._buffer += came
        out = []
        while (document := self._next()) is not None:
            out.append(document)
        if len(self._buffer) > self._most_bytes:
            msg = f"one document is larger than {self._most_bytes // 1_000_000} MB"
            raise NotMtconnect(msg)
        return out

    def _next(self) -> bytes | None:
        head_end = self._buffer.find(b"\r\n\r\n", 0, _MOST_HEAD)
        if head_end < 0:
            if len(self._buffer) >= _MOST_HEAD or not self._may_begin():
                msg = f"its stream goes on with {bytes(self._buffer[:40])!r} where a part should begin"
                raise NotMtconnect(msg)
            return None
        head = bytes(self._buffer[:head_end])
        if self._line not in head:
            msg = f"its stream goes on with {head[:40]!r} where a part should begin"
            raise NotMtconnect(msg)
        start = head_end + 4
        length = _LENGTH.search(head)
        end = start + int(length[1]) if length else self._buffer.find(self._line, max(start, self._searched))
        if end < 0 or len(self._buffer) < end:
            if length is None:
                self._searched = max(start, len(self._buffer) - len(self._line))
            return None
        document = bytes(self._buffer[start:end])
        del self._buffer[:end]
        self._searched = 0
        return document

    def _may_begin(self) -> bool:
        begun = bytes(self._buffer).lstrip(b"\r\n")[: len(self._line)]
        return self._line.startswith(begun)
