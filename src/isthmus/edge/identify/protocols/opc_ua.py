"""OPC UA: Get Endpoints; BuildInfo of the server too, where an endpoint takes anonymous reading without security.

Source: OPC 10000-4, 10000-5 and 10000-6; clauses as release 1.04 numbers them. A session is asked to end by itself after ten seconds, in case its end
does not get through.
"""

from __future__ import annotations

import struct
import time
from typing import Final, Literal

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame, Number, Part, Size, Text
from isthmus.edge.identify.talk import Ask, NoRoom, Talk

NAME: Final = "opc-ua"
OVER: Final[Literal["tcp", "udp"]] = "tcp"
PORT: Final = 4840
PAUSE_S: Final = 0.02
"""Short, so that acknowledgements ride on the next request and a whole session fits the frames of one visit."""
FAREWELL: Final = 2

_NONE: Final = b"http://opcfoundation.org/UA/SecurityPolicy#None"
_NULL: Final = b"\xff\xff\xff\xff"
_MOST: Final = 65_536


def _string(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


_NOW: Final = Number("now", 8, "little")
_REST_OF_HEADER: Final = bytes(4) + _NULL + b"\x88\x13\x00\x00" + bytes(3)
"""No diagnostics, no audit id, 5,000 ms, no additional header (RequestHeader)."""
_SEQUENCE: Final = (Number("sequence", 4, "little"), Number("request", 4, "little"))
_URL: Final = Text("url", 300, 4)


def _header(token: Part) -> tuple[Part, ...]:
    return token, _NOW, Number("request", 4, "little"), _REST_OF_HEADER


def _message(name: str, clause: str, node: int, token: Part, *body: Part, kind: bytes = b"MSGF") -> Frame:
    """A message within the channel; `node` is the binary encoding's id of the request."""
    channel = (Number("channel", 4, "little"), Number("channel token", 4, "little"))
    encoded = b"\x01\x00" + node.to_bytes(2, "little")
    return Frame(name, clause, (kind, Size(4, "little"), *channel, *_SEQUENCE, encoded, *_header(token), *body))


_NOBODY: Final = b"\x00\x00"
_TOKEN: Final = Text("session token", 300)
_HELLO: Final = Frame(
    "Hello",
    "OPC 10000-6, 7.1.2.3",
    (b"HELF", Size(4, "little"), bytes(4) + struct.pack("<IIII", _MOST, _MOST, _MOST, 1), _URL),
)
_OPEN: Final = Frame(
    "Open Secure Channel without security",
    "OPC 10000-4, 5.5.2; 10000-6, 6.7.2",
    (
        b"OPNF", Size(4, "little"), bytes(4) + _string(_NONE) + _NULL + _NULL, *_SEQUENCE, b"\x01\x00\xbe\x01",
        *_header(_NOBODY), bytes(4) + bytes(4) + b"\x01\x00\x00\x00" + _NULL + b"\x60\xea\x00\x00",
    ),
)  # fmt: skip
_ENDPOINTS: Final = _message("Get Endpoints", "OPC 10000-4, 5.4.4", 428, _NOBODY, _URL, _NULL + _NULL)
_CREATE: Final = _message(
    "Create Session", "OPC 10000-4, 5.6.2", 461, _NOBODY,
    _string(b"urn:isthmus:audit:identify") + _string(b"urn:isthmus") + b"\x02" + _string(b"Isthmus asset audit")
    + b"\x01\x00\x00\x00" + 3 * _NULL + _NULL,
    _URL, _string(b"isthmus audit identify") + _NULL + _NULL + struct.pack("<dI", 10_000.0, _MOST),
)  # fmt: skip
_ACTIVATE: Final = _message(
    "Activate Session, anonymous", "OPC 10000-4, 5.6.3 (AnonymousIdentityToken)", 467, _TOKEN,
    4 * _NULL + b"\x01\x00\x41\x01\x01", Number("policy size", 4, "little", 0, 104), Text("policy", 100, 4), 2 * _NULL,
)  # fmt: skip
_READ: Final = _message(
    "Read Value of Server.ServerStatus.BuildInfo", "OPC 10000-4, 5.10.2; 10000-5, 12.4 (i=2260)", 631, _TOKEN,
    struct.pack("<dII", 0.0, 3, 1) + b"\x01\x00\xd4\x08" + b"\x0d\x00\x00\x00" + _NULL + b"\x00\x00" + _NULL,
)  # fmt: skip
_CLOSE_SESSION: Final = _message("Close Session", "OPC 10000-4, 5.6.4", 473, _TOKEN, b"\x01")
_CLOSE: Final = _message("Close Secure Channel", "OPC 10000-4, 5.5.3", 452, _NOBODY, kind=b"CLOF")
FRAMES: Final = (_HELLO, _OPEN, _ENDPOINTS, _CREATE, _ACTIVATE, _READ, _CLOSE_SESSION, _CLOSE)
_ENDPOINTS_TOLD, _CREATED, _ACTIVATED, _READ_TOLD, _FAULT = 431, 464, 470, 634, 397
_SESSION: Final = 4
"""Requests of a session from its beginning to its end."""
_EPOCH_TICKS: Final = 116_444_736_000_000_000
"""Between 1601 and 1970, in 100 ns."""


def whole(data: bytes) -> int:
    """The size behind three letters and the chunk's mark; only single chunks are taken."""
    if len(data) < 8:  # noqa: PLR2004  the header
        return 0
    size = int.from_bytes(data[4:8], "little")
    if data[:4] not in {b"ACKF", b"ERRF", b"OPNF", b"MSGF"} or not 8 < size <= _MOST:  # noqa: PLR2004  the header
        msg = "no OPC UA message, or one in several chunks"
        raise ValueError(msg)
    return size


class _Channel:
    """Numbers of one channel."""

    def __init__(self, url: bytes) -> None:
        self.url, self.channel, self.token, self.sequence = url, 0, 0, 0

    def ask(self, frame: Frame, *, answered: bool = True, goodbye: bool = False, **more: int | bytes) -> Ask:
        self.sequence += 1
        now = time.time_ns() // 100 + _EPOCH_TICKS
        values: dict[str, int | bytes] = {"url": self.url, "channel": self.channel, "channel token": self.token}
        values |= {"sequence": self.sequence, "request": self.sequence, "now": now}
        return Ask(
            frame, values | {name.replace("_", " "): value for name, value in more.items()}, answered, goodbye=goodbye
        )


def talk(approval: Approval, near: str) -> Talk:  # noqa: ARG001  the same for every protocol
    """Endpoints, and the session where one of them lets anybody read without security."""
    host = f"[{approval.address}]" if ":" in approval.address else approval.address
    line = _Channel(f"opc.tcp://{host}:{approval.port or PORT}/".encode())
    _well((yield Ask(_HELLO, {"url": line.url})), b"ACKF")
    opened = _Reader(_well((yield line.ask(_OPEN)), b"OPNF"), 12)
    for _ in range(3):
        opened.string()
    opened.at += 8
    opened.node()
    opened.response()
    opened.at += 4
    line.channel, line.token = opened.number(), opened.number()
    try:
        answer = yield line.ask(_ENDPOINTS)
        policy = _anonymous(_reader(answer, _ENDPOINTS_TOLD))
        if policy is not None:
            yield from _build_info(line, policy)
    except NoRoom:
        line.sequence -= 1
    yield line.ask(_CLOSE, answered=False, goodbye=True)


def _build_info(line: _Channel, policy: bytes) -> Talk:
    created = _reader((yield line.ask(_CREATE)._replace(needs=_SESSION)), _CREATED)
    created.node()
    token = created.node()
    try:
        activate = line.ask(_ACTIVATE, session_token=token, policy=policy, policy_size=len(policy) + 4)
        _reader((yield activate._replace(needs=_SESSION - 1)), _ACTIVATED)
        # To end the session is worth more than to read.
        _reader((yield line.ask(_READ, session_token=token)._replace(needs=_SESSION - 2)), _READ_TOLD)
    except NoRoom:
        line.sequence -= 1
    except _Refused:
        pass
    yield line.ask(_CLOSE_SESSION, session_token=token)


class _Refused(ValueError):
    """The server answered with a fault."""


def _well(answer: bytes, kind: bytes) -> bytes:
    if answer[:4] != kind:
        what = answer[16:216].decode("utf-8", "replace") if answer[:3] == b"ERR" else answer[:4].decode("latin-1")
        msg = f"it refuses: {what}"
        raise ValueError(msg)
    return answer


def _reader(answer: bytes, node: int) -> _Reader:
    """Behind the response header of an answer of this kind. Raises ValueError for another kind."""
    _well(answer, b"MSGF")
    out = _Reader(answer, 28)
    kind = int.from_bytes(answer[26:28], "little")
    result = out.response()
    if kind != node or result >> 31:
        msg = f"it refuses: status 0x{result:08x}" if result >> 31 else "an answer to another request"
        raise (_Refused if kind in {_FAULT, node} else ValueError)(msg)
    return out


def _anonymous(reader: _Reader) -> bytes | None:
    """The policy id of an anonymous token of an endpoint without security; None where there is none."""
    found = None
    for _ in range(reader.count()):
        reader.string()
        reader.application()
        reader.string()
        mode, policy = reader.number(), reader.string()
        for _ in range(reader.count()):
            name, kind = reader.string(), reader.number()
            for _ in range(3):
                reader.string()
            if mode == 1 and policy == _NONE and kind == 0 and found is None:
                found = name
        reader.string()
        reader.at += 1
    return found if found is None or len(found) <= 100 else None  # noqa: PLR2004  as its hole


class _Reader:
    """Reads OPC UA binary (OPC 10000-6, 5.2) from a place on. Raises ValueError where the bytes end."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            msg = "the answer ends early"
            raise ValueError(msg)
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def count(self) -> int:
        """Of an array; none counts as 0. Each element takes a byte at least, so no count is larger than the rest."""
        count = int.from_bytes(self.take(4), "little", signed=True)
        return max(0, min(count, len(self.data) - self.at))

    def string(self) -> bytes:
        size = int.from_bytes(self.take(4), "little", signed=True)
        return self.take(size) if size > 0 else b""

    def node(self) -> bytes:
        begin, kind = self.at, self.take(1)[0]
        sizes = {0: 1, 1: 3, 2: 6, 4: 18}
        if kind in sizes:
            self.take(sizes[kind])
        elif kind in {3, 5}:
            self.take(2)
            self.string()
        else:
            msg = "a node id of no known kind"
            raise ValueError(msg)
        return self.data[begin : self.at]

    def response(self) -> int:
        """The response header (ResponseHeader); gives its status. Raises ValueError where it holds diagnostics."""
        self.take(12)
        result = self.number()
        if self.take(1) != b"\0":
            msg = "diagnostics that nobody asked for"
            raise ValueError(msg)
        for _ in range(self.count()):
            self.string()
        self.node()
        self.take(1)
        return result

    def application(self) -> None:
        self.string()
        self.string()
        mask = self.take(1)[0]
        for bit in (1, 2):
            if mask & bit:
                self.string()
        self.number()
        self.string()
        self.string()
        for _ in range(self.count()):
            self.string()
