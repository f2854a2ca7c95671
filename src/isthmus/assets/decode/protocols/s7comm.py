"""Siemens S7comm and S7comm-plus: order number, firmware and names from system status lists, and what was done.

Not published by its maker. Lists 0x11 and 0x1C are described in SIMATIC "System Software for S7-300/400,
System and Standard Functions" (A5E02789976), chapter 34; framing is RFC 1006 and ISO 8073.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.columns import among
from isthmus.assets.decode.protocols._words import identity, text, use
from isthmus.assets.decode.said import Act, Look, Packet, Said

SERVICE: Final = "s7comm"
PORTS: Final = frozenset({102})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = True

_FRAME, _CLASSIC, _PLUS = 7, 0x32, 0x72
_JOB, _ACK, _ACK_DATA, _USER_DATA = 1, 2, 3, 7
_PLUS_VERSIONS: Final = frozenset({1, 2, 3, 0xFE})
_JOBS: Final[dict[int, tuple[str, Act]]] = {
    0x00: ("CPU services", "other"), 0x04: ("Read Variable", "read"), 0x05: ("Write Variable", "write"),
    0x1A: ("Request Download", "engineering"), 0x1B: ("Download Block", "engineering"),
    0x1C: ("Download Ended", "engineering"), 0x1D: ("Start Upload", "engineering"), 0x1E: ("Upload", "engineering"),
    0x1F: ("End Upload", "engineering"), 0x28: ("Program Invocation", "control"), 0x29: ("Stop", "control"),
    0xF0: ("Setup Communication", "other"),
}  # fmt: skip
_PROGRAM_INVOCATION: Final = 0x28
_GROUPS: Final[dict[int, tuple[str, Act]]] = {
    0: ("Mode Transition", "control"), 1: ("Programmer Commands", "engineering"), 2: ("Cyclic Data", "read"),
    3: ("Block Functions", "engineering"), 4: ("CPU Functions", "other"), 5: ("Security", "engineering"),
    6: ("PBC Send/Receive", "other"), 7: ("Time Functions", "other"),
}  # fmt: skip
_CPU_GROUP, _TIME_GROUP, _READ_LIST = 4, 7, 1
_SET_CLOCK: Final = frozenset({2, 4})
_PLUS_FUNCTIONS: Final[dict[int, tuple[str, Act]]] = {
    0x04BB: ("Explore", "engineering"), 0x04CA: ("Create Object", "other"), 0x04D4: ("Delete Object", "other"),
    0x04F2: ("Set Variable", "write"), 0x04FC: ("Get Variable", "read"), 0x0524: ("Get Link", "read"),
    0x0542: ("Set Multiple Variables", "write"), 0x054C: ("Get Multiple Variables", "read"),
    0x0556: ("Begin Sequence", "engineering"), 0x0560: ("End Sequence", "engineering"),
    0x056B: ("Invoke", "control"), 0x0586: ("Get Variables Substreamed", "read"),
}  # fmt: skip
_PLUS_REQUEST, _PLUS_ANSWER, _CREATE = 0x31, 0x32, 0x04CA
_PLUS_TEXT: Final = re.compile(rb"1;(6[A-Z]{2}\d ?\w{3}-\w{5}-\w{4}) *;(V[\d.]{1,12})")
_ORDER: Final = re.compile(r"^6[A-Z]{2}\d ?\w{3}-\w{5}-\w{4}")
_IDENTIFICATION, _COMPONENTS = 0x11, 0x1C


def length(payload: bytes) -> int:
    """RFC 1006, a COTP data unit, and S7's first byte with a kind of message that exists."""
    if len(payload) < _FRAME + 2 or payload[:2] != b"\x03\0" or payload[4:6] != b"\x02\xf0":
        return 0
    classic = payload[7] == _CLASSIC and payload[8] in {_JOB, _ACK, _ACK_DATA, _USER_DATA}
    plus = payload[7] == _PLUS and payload[8] in _PLUS_VERSIONS
    return int.from_bytes(payload[2:4], "big") if classic or plus else 0


def kinds(look: Look) -> NDArray[np.int32]:
    """Lists and objects created are read; the rest is counted by function."""
    wide = look.lead.astype(np.int32)
    classic, plus = wide[:, 7] == _CLASSIC, wide[:, 7] == _PLUS
    kind, first = wide[:, 8], wide[:, 17]
    user = classic & (kind == _USER_DATA)
    group, sub = wide[:, 22], wide[:, 23]
    lists = user & (group & 15 == _CPU_GROUP) & (sub == _READ_LIST)
    out = np.zeros(len(kind), np.int32)
    job = classic & (kind == _JOB)
    out[job] = 1 + first[job]
    asks = user & (group >> 4 == 4)  # noqa: PLR2004  a request
    out[asks] = 0x1000 + (group[asks] << 8) + sub[asks]
    signed = wide[:, 8] == 3  # noqa: PLR2004  a digest of 33 bytes stands first
    opcode = np.where(signed, wide[:, 44], wide[:, 11])
    function = np.where(signed, (wide[:, 47] << 8) | wide[:, 48], (wide[:, 14] << 8) | wide[:, 15])
    out[plus & (opcode == _PLUS_REQUEST)] = 0x100000 + function[plus & (opcode == _PLUS_REQUEST)]
    out[(plus & (opcode == _PLUS_ANSWER) & among(function, (_CREATE, 0x04BB, 0x054C, 0x0586))) | lists] = -1
    return out


def read(packet: Packet) -> Iterator[Said]:
    """One S7 message."""
    body = packet.payload[_FRAME:]
    if body[0] == _PLUS:
        yield from _plus(packet, body)
    elif body[1] == _JOB:
        yield from _job(packet, body[10:])
    elif body[1] == _USER_DATA:
        yield from _user_data(packet, body)


def _job(packet: Packet, parameters: bytes) -> Iterator[Said]:
    function = parameters[0]
    name, act = _JOBS.get(function, (f"function 0x{function:02x}", "other"))
    if function == _PROGRAM_INVOCATION and b"_INSE" in parameters:
        name, act = "Activate Block", "engineering"
    elif function == _PROGRAM_INVOCATION and b"P_PROGRAM" in parameters:
        name = "Start"
    yield use(packet._replace(asks=True), SERVICE, name, act)


def _user_data(packet: Packet, body: bytes) -> Iterator[Said]:
    size = int.from_bytes(body[6:8], "big")
    parameters, data = body[10 : 10 + size], body[10 + size :]
    group, sub = parameters[5], parameters[6]
    lists = group & 15 == _CPU_GROUP and sub == _READ_LIST
    if group >> 4 == 4:  # noqa: PLR2004  a request
        name, act = _GROUPS.get(group & 15, (f"group {group & 15}", "other"))
        if lists:
            name, act = "Read System Status List", "identify"
        elif group & 15 == _TIME_GROUP and sub in _SET_CLOCK:
            name, act = "Set Clock", "control"
        yield use(packet._replace(asks=True), SERVICE, name, act)
    elif lists and group >> 4 == 8 and len(data) >= 12 and data[0] == 0xFF:  # noqa: PLR2004  an answer, well
        yield from _list(packet, data[4:])


def _list(packet: Packet, data: bytes) -> Iterator[Said]:
    """List id, index, length of a record, count, records; a list over several messages is read as far as here."""
    kind, size = data[1], int.from_bytes(data[4:6], "big")
    if size < 4:  # noqa: PLR2004  an index and something
        return
    records = {
        int.from_bytes(data[at : at + 2], "big"): data[at + 2 : at + size]
        for at in range(8, len(data) - size + 1, size)
    }
    if kind == _IDENTIFICATION:
        yield from _identification(packet, records)
    elif kind == _COMPONENTS:
        yield from _components(packet, records)


def _identification(packet: Packet, records: dict[int, bytes]) -> Iterator[Said]:
    """Index 1 the module, 6 its hardware, 7 its firmware as 'V', major, minor, patch."""
    module, firmware = records.get(1) or records.get(6), records.get(7, b"")
    order = text(module[:20], "latin-1") if module else ""
    version = ""
    if firmware[22:23] == b"V":
        version = "V" + ".".join(str(part) for part in firmware[23:26])
    if order or version:
        yield identity(
            packet, SERVICE, "S7 SZL 0x0011", maker="Siemens" if _ORDER.match(order) else "", model=order,
            order_number=order, firmware=version, role=_role(order),
        )  # fmt: skip


def _components(packet: Packet, records: dict[int, bytes]) -> Iterator[Said]:
    """Index 1 station, 2 module name, 3 plant, 4 copyright, 5 serial, 7 type of module, 8 memory card's serial."""
    words = {index: text(record, "latin-1") for index, record in records.items()}
    if not any(words.get(index) for index in (1, 2, 5, 7)):
        return
    named = {"station": 1, "plant": 3, "copyright": 4, "memory card": 8}
    yield identity(
        packet, SERVICE, "S7 SZL 0x001C", maker="Siemens" if "Siemens" in words.get(4, "") else "",
        model=words.get(7, ""), serial=words.get(5, ""), name=words.get(2) or words.get(1, ""),
        role=_role(words.get(7, "")), more={key: words[index] for key, index in named.items() if words.get(index)},
    )  # fmt: skip


def _role(model: str) -> str:
    if "CPU" in model or re.match(r"6ES7 ?(2[12]|3[1]|4[1]|51|15[1])", model):
        return "controller"
    return "communications adapter" if model.startswith("6GK7") else ""


def _plus(packet: Packet, body: bytes) -> Iterator[Said]:
    at = 37 if body[1] == 3 else 4  # noqa: PLR2004  signed messages carry a digest of 33 bytes first
    opcode, function = body[at], int.from_bytes(body[at + 3 : at + 5], "big")
    if opcode == _PLUS_REQUEST:
        name, act = _PLUS_FUNCTIONS.get(function, (f"function 0x{function:04x}", "other"))
        yield use(packet._replace(asks=True), SERVICE, name, act)
        return
    found = _PLUS_TEXT.search(body)
    if opcode == _PLUS_ANSWER and found:
        order = found[1].decode("ascii")
        yield identity(
            packet, SERVICE, "S7comm-plus session", maker="Siemens", model=order, order_number=order,
            firmware=found[2].decode("ascii"), role=_role(order),
        )  # fmt: skip
