"""Modbus/TCP servers that are not ours: libmodbus (C), modbus-serial (JavaScript), pymodbus (with its identity)."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from isthmus.edge.modbus_client.codec import Table
from isthmus.edge.source import Source
from isthmus.edge.sources.modbus import Modbus, ModbusTag
from isthmus.model.samples import ValueKind
from rigs import Known, ServerProcess, free_port

ROOT = Path(__file__).resolve().parents[3]
PEERS = ROOT / "tests" / "peers"
NAMES = {1: "coils", 2: "discrete inputs", 3: "holding registers", 4: "input registers", 0x2B: "identification"}


def tag(name: str, kind: str, address: int, type_: str, **more: Any) -> ModbusTag:  # noqa: ANN401  fields of a tag
    return ModbusTag(name=name, kind=ValueKind(kind), address=address, type=type_, **more)


# Golden registers: what a device with this memory says, whatever reads it.
MEMORY: Mapping[str, Mapping[int, int]] = {
    "holding": {
        0: 0x42F6, 1: 0xE979,  # 123.456 as f32, ABCD
        2: 0xE979, 3: 0x42F6,  # the same, CDAB
        10: 0x0000, 11: 0x03E8,  # 1000 as u32
        20: 0xFFFE,  # -2 as i16
        30: 0x4E6F, 31: 0x7274, 32: 0x6800,  # "North"
        40: 0x0008,  # bit 3
    },
    "input": {5: 230, 100: 0x4009, 101: 0x21FB, 102: 0x5444, 103: 0x2D18},  # 230; pi as f64
    "coil": {7: 1},
    "discrete": {9: 1},
}  # fmt: skip

ORDERS = [
    (table, str(address), str(value)) for table, registers in MEMORY.items() for address, value in registers.items()
]

KNOWN = (
    Known(tag("power", "f64", 0, "f32"), ValueKind.F64, struct.unpack(">f", b"\x42\xf6\xe9\x79")[0]),
    Known(tag("swapped", "f64", 2, "f32", order="CDAB"), ValueKind.F64, struct.unpack(">f", b"\x42\xf6\xe9\x79")[0]),
    Known(tag("parts", "i64", 10, "u32"), ValueKind.I64, 1000),
    Known(tag("frost", "i64", 20, "i16"), ValueKind.I64, -2),
    Known(tag("place", "str", 30, "str 6"), ValueKind.STR, "North"),
    Known(tag("door", "bool", 40, "bit 3"), ValueKind.BOOL, value=True),
    Known(tag("mains", "f64", 5, "u16", table=Table.INPUT, scale=0.1, offset=-1.0), ValueKind.F64, 22.0),
    Known(tag("pi", "f64", 100, "f64", table=Table.INPUT), ValueKind.F64, 3.141592653589793),
    Known(tag("lamp", "bool", 7, "", table=Table.COIL), ValueKind.BOOL, value=True),
    Known(tag("fuse", "bool", 9, "bool", table=Table.DISCRETE), ValueKind.BOOL, value=True),
)


@cache
def built_libmodbus() -> Path:
    """The C server, compiled once into a folder of its own."""
    program = Path(tempfile.mkdtemp(prefix="isthmus-libmodbus-")) / "server"
    source = PEERS / "libmodbus" / "server.c"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(source), "-lmodbus"], check=True, timeout=60)
    return program


class ModbusRig:
    """One server program and its memory."""

    name = "modbus"
    marks: Sequence[pytest.MarkDecorator] = ()
    source_class = Modbus
    tag_class = ModbusTag
    known = KNOWN
    bad = tag("nowhere", "f64", 3999, "f32")
    counting = "parts"
    harmless = frozenset(NAMES.values())
    identity: Mapping[str, str] = {"maker": ""}
    found: Mapping[str, ValueKind | None] = {known.tag.name: known.kind for known in KNOWN}
    pattern = "p*"
    deadline_s = 2.0
    back_s = 1.0
    pace_s = 0.08

    def __init__(self) -> None:
        self._server: ServerProcess | None = None
        self._port = free_port()

    def command(self, port: int) -> Sequence[str]:
        raise NotImplementedError

    def start(self) -> int:
        if self._server is None or not self._server.runs:
            self._server = ServerProcess([*self.command(self._port), *(word for order in ORDERS for word in order)])
        for order in ORDERS:
            assert self._server.order(" ".join(order)) == "done"
        return self._port

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server = None

    def freeze(self) -> None:
        assert self._server is not None
        self._server.freeze()

    def thaw(self) -> None:
        assert self._server is not None
        self._server.thaw()

    def start_elsewhere(self) -> None:
        self.start()  # a register's address is the register

    def change(self, name: str, value: Any) -> None:  # noqa: ANN401  the tag's kind
        assert name == "parts"
        assert self._server is not None
        assert value < 1 << 16, "one register changes at once, so that no reading sees half a number"
        assert self._server.order(f"holding 11 {value}") == "done"

    def source(self, port: int) -> Source:
        tags = tuple(known.tag for known in KNOWN if isinstance(known.tag, ModbusTag))
        return Modbus(name="meter", host="127.0.0.1", port=port, poll_s=0.02, timeout_s=0.7, tags=tags)

    def asked(self, said: bytes) -> list[str]:
        out, at = [], 0
        while at < len(said):
            _, protocol, length, _, function = struct.unpack_from(">HHHBB", said, at)
            assert protocol == 0
            out.append(NAMES.get(function, str(function)))
            at += 6 + length
        assert at == len(said)
        return out

    def sessions(self) -> int:
        assert self._server is not None
        return int(self._server.order("sessions"))


class Libmodbus(ModbusRig):
    name = "libmodbus"
    marks = (pytest.mark.peer("libmodbus"),)

    def command(self, port: int) -> Sequence[str]:
        return [str(built_libmodbus()), str(port)]


class ModbusSerial(ModbusRig):
    name = "modbus-serial"
    marks = (pytest.mark.peer("modbus-serial"),)

    def command(self, port: int) -> Sequence[str]:
        node = shutil.which("node")
        assert node is not None
        return [node, str(PEERS / "modbus_serial" / "server.js"), str(port), str(ROOT / ".peers" / "npm")]


class Pymodbus(ModbusRig):
    name = "pymodbus"
    marks = (pytest.mark.peer("pymodbus"),)
    bad = tag("nowhere", "f64", 39999, "f32")
    identity: Mapping[str, str] = {
        "maker": "Northgate Instruments",
        "model": "NI-7 three-phase",
        "firmware": "3.16.1",
        "protocol": "Modbus/TCP",
    }

    def command(self, port: int) -> Sequence[str]:
        python = ROOT / ".peers" / "pymodbus" / "bin" / "python"
        return [str(python), str(PEERS / "pymodbus" / "pymodbus_server.py"), str(port)]


RIGS = (Libmodbus, ModbusSerial, Pymodbus)
