"""Modbus TCP: who a device is (function 43/14), what was read and what was written; UMAS of Schneider within it.

Sources: MODBUS Application Protocol V1.1b3, MODBUS Messaging on TCP/IP V1.0b. UMAS (function 90) is not
published; its two identifying requests are read as captures show them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import identity, printable, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "modbus"
PORTS: Final = frozenset({502})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = False

_HEADER, _LONGEST = 7, 260
_DEVICE, _UMAS = 43, 90
_FUNCTIONS: Final[dict[int, tuple[str, Act]]] = {
    1: ("Read Coils", "read"),
    2: ("Read Discrete Inputs", "read"),
    3: ("Read Holding Registers", "read"),
    4: ("Read Input Registers", "read"),
    5: ("Write Single Coil", "write"),
    6: ("Write Single Register", "write"),
    7: ("Read Exception Status", "read"),
    8: ("Diagnostics", "other"),
    11: ("Get Comm Event Counter", "read"),
    12: ("Get Comm Event Log", "read"),
    15: ("Write Multiple Coils", "write"),
    16: ("Write Multiple Registers", "write"),
    17: ("Report Server ID", "identify"),
    20: ("Read File Record", "read"),
    21: ("Write File Record", "write"),
    22: ("Mask Write Register", "write"),
    23: ("Read/Write Multiple Registers", "write"),
    24: ("Read FIFO Queue", "read"),
    _DEVICE: ("Read Device Identification", "identify"),
    _UMAS: ("UMAS", "engineering"),
}
_RESTART, _CAN_OPEN = 1, 13
_UMAS_FUNCTIONS: Final[dict[int, tuple[str, Act]]] = {
    0x01: ("UMAS init communication", "engineering"),
    0x02: ("UMAS read PLC identification", "identify"),
    0x03: ("UMAS read project information", "engineering"),
    0x04: ("UMAS read PLC status", "read"),
    0x06: ("UMAS read card information", "engineering"),
    0x0A: ("UMAS echo", "other"),
    0x10: ("UMAS take reservation", "engineering"),
    0x11: ("UMAS release reservation", "engineering"),
    0x12: ("UMAS keep alive", "other"),
    0x20: ("UMAS read memory block", "read"),
    0x21: ("UMAS write memory block", "write"),
    0x22: ("UMAS read variables", "read"),
    0x23: ("UMAS write variables", "write"),
    0x24: ("UMAS read coils and registers", "read"),
    0x25: ("UMAS write coils and registers", "write"),
    0x30: ("UMAS begin upload", "engineering"),
    0x31: ("UMAS upload block", "engineering"),
    0x32: ("UMAS end upload", "engineering"),
    0x33: ("UMAS begin download", "engineering"),
    0x34: ("UMAS download block", "engineering"),
    0x35: ("UMAS end download", "engineering"),
    0x40: ("UMAS start PLC", "control"),
    0x41: ("UMAS stop PLC", "control"),
    0x50: ("UMAS monitor PLC", "read"),
}
_UMAS_WELL, _UMAS_IDENTIFY = 0xFE, 0x02
_UMAS_NAME: Final = 24
"""Where in an answer's data the length of the CPU's name stands."""
_OBJECTS: Final = ("maker", "product code", "revision", "url", "product name", "model name", "application")


def length(payload: bytes) -> int:
    """MBAP: transaction, protocol 0, length, unit; then a function code that exists."""
    if len(payload) < _HEADER + 1 or payload[2:4] != b"\0\0":
        return 0
    whole = 6 + int.from_bytes(payload[4:6], "big")
    known = payload[7] & 0x7F in _FUNCTIONS
    return whole if known and _HEADER < whole <= (_LONGEST if payload[7] != _UMAS else 1400) else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Function and direction; identification is always read, as are halves too short to tell."""
    function = look.lead[:, 7].astype(np.int32)
    to_server = (look.target_port < look.source_port).astype(np.int32)
    first = np.where(function == _UMAS, look.lead[:, 9].astype(np.int32), 0)
    counted = 1 + (function | (first << 8) | (to_server << 16))
    mine = (look.lead[:, 2] == 0) & (look.lead[:, 3] == 0)
    always = (function == _DEVICE) | (
        (function == _UMAS) & among(first, (_UMAS_IDENTIFY, _UMAS_WELL)) & (first != _UMAS_WELL)
    )
    answers = (function == _UMAS) & (first == _UMAS_WELL)
    out = np.where(always, -1, np.where(answers & (look.length > 20), -2, counted))  # noqa: PLR2004  a bare reply
    out = np.where(look.length <= _HEADER, -3, out)
    return np.where(mine, out, 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One request or answer."""
    function, body = packet.payload[7], packet.payload[8:]
    if function & 0x80:
        return
    if packet.asks:
        yield from _request(packet, function, body)
    elif function == _DEVICE:
        yield from _identification(packet, body)
    elif function == _UMAS:
        yield from _umas_answer(packet, body)


def _request(packet: Packet, function: int, body: bytes) -> Iterator[Said]:
    name, act = _FUNCTIONS[function]
    if function == _UMAS and len(body) > 1:
        name, act = _UMAS_FUNCTIONS.get(body[1], (f"UMAS function 0x{body[1]:02x}", "engineering"))
    elif function == 8 and body[:2] == bytes((0, _RESTART)):  # noqa: PLR2004  Diagnostics
        name, act = "Restart Communications", "control"
    elif function == _DEVICE and body[:1] == bytes((_CAN_OPEN,)):
        name, act = "CANopen General Reference", "engineering"
    yield use(packet, SERVICE, name, act)


def _identification(packet: Packet, body: bytes) -> Iterator[Said]:
    """MEI 14: code, conformity, more, next, count, then objects of id, length, text."""
    if len(body) < 6 or body[0] != 14:  # noqa: PLR2004  MEI type, fixed part
        return
    found: dict[str, str] = {}
    at = 6
    for _ in range(body[5]):
        if at + 2 > len(body) or at + 2 + body[at + 1] > len(body):
            break
        value = text(body[at + 2 : at + 2 + body[at + 1]])
        if body[at] < len(_OBJECTS) and value:
            found[_OBJECTS[body[at]]] = value
        at += 2 + body[at + 1]
    if not found:
        return
    unit = packet.payload[6]
    yield identity(
        packet, SERVICE, "Modbus 43/14", child=f"unit {unit}" if unit not in {0, 1, 255} else "",
        maker=found.get("maker", ""),
        model=found.get("model name") or found.get("product name") or found.get("product code", ""),
        order_number=found.get("product code", ""), firmware=found.get("revision", ""),
        name=found.get("application", ""), more=found,
    )  # fmt: skip


def _umas_answer(packet: Packet, body: bytes) -> Iterator[Said]:
    """Identification: session, 0xFE, ..., version as two BCD bytes at 10, ..., length and name of the CPU.

    An answer does not say what was asked; the request of the same transaction does.
    """
    asked = packet.asked
    same = asked[:2] == packet.payload[:2] and asked[7:8] == bytes((_UMAS,)) and asked[9:10] == bytes((_UMAS_IDENTIFY,))
    if not same or len(body) <= _UMAS_NAME or body[1] != _UMAS_WELL:
        return
    name = body[_UMAS_NAME + 1 : _UMAS_NAME + 1 + body[_UMAS_NAME]].rstrip(b"\0 ")
    if name and printable(name):
        yield identity(
            packet, SERVICE, "UMAS identification", maker="Schneider Electric", model=text(name),
            firmware=f"{body[11]:x}.{body[10]:02x}", role="controller",
        )  # fmt: skip
