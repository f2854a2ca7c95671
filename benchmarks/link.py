"""CPU of the way from a source's batch to the site's door: deadband, buffer with fsync, mutual TLS, decode.

20,000 values a second in batches of 200 for ten seconds after a warm-up; edge and link server share this
process, so the figure is both; what the pacing itself costs is measured beside it and taken off. The control sends the same values as JSON over the same kind of connection,
one body for each 200 ms, with nothing kept on disk.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa

from isthmus.edge import reopen
from isthmus.edge.buffer import Buffer
from isthmus.edge.deadband import Deadband
from isthmus.edge.gate import Gate
from isthmus.edge.source import Tag
from isthmus.edge.uplink import Uplink
from isthmus.model.samples import TagInfo, ValueKind, columns
from isthmus.site.intake.certificates import Certificates
from isthmus.site.intake.link import LinkServer
from isthmus.wire import frame as frames
from isthmus.wire import tls
from isthmus.wire.frame import FrameKind
from isthmus.wire.link import FRAMES, VERSION, VERSION_HEADER, Acknowledged, Answer

TAGS, BATCH, EVERY_S, SECONDS = 1000, 200, 0.01, 10.0
PATH = "bench/site"


class Taken:
    """Stands where ingest does: decodes every frame and counts."""

    def __init__(self) -> None:
        self.rows = 0

    def take(self, edge: str, body: bytes) -> Answer:
        del edge
        upto: dict[tuple[int, int], int] = {}
        for frame in frames.unpack_all(body):
            if frame.kind is FrameKind.SAMPLES:
                self.rows += frames.samples(frame).num_rows
            if frame.kind is not FrameKind.DICTIONARY:
                upto[frame.source, frame.epoch] = frame.seq
        return Answer(acknowledged=tuple(Acknowledged(*name, seq) for name, seq in upto.items()))

    def take_json(self, edge: str, body: bytes) -> Answer:
        del edge
        self.rows += len(json.loads(body))
        return Answer()


def batches() -> list[pa.RecordBatch]:
    chance = np.random.default_rng(3)
    walk = np.round(np.cumsum(chance.normal(size=(50, BATCH)), axis=0), 2)
    return [
        columns(
            ValueKind.F64, np.arange(BATCH) + BATCH * (n % 5), np.full(BATCH, n * 10**7), np.zeros(BATCH), walk[n % 50]
        )
        for n in range(50)
    ]


async def paced(give: Callable[[pa.RecordBatch], Awaitable[None]], seconds: float) -> int:
    made, rows, start = batches(), 0, time.monotonic()
    while (now := time.monotonic()) - start < seconds:
        while rows < (now - start) * BATCH / EVERY_S:
            await give(made[rows // BATCH % 50])
            rows += BATCH
        await asyncio.sleep(EVERY_S)
    return rows


async def measured(give: Callable[[pa.RecordBatch], Awaitable[None]]) -> float:
    """CPU of `give` and all that it sets going, in µs a value."""
    await paced(give, 2.0)
    start = time.process_time()
    rows = await paced(give, SECONDS)
    return (time.process_time() - start) / rows * 1e6


async def pacing() -> float:
    """CPU of doing nothing at the same pace."""

    async def nothing(batch: pa.RecordBatch) -> None:
        del batch

    return await measured(nothing)


async def ours(folder: Path, idle: float) -> dict[str, float]:
    taken, certificates = Taken(), Certificates(folder / "site", PATH)
    async with LinkServer("127.0.0.1:0", certificates, taken.take) as server:
        certificates.enrol_here(folder / "edge" / "tls", "bench")
        tags = [Tag(name=f"t{n}") for n in range(TAGS)]
        infos = {"line": [TagInfo(name=f"line/{tag.name}", kind=tag.kind) for tag in tags]}
        buffer = Buffer(folder / "edge" / "buffer", PATH, infos, most_bytes=2**30, most_days=1)
        gate = Gate(folder / "edge", PATH, buffer.tell, reopen.record)
        uplink = Uplink(f"https://127.0.0.1:{server.port}", folder / "edge" / "tls", PATH, buffer, gate)
        deadband = Deadband(tags)
        work = [asyncio.create_task(part.run()) for part in (buffer, gate, uplink)]
        rows = 0

        async def give(batch: pa.RecordBatch) -> None:
            nonlocal rows
            rows += batch.num_rows
            buffer.put("line", deadband.passing(batch))

        cpu = await measured(give)
        await asyncio.sleep(1.0)
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        sent = uplink.now.sent_bytes
        buffer.close()
        assert taken.rows == rows, f"{taken.rows} of {rows} rows arrived"
    return {"cpu_us_per_value": round(cpu - idle, 2), "bytes_per_value": round(sent / rows, 2)}


async def plain(folder: Path, idle: float) -> dict[str, float]:
    taken, certificates = Taken(), Certificates(folder / "plain", PATH)
    async with LinkServer("127.0.0.1:0", certificates, taken.take_json) as server:
        certificates.enrol_here(folder / "plain-edge", "bench")
        pending: list[dict[str, object]] = []
        sent = 0
        url, context = f"https://127.0.0.1:{server.port}{FRAMES}", tls.client_context(folder / "plain-edge")
        async with httpx.AsyncClient(verify=context, trust_env=False, headers={VERSION_HEADER: VERSION}) as client:

            async def give(batch: pa.RecordBatch) -> None:
                nonlocal sent
                pending.extend(batch.to_pylist())
                if len(pending) >= BATCH / EVERY_S / 5:
                    body = json.dumps(pending).encode()
                    sent += len(body)
                    pending.clear()
                    (await client.post(url, content=body)).raise_for_status()

            cpu = await measured(give)
    return {"cpu_us_per_value": round(cpu - idle, 2), "bytes_per_value": round(sent / taken.rows, 2)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        idle = asyncio.run(pacing())
        figures, control = asyncio.run(ours(Path(folder), idle)), asyncio.run(plain(Path(folder), idle))
    ratio = {name: round(control[name] / figures[name], 1) for name in figures}
    print(json.dumps({"bench": "link", "figures": figures, "control": control, "ratio": ratio}))


if __name__ == "__main__":
    main()
