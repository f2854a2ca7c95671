"""HTTP: that it is used, the server's name of itself, and passwords in Basic authentication.

Source: RFC 9110, RFC 9112, RFC 7617.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import exposure, identity, numbered, text, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "http"
PORTS: Final = frozenset({80, 8000, 8080, 8888})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = True

_METHODS: Final = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PROPFIND ",
    b"SUBSCRIBE ",
    b"PATCH ",
)
_ANSWER: Final = b"HTTP/1."
_HEADERS: Final = re.compile(rb"\r\n(Server|Authorization|User-Agent): ([^\r\n]{1,300})", re.IGNORECASE)
_WRITES: Final = frozenset({"PUT", "POST", "DELETE", "PATCH"})


def length(payload: bytes) -> int:
    """A method and a path, or a status line."""
    if payload.startswith(_METHODS) and (b" HTTP/" in payload[:4096] or len(payload) > 1000):  # noqa: PLR2004
        return len(payload)
    return len(payload) if payload.startswith(_ANSWER) else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """By method."""
    return numbered(look, *_METHODS, _ANSWER)


def read(packet: Packet) -> Iterator[Said]:
    """The head of a request or an answer."""
    head = packet.payload[:4096].split(b"\r\n\r\n", 1)[0]
    found = {key.lower(): value for key, value in _HEADERS.findall(head)}
    if packet.payload.startswith(_ANSWER):
        server = text(found.get(b"server", b""), "latin-1")
        if server:
            yield identity(
                packet._replace(asks=False),
                SERVICE,
                "HTTP server",
                child=f"port {packet.source_port}",
                more={"http server": server},
            )
        return
    asked = packet._replace(asks=True)
    method = text(head.split(b" ", 1)[0])
    yield use(asked, SERVICE, method, "write" if method in _WRITES else "read")
    kind, _, secret = found.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"basic":
        try:
            user = base64.b64decode(secret, validate=True).partition(b":")[0]
        except binascii.Error:
            return
        yield exposure(asked, SERVICE, f"user name {text(user)} and password")
