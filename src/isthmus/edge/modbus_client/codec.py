"""Modbus/TCP telegrams, for reading only: no function that writes has a name here.

    0             2            4        6      7          8
    | transaction | protocol 0 | length | unit | function | body ...
      u16           u16          u16      u8     u8

All numbers are big-endian; `length` counts from the unit on. A refusal sets the top bit of the
function and its body is one exception code.

Source: Modbus Application Protocol V1.1b3 (functions 1-4 and 43/14) and Modbus Messaging on TCP/IP V1.0b.
"""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import Final, NamedTuple

MOST_REGISTERS: Final = 125
MOST_BITS: Final = 2000

_HEADER: Final = struct.Struct(">HHHB")
_READ: Final = struct.Struct(">BHH")
_LENGTHS: Final = range(3, 255)
_IDENTIFY, _IDENTITY_KIND, _REGULAR = 0x2B, 0x0E, 0x02
_REFUSED: Final = 0x80


class Table(StrEnum):
    """The four tables of a Modbus device. Two hold registers of 16 bits, two hold single bits."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"

    @property
    def of_bits(self) -> bool:
        """True where one address is one bit."""
        return self in (Table.COIL, Table.DISCRETE)


_READS: Final = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}


class NotModbus(Exception):
    """Bytes came that no Modbus/TCP device sends; the stream cannot be trusted any more."""


class Refusal(Exception):
    """The device, or the gateway before it, answered with an exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"Modbus exception {code}")


class Request(NamedTuple):
    """One question to one unit."""

    unit: int
    pdu: bytes
    """Function and body."""
    size: int
    """Bytes of data in a good reply; -1 where the reply itself says how many."""


class Reply(NamedTuple):
    """One whole telegram from the device, not yet checked against its request."""

    transaction: int
    unit: int
    pdu: bytes


class Page(NamedTuple):
    """One reply to "who are you": objects by their number, and the next number to ask for, or None."""

    objects: dict[int, str]
    follow: int | None


def read(unit: int, table: Table, start: int, count: int) -> Request:
    """Ask for `count` registers or bits from the 0-based address `start` on."""
    size = (count + 7) // 8 if table.of_bits else 2 * count
    return Request(unit, _READ.pack(_READS[table], start, count), size)


def identify(unit: int, first: int = 0) -> Request:
    """Ask for the regular device identification (function 43/14) from object `first` on."""
    return Request(unit, bytes((_IDENTIFY, _IDENTITY_KIND, _REGULAR, first)), -1)


def telegram(transaction: int, request: Request) -> bytes:
    """The bytes on the wire.

    >>> telegram(7, read(1, Table.HOLDING, 0x6B, 3)).hex(" ")
    '00 07 00 00 00 06 01 03 00 6b 00 03'
    """
    return _HEADER.pack(transaction, 0, len(request.pdu) + 1, request.unit) + request.pdu


def take(buffer: bytearray) -> Reply | None:
    """Take the first whole telegram out of `buffer`, or None while it is not whole. Raises NotModbus."""
    if len(buffer) < _HEADER.size:
        return None
    transaction, protocol, length, unit = _HEADER.unpack_from(buffer)
    if protocol != 0 or length not in _LENGTHS:
        msg = f"a telegram begins with {bytes(buffer[:8]).hex(' ')}"
        raise NotModbus(msg)
    end = length + 6
    if len(buffer) < end:
        return None
    pdu = bytes(buffer[7:end])
    del buffer[:end]
    return Reply(transaction, unit, pdu)


def data(request: Request, reply: Reply) -> bytes:
    """What the reply carries: registers as they came, packed bits, or identification objects.

    Raises Refusal for an exception code, NotModbus for a reply that cannot belong to the request.
    """
    asked, told = request.pdu[0], reply.pdu[0]
    if reply.unit == request.unit and told == asked | _REFUSED and len(reply.pdu) >= 2:  # noqa: PLR2004  function and code
        raise Refusal(reply.pdu[1])
    if reply.unit != request.unit or told != asked:
        msg = f"unit {reply.unit} answered function {told} where unit {request.unit} was asked function {asked}"
        raise NotModbus(msg)
    if request.size < 0:
        return reply.pdu[1:]
    body = reply.pdu[2:]
    if len(reply.pdu) < 2 or reply.pdu[1] != request.size or len(body) != request.size:  # noqa: PLR2004  as above
        msg = f"{len(body)} bytes came where {request.size} were asked for"
        raise NotModbus(msg)
    return body


def page(body: bytes) -> Page:
    """Read the objects of a device identification reply. Raises NotModbus when it is cut short."""
    try:
        _, _, _, more, follow, count = body[:6]
        objects, at = {}, 6
        for _ in range(count):
            number, size = body[at], body[at + 1]
            (text,) = struct.unpack_from(f"{size}s", body, at + 2)
            objects[number] = text.decode("utf-8", "replace").strip("\0 ")
            at += 2 + size
    except (ValueError, IndexError, struct.error) as error:
        msg = "the device identification is cut short"
        raise NotModbus(msg) from error
    return Page(objects, follow if more else None)
