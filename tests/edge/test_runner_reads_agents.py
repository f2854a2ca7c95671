"""The runner and an MTConnect agent: a cut of the network costs time, never an observation."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from isthmus.edge.buffer import Buffer
from isthmus.edge.config import EdgeSection
from isthmus.edge.intake import tag_infos
from isthmus.edge.runner import Runner
from isthmus.edge.sources.mtconnect import Mtconnect, MtconnectTag
from isthmus.model import status as st
from isthmus.model.samples import ValueKind
from isthmus.sim.servers.mtconnect_agent import Agent, Device, Item
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind

EVENTS = ("PART_COUNT", "EXECUTION")
MILL = Device(id="d", name="MILL", items=tuple(Item(id=word, category="EVENT", type=word) for word in EVENTS))
TAGS = (
    MtconnectTag(name="parts", item="PART_COUNT", kind=ValueKind.I64),
    MtconnectTag(name="execution", item="EXECUTION", kind=ValueKind.STR),
)


def rows(buffer: Buffer) -> list[tuple[int, int, int, Any]]:
    """Every sample in the buffer: kind's tag number, time, status, value."""
    buffer.flush()
    return [
        (row["tag"], row["time_ns"], row["status"], row["value"])
        for lane in buffer.lanes
        for _, frame in lane.log.read(0)
        if frame.kind is FrameKind.SAMPLES
        for row in frames.samples(frame).to_pylist()
    ]


def test_what_an_agent_saw_during_a_cut_arrives_and_a_state_that_stood_is_good_again(tmp_path: Path) -> None:
    agent = Agent(MILL)
    agent.update("EXECUTION", "ACTIVE", time.time_ns() - 10**12)

    async def check() -> list[tuple[int, int, int, Any]]:
        server = await agent.serve("127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        source = Mtconnect(
            name="mill", url=f"http://127.0.0.1:{port}", interval_s=0, heartbeat_s=0.2, timeout_s=0.5, tags=TAGS
        )
        buffer = Buffer(tmp_path, "acme/northgate", tag_infos([source]), most_bytes=2**27, most_days=1)
        runner = Runner([source], EdgeSection(retry_s=0.05, retry_most_s=0.2), "acme/northgate", buffer)
        task = asyncio.create_task(runner.run())
        try:
            await until(lambda: runner.now[0].state == "up" and agent._streams)
            server.close()
            agent.drop()
            await until(lambda: runner.now[0].state == "away")
            for part in range(1, 51):
                agent.update("PART_COUNT", part, time.time_ns())
            async with await agent.serve("127.0.0.1", port):
                await until(lambda: runner.now[0].state == "up" and agent._streams)
                agent.update("PART_COUNT", 51, time.time_ns())
                await until(lambda: any(value == 51 for *_, value in rows(buffer)))
                agent.drop()
        finally:
            task.cancel()
            await asyncio.wait([task])
        found = rows(buffer)
        buffer.close()
        return found

    found = asyncio.run(check())
    parts = {value for tag, _, _, value in found if tag == 0 and value is not None}
    assert parts == set(range(1, 52))
    states = [
        (status, value)
        for _, _, status, value in sorted(row for row in found if row[0] == 1 and row[2] != st.BAD_NOT_CONNECTED)
    ]
    assert states[0] == (st.GOOD, "ACTIVE")
    assert (st.BAD_NO_COMMUNICATION, None) in states, "the cut is told"
    assert states[-1] == (st.GOOD, "ACTIVE"), "and what stood is good again after it"


async def until(holds: Any, within_s: float = 8.0) -> None:  # noqa: ANN401  any truth
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
