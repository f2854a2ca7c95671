"""OPC UA against node-opcua, a server that is not ours."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest

from isthmus.edge.source import Source
from isthmus.edge.sources.opcua import Opcua, OpcuaTag
from isthmus.model.samples import ValueKind
from isthmus.model.status import BAD_SENSOR_FAILURE, UNCERTAIN_LAST_USABLE_VALUE
from isthmus.model.time import parse
from rigs import Known, ServerProcess, free_port

ROOT = Path(__file__).resolve().parents[3]
SERVER = ROOT / "tests" / "peers" / "node_opcua" / "server.js"
MOMENT_NS = parse("2024-02-03T04:05:06.7894567Z")
F64, I64, BOOL, STR, _ = ValueKind


def known(name: str, kind: ValueKind, value: Any, status: int = 0, node: str = "", **more: Any) -> Known:  # noqa: ANN401
    tag = OpcuaTag(name=name, kind=kind, node=node or f"Objects/Plant/Press/{name}", **more)
    return Known(tag, kind, value, MOMENT_NS, status)


def start_node_opcua(port: int, folder: Path, *flags: str) -> ServerProcess:
    """The JavaScript server; the packages stand where `make peers` puts them."""
    os.environ["NODE_PATH"] = str(ROOT / ".peers" / "npm" / "node_modules")
    return ServerProcess(["node", str(SERVER), str(port), str(folder), *flags], start_s=40)


class NodeOpcua:
    name = "opcua"
    marks = (pytest.mark.peer("node-opcua"),)
    source_class, tag_class = Opcua, OpcuaTag
    known = (
        known("speed", F64, 12.5, unit="mm/s"),
        known("warmth", F64, struct.unpack("<f", struct.pack("<f", 0.1))[0]),
        known("count", I64, 17),
        known("huge", I64, 2**53 + 1),
        known("serial", I64, 2**63 - 1),
        known("running", BOOL, value=True),
        known("order", STR, "0047 Läufer"),
        known("word", STR, "läuft"),
        known("stale", F64, 3.25, UNCERTAIN_LAST_USABLE_VALUE),
        known("broken", F64, None, BAD_SENSOR_FAILURE),
        known("second", F64, 2.5, node="Objects/Plant/Press/series", index=1),
        known("series", STR, "[1.0, 2.5, 4.0]"),
        known("by-uri", STR, "0047 Läufer", node="Objects/Plant/Press/order"),
    )
    bad = OpcuaTag(name="ghost", node="Objects/Plant/Press/ghost")
    counting = "count"
    harmless = frozenset(
        {
            "Hello",
            "OpenSecureChannel",
            "CloseSecureChannel",
            "GetEndpoints",
            "CreateSession",
            "ActivateSession",
            "CloseSession",
            "Read",
            "Browse",
            "BrowseNext",
            "TranslateBrowsePathsToNodeIds",
            "CreateSubscription",
            "CreateMonitoredItems",
            "Publish",
            "Republish",
        }
    )
    identity = {"maker": "", "model": "", "protocol": "OPC UA", "security": "none"}
    found = {
        "Objects/Plant/Press/speed": F64,
        "Objects/Plant/Press/count": I64,
        "Objects/Plant/Press/huge": I64,
        "Objects/Plant/Press/running": BOOL,
        "Objects/Plant/Press/order": STR,
        "Objects/Plant/Press/series": None,
    }
    pattern = "Objects/Plant/*/[rs]*"
    deadline_s, back_s, pace_s = 4.0, 1.0, 0.02

    def __init__(self) -> None:
        self._port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="node-opcua-"))
        self._server: ServerProcess | None = None

    def start(self) -> int:
        if self._server is None or not self._server.runs:
            self._server = start_node_opcua(self._port, self._folder)
        self._tell("reset")
        return self._port

    def start_elsewhere(self) -> None:
        self._server = start_node_opcua(self._port, self._folder, "elsewhere")

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

    def change(self, name: str, value: Any) -> None:  # noqa: ANN401  the tag's kind
        self._tell(f"set {name} {value}")

    def grow(self) -> None:
        """Add the node that `bad` asks for."""
        self._tell("grow")

    def sessions(self) -> int:
        assert self._server is not None
        return int(self._server.order("sessions"))

    def source(self, port: int) -> Source:
        return Opcua(
            name="press",
            url=f"opc.tcp://127.0.0.1:{port}",
            security="none",
            timeout_s=1,
            publishing_ms=50,
            sampling_ms=0,
        )

    def asked(self, said: bytes) -> list[str]:
        return services(said)

    def _tell(self, line: str) -> None:
        assert self._server is not None
        answer = self._server.order(line)
        assert answer == "done", answer


def services(said: bytes) -> list[str]:
    """The services in a client's bytes on an unsecured channel (Part 6, 6.7.2 and 7.1.2)."""
    from asyncua import ua  # noqa: PLC0415  slow to load, and only this needs it

    names = {b"HEL": "Hello", b"OPN": "OpenSecureChannel", b"CLO": "CloseSecureChannel"}
    out: list[str] = []
    at, unfinished = 0, set[int]()
    while at < len(said):
        sort, chunk, (size,) = said[at : at + 3], said[at + 3 : at + 4], struct.unpack_from("<I", said, at + 4)
        assert sort in {*names, b"MSG"}, f"{sort!r} at byte {at} begins no message"
        if sort == b"MSG":
            (request,) = struct.unpack_from("<I", said, at + 20)
            if request not in unfinished:
                assert said[at + 24 : at + 26] == b"\x01\x00"
                (number,) = struct.unpack_from("<H", said, at + 26)
                name = ua.ObjectIdNames.get(number, str(number))
                out.append(name.removesuffix("_Encoding_DefaultBinary").removesuffix("Request"))
            (unfinished.add if chunk == b"C" else unfinished.discard)(request)
        else:
            out.append(names[sort])
        at += size
    assert at == len(said)
    return out


RIG = NodeOpcua
