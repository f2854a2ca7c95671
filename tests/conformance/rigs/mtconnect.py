"""An MTConnect agent of our own in its own process; its documents are compared with the official agent's elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from isthmus.edge.source import Source
from isthmus.edge.sources.mtconnect import Mtconnect, MtconnectTag
from isthmus.model.samples import ValueKind
from rigs import Known, ServerProcess, free_port

SERVER = Path(__file__).resolve().parents[2] / "peers" / "mtconnect" / "mtconnect_server.py"
T0 = 1_790_000_000_123_456_789
SPINDLE = "Device/Axes/Rotary[C]/ROTARY_VELOCITY"


def tag(name: str, kind: str, item: str, **more: Any) -> MtconnectTag:  # noqa: ANN401  fields of a tag
    return MtconnectTag(name=name, kind=ValueKind(kind), item=item, **more)


KNOWN = (
    Known(tag("speed", "f64", SPINDLE), ValueKind.F64, 1499.25, T0),
    Known(tag("parts", "i64", "parts"), ValueKind.I64, 42, T0 + 1),
    Known(tag("execution", "str", "Device/Controller/Path/EXECUTION"), ValueKind.STR, "ACTIVE", T0 + 2),
    Known(tag("z", "f64", "place", part=2), ValueKind.F64, 3.9451, T0 + 3),
    Known(tag("heat", "str", "heat"), ValueKind.STR, "FAULT:401 too <hot>", T0 + 4),
    Known(tag("heat-code", "str", "heat", condition="code"), ValueKind.STR, "401", T0 + 4),
)
ORDERS = (
    f"update speed {T0} 1499.25",
    f"update parts {T0 + 1} 42",
    f"update execution {T0 + 2} ACTIVE",
    f"update place {T0 + 3} 25.2 0 3.9451",
    f"condition heat {T0 + 4} Normal - -",
    f"condition heat {T0 + 4} Fault 401 too <hot>",
)


class Rig:
    name = "mtconnect"
    marks: Sequence[pytest.MarkDecorator] = ()
    source_class = Mtconnect
    tag_class = MtconnectTag
    known = KNOWN
    bad = tag("nowhere", "f64", "Device/Axes/Rotary[D]/ROTARY_VELOCITY")
    counting = "parts"
    harmless = frozenset({"probe", "current", "sample"})
    identity: Mapping[str, str] = {
        "maker": "Northgate Machines",
        "model": "NM-200",
        "serial": "NM200-0007",
        "protocol": "MTConnect",
    }
    found: Mapping[str, ValueKind | None] = {
        "Device[LATHE]/AVAILABILITY": ValueKind.STR,
        "Device[LATHE]/Axes/Rotary[C]/ROTARY_VELOCITY.ACTUAL": ValueKind.F64,
        "Device[LATHE]/Axes/Rotary[C]/TEMPERATURE": ValueKind.STR,
        "Device[LATHE]/Controller/Path/PART_COUNT.ALL": ValueKind.I64,
        "Device[LATHE]/Controller/Path/PATH_POSITION": ValueKind.STR,
    }
    pattern = "Device[LATHE]/Axes/*"
    deadline_s = 2.5
    back_s = 1.5
    pace_s = 0.05

    def __init__(self) -> None:
        self._server: ServerProcess | None = None
        self._port = free_port()

    def start(self) -> int:
        if self._server is None or not self._server.runs:
            self._server = ServerProcess([sys.executable, str(SERVER), str(self._port), "5000", *ORDERS])
        for order in ORDERS:
            assert self._server.order(order) == "done"
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
        self.start()  # another instance id, sequence from 1

    def change(self, name: str, value: Any) -> None:  # noqa: ANN401  the tag's kind
        assert self._server is not None
        assert self._server.order(f"update {name} {T0 + 1_000_000_000 + value} {value}") == "done"

    def source(self, port: int) -> Source:
        return Mtconnect(name="lathe", url=f"http://127.0.0.1:{port}", interval_s=0.01, heartbeat_s=0.3, timeout_s=0.7)

    def asked(self, said: bytes) -> list[str]:
        heads = said.decode("ascii").split("\r\n\r\n")
        assert heads.pop() == ""
        out = []
        for head in heads:
            method, target, _ = head.split("\r\n", 1)[0].split(" ")
            assert "content-length" not in head.lower()
            path = target.partition("?")[0].rpartition("/")[2]
            out.append(path if method == "GET" else method)
        return out

    def sessions(self) -> int:
        assert self._server is not None
        return int(self._server.order("sessions"))


RIG = Rig
