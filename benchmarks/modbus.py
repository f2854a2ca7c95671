"""500 floats scattered over 3,000 registers at 5 ms round trip, planned and one request per tag, in one run.

Then the CPU of one register, read and made a column, beside pymodbus reading the same blocks to lists
of floats. The server is libmodbus in a process of its own (`make peers` installs it).
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pymodbus.client import AsyncModbusTcpClient

from isthmus.edge.modbus_client import blocks
from isthmus.edge.source import Limits
from isthmus.edge.sources.modbus import Modbus, ModbusTag, Plan

TAGS, REGISTERS, ROUND_TRIP_S = 500, 3000, 0.005
SCANS, CPU_SCANS, ROUNDS = 5, 80, 5
SERVER = Path(__file__).resolve().parent.parent / "tests" / "peers" / "libmodbus" / "server.c"


class Count:
    """A sink that counts polls and says when there were enough."""

    def __init__(self, scans: int) -> None:
        self.polls = 0
        self.scans = scans
        self.enough = asyncio.Event()
        self.at: list[float] = []

    def emit(self, batch: pa.RecordBatch) -> None:
        assert not batch.column("value").null_count
        self.polls += 1
        self.at.append(time.perf_counter())
        if self.polls > self.scans:
            self.enough.set()

    def up(self, *, address: str, security: str) -> None: ...

    def fault(self, tag: int, status: int, why: str) -> None:
        raise AssertionError(tag, status, why)


def one_request_per_tag(source: Modbus, tags: list[ModbusTag]) -> Plan:
    """What most programs send: one block for each tag."""
    plan = source.plan(tags, Limits())
    single = [blocks.block([point]) for block in plan.polls[0].blocks for point in block.points]
    poll = blocks.Poll(period_s=source.poll_s, blocks=tuple(single), gap=0, per_request=125, retry_bad_s=60)
    return Plan(polls=(poll,), fields=plan.fields, units=plan.units)


async def run_for(source: Modbus, plan: Plan, scans: int) -> Count:
    count = Count(scans)
    task = asyncio.create_task(source.run(plan, count))
    enough = asyncio.create_task(count.enough.wait())
    await asyncio.wait([task, enough], return_when=asyncio.FIRST_COMPLETED)
    enough.cancel()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    return count


def scan_ms(count: Count) -> float:
    gaps = sorted(later - sooner for sooner, later in zip(count.at, count.at[1:], strict=False))
    return 1e3 * gaps[len(gaps) // 2]


@asynccontextmanager
async def slow_line(port: int) -> AsyncIterator[int]:
    """A line to `port` on which each way takes half the round trip."""
    loop = asyncio.get_running_loop()
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, write: Callable[[bytes], Any]) -> None:
        while came := await reader.read(65536):
            loop.call_later(ROUND_TRIP_S / 2, write, came)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        pumps.update((loop.create_task(pump(reader, back.write)), loop.create_task(pump(there, writer.write))))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()
    for task in pumps:
        task.cancel()


async def measure(port: int) -> dict[str, Any]:
    chance = random.Random(4)  # noqa: S311  the same scatter in every run
    starts = sorted(chance.sample(range(0, REGISTERS - 1, 2), TAGS))
    tags = [ModbusTag(name=f"t{start}", address=start, type="f32") for start in starts]
    async with slow_line(port) as slow:
        source = Modbus(name="bench", host="127.0.0.1", port=slow, poll_s=0.001)
        plan = source.plan(tags, Limits())
        planned = scan_ms(await run_for(source, plan, SCANS))
        single = scan_ms(await run_for(source, one_request_per_tag(source, tags), 2))
        four = Modbus(name="bench", host="127.0.0.1", port=slow, poll_s=0.001, in_flight=4)
        overlapping = scan_ms(await run_for(four, plan, SCANS))
    dense = [ModbusTag(name=f"t{start}", address=start, type="f32") for start in range(0, 1240, 2)]
    direct = Modbus(name="bench", host="127.0.0.1", port=port, poll_s=1e-6, per_request=124)
    whole = direct.plan(dense, Limits())
    read = sum(block.size for block in whole.polls[0].blocks)
    own, theirs = [], []
    for _ in range(ROUNDS):
        with cpu() as spent:
            count = await run_for(direct, whole, CPU_SCANS)
        own.append([seconds * 1e6 / (count.polls * read) for seconds in spent])
        theirs.append(await pymodbus(port, whole))
    return {
        "planned_ms": round(planned, 1),
        "single_ms": round(single, 1),
        "four_ms": round(overlapping, 1),
        "requests": len(plan.polls[0].blocks),
        "own": [round(figure, 4) for figure in min(own)],
        "pymodbus": [round(figure, 4) for figure in min(theirs)],
    }


@contextmanager
def cpu() -> Iterator[list[float]]:
    """CPU seconds of this process over the block: all, and without the system's part."""
    before, out = resource.getrusage(resource.RUSAGE_SELF), [0.0, 0.0]
    yield out
    after = resource.getrusage(resource.RUSAGE_SELF)
    out[1] = after.ru_utime - before.ru_utime
    out[0] = out[1] + after.ru_stime - before.ru_stime


async def pymodbus(port: int, plan: Plan) -> list[float]:
    """CPU of one register, µs: all, and without the system's part."""
    client, read = AsyncModbusTcpClient("127.0.0.1", port=port), 0
    assert await client.connect()
    with cpu() as spent:
        for _ in range(CPU_SCANS):
            for block in plan.polls[0].blocks:
                answer = await client.read_holding_registers(block.start, count=block.size, device_id=1)
                values = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
                read += 2 * len(values)
    client.close()
    return [seconds * 1e6 / read for seconds in spent]


def main() -> None:
    logging.disable(logging.WARNING)  # it is meant to be read as often as it can be
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/server"
        subprocess.run(["gcc", "-O2", "-o", program, str(SERVER), "-lmodbus"], check=True, timeout=60)
        server = subprocess.Popen([program, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        assert server.stdout.readline() == f"READY {port}\n"
        try:
            got = asyncio.run(asyncio.wait_for(measure(port), 120))
        finally:
            server.kill()
            server.communicate()
    figures = {
        "scan_ms": got["planned_ms"],
        "requests": got["requests"],
        "scan_four_in_flight_ms": got["four_ms"],
        "cpu_us_per_register": got["own"][0],
        "cpu_user_us_per_register": got["own"][1],
    }
    control = {
        "scan_one_per_tag_ms": got["single_ms"],
        "requests": TAGS,
        "pymodbus_cpu_us_per_register": got["pymodbus"][0],
        "pymodbus_cpu_user_us_per_register": got["pymodbus"][1],
    }
    ratio = {
        "scan": round(got["single_ms"] / got["planned_ms"], 1),
        "cpu": round(got["pymodbus"][0] / got["own"][0], 1),
        "cpu_user": round(got["pymodbus"][1] / got["own"][1], 1),
    }
    print(json.dumps({"bench": "modbus", "figures": figures, "control": control, "ratio": ratio}))
    assert ratio["scan"] >= 10, "the block planner must save nine tenths of the time"


if __name__ == "__main__":
    main()
