"""DNP3: what a master did, and the device attributes that an outstation tells (group 0).

Source: IEEE 1815-2012, 4 (application layer), 9 (data link), annex A.2 (group 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import identity, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "dnp3"
PORTS: Final = frozenset({20000})
OVER: Final = frozenset({"tcp", "udp"})
ALONE: Final = True
TELLS: Final = True

_START: Final = b"\x05\x64"
_HEADER, _BLOCK = 10, 16
_MASTER: Final = 0x80
_FUNCTIONS: Final[dict[int, tuple[str, Act]]] = {
    0: ("Confirm", "other"), 1: ("Read", "read"), 2: ("Write", "write"), 3: ("Select", "control"),
    4: ("Operate", "control"), 5: ("Direct Operate", "control"), 6: ("Direct Operate without answer", "control"),
    7: ("Freeze", "control"), 9: ("Freeze and Clear", "control"), 13: ("Cold Restart", "control"),
    14: ("Warm Restart", "control"), 16: ("Initialise Application", "control"), 17: ("Start Application", "control"),
    18: ("Stop Application", "control"), 19: ("Save Configuration", "engineering"),
    20: ("Enable Unsolicited", "other"), 21: ("Disable Unsolicited", "control"), 23: ("Delay Measurement", "other"),
    24: ("Record Time", "other"), 25: ("Open File", "engineering"), 26: ("Close File", "engineering"),
    27: ("Delete File", "engineering"), 31: ("Activate Configuration", "engineering"),
    32: ("Authentication Request", "other"),
}  # fmt: skip
_ANSWER: Final = 129
_ATTRIBUTES: Final = {242: "firmware", 243: "hardware", 248: "serial", 250: "model", 252: "maker", 247: "name"}
_VISIBLE_STRING: Final = 1


def length(payload: bytes) -> int:
    """Start, length, then blocks of 16 with two bytes of checksum each."""
    if payload[:2] != _START or len(payload) < _HEADER or payload[2] < 5:  # noqa: PLR2004  control and addresses
        return 0
    data = payload[2] - 5
    return _HEADER + data + 2 * -(-data // _BLOCK)


def kinds(look: Look) -> NDArray[np.int32]:
    """Requests by function; answers that begin with group 0 are read."""
    wide = look.lead.astype(np.int32)
    first = (wide[:, 0] == _START[0]) & (wide[:, 2] > 7) & (wide[:, 10] & 0x40 != 0)  # noqa: PLR2004
    function = wide[:, 12]
    attributes = (function == _ANSWER) & (wide[:, 15] == 0) & (look.length > 20)  # noqa: PLR2004  an object
    out = np.where(function < _ANSWER, 1 + function, np.where(attributes, -1, 0))
    return np.where(first, out, 0).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One link frame that begins an application message."""
    payload = packet.payload
    if payload[2] <= 7 or not payload[10] & 0x40:  # noqa: PLR2004  no application data, or no first segment
        return
    data = b"".join(payload[at : at + _BLOCK] for at in range(_HEADER, len(payload), _BLOCK + 2))
    data = data[: payload[2] - 5]
    function = data[2]
    if function in _FUNCTIONS and payload[3] & _MASTER:
        yield use(packet._replace(asks=True), SERVICE, *_FUNCTIONS[function])
    elif function == _ANSWER and data[5:6] == b"\0":
        found = dict(_attributes(data[5:]))
        fields = {key: found[key] for key in ("firmware", "serial", "model", "maker", "name") if found.get(key)}
        if fields:
            outstation = int.from_bytes(payload[6:8], "little")
            yield identity(
                packet, SERVICE, "DNP3 device attributes", child=f"outstation {outstation}", **fields,
                more={"hardware": found["hardware"]} if found.get("hardware") else {},
            )  # fmt: skip


def _attributes(data: bytes) -> Iterator[tuple[str, str]]:
    """Group 0, variation, qualifier 00, start, stop, then data type, length, value."""
    at = 0
    while at + 7 <= len(data) and data[at] == 0 and data[at + 2] == 0:
        kind, size = data[at + 5], data[at + 6]
        if data[at + 1] in _ATTRIBUTES and kind == _VISIBLE_STRING:
            yield _ATTRIBUTES[data[at + 1]], text(data[at + 7 : at + 7 + size])
        at += 7 + size
