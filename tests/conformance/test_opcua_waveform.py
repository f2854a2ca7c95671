"""An array of a server that is not ours, read as one burst."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from asyncua import Server, ua
from rigs import free_port
from rigs.opcua import MOMENT_NS, NodeOpcua
from watching import Seen, running, until

from isthmus.edge.sources.opcua import Opcua, OpcuaTag
from isthmus.model.samples import ValueKind
from isthmus.model.time import NS_PER_S
from isthmus.sim.servers.opcua import RATE_HZ, READINGS, WAVEFORM, Controller, burst


@pytest.mark.peer("node-opcua")
def test_an_array_of_a_server_is_one_burst_and_its_element_one_number() -> None:
    rig, seen = NodeOpcua(), Seen()
    series = "Objects/Plant/Press/series"
    tags = [
        OpcuaTag(name="burst", node=series, kind=ValueKind.WAVEFORM, rate_hz=25600),
        OpcuaTag(name="second", node=series, index=1),
    ]

    async def read() -> None:
        async with running(rig.source(rig.start()), tags, seen) as task:
            await until(lambda: seen.of(0) and seen.of(1), 20, task)

    try:
        asyncio.run(read())
    finally:
        rig.kill()
    [row] = seen.of(0)
    assert (row.kind, row.value) == (ValueKind.WAVEFORM, [1.0, 2.5, 4.0])
    assert abs(row.time_ns - MOMENT_NS) < 1000
    assert seen.of(1)[0].value == 2.5
    assert seen.faults == {}


def test_the_simulated_spindle_gives_a_burst_a_minute() -> None:
    seen, port = Seen(), free_port()
    tag = OpcuaTag(name="burst", node=f"Objects/Machines/cnc/{WAVEFORM}", kind=ValueKind.WAVEFORM, rate_hz=RATE_HZ)

    async def read() -> None:
        server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        controller = Controller("cnc", "machinery", 0)
        await controller.build(server)
        source = Opcua(name="cnc", url=f"opc.tcp://127.0.0.1:{port}/", security="none", publishing_ms=50)
        async with server, running(source, [tag], seen) as task:
            await until(lambda: seen.of(0), 20, task)
            first = time.time_ns()
            for after_s, vibration in ((1, 0.9), (61, 1.25), (62, 1.5)):
                await controller.apply("vibration", first + after_s * NS_PER_S, vibration)
            await until(lambda: len(seen.of(0)) > 1, 20, task)

    asyncio.run(read())
    rms = [math.sqrt(sum(one * one for one in row.value) / len(row.value)) for row in seen.of(0)]
    assert rms == pytest.approx([0.05, 1.25], rel=1e-3)
    assert {len(row.value) for row in seen.of(0)} == {READINGS}


def test_a_waveform_says_its_rate_and_nothing_else_does() -> None:
    for wrong in ({"kind": ValueKind.WAVEFORM}, {"kind": ValueKind.F64, "rate_hz": 1000.0}):
        with pytest.raises(ValueError, match="go together"):
            OpcuaTag(name="x", node="Objects/A", **wrong)


def test_the_simulated_burst_has_the_vibration_that_the_figure_says() -> None:
    values = burst(1.25, 7)
    assert len(values) == READINGS
    assert math.sqrt(sum(one * one for one in values) / READINGS) == pytest.approx(1.25)
    assert burst(1.25, 7) == values
