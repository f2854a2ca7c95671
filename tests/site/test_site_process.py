"""A real edge's buffer and uplink, the real link, and the whole site behind it."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import plants
from isthmus.edge import reopen
from isthmus.edge.buffer import Buffer
from isthmus.edge.gate import Gate
from isthmus.edge.uplink import Uplink
from isthmus.model.query import Raw
from isthmus.model.samples import TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_S
from isthmus.plantfile import load
from isthmus.run.site import open_site
from isthmus.site.intake.certificates import Certificates
from isthmus.site.site import Site

PATH = plants.CNC_01
TAGS = [TagInfo(name=f"plc/{name}", kind=ValueKind.I64) for name in ("running", "parts")]


@asynccontextmanager
async def edge(folder: Path, port: int) -> Any:  # noqa: ANN401
    """An edge without sources: what the test puts into its buffer is sent."""
    conduit = "acme/northgate#conduit/uplink"
    buffer = Buffer(folder / "buffer", "acme/northgate", {"plc": TAGS}, most_bytes=2**26, most_days=30)
    gate = Gate(folder, conduit, buffer.tell, reopen.record)
    uplink = Uplink(f"https://127.0.0.1:{port}", folder / "tls", conduit, buffer, gate)
    work = [asyncio.create_task(part.run()) for part in (buffer, gate, uplink)]
    try:
        yield buffer
    finally:
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        buffer.close()


async def until(site: Site, what: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(what):  # noqa: ASYNC110  threads change it
            await asyncio.sleep(0.05)
    assert site.stopped == {}


def put(buffer: Buffer, tag: int, values: list[int], at_ns: int) -> None:
    times = [at_ns + number * NS_PER_S // 10 for number in range(len(values))]
    buffer.put("plc", columns(ValueKind.I64, [tag] * len(values), times, [0] * len(values), values))


def count(site: Site, kind: str) -> int:
    return int(site.views.query("SELECT count(*) FROM facts WHERE kind = ? AND gone = 0", (kind,))[0][0])


def good(site: Site) -> float:
    told = site.views.query("SELECT total(body ->> 'good') FROM facts WHERE kind = 'Counted' AND gone = 0")
    return float(told[0][0])


def test_a_value_at_the_edge_becomes_history_a_fact_and_a_live_page_and_a_restart_forgets_nothing(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    (tmp_path / "plant.toml").write_text(plants.one_machine(tmp_path, port))
    file = load(tmp_path / "plant.toml")

    async def story() -> None:
        async with open_site(file) as site:
            Certificates(site.folder / "tls", "acme/northgate").enrol_here(tmp_path / "edge" / "tls", "edge-1")
            async with edge(tmp_path / "edge", port) as buffer:
                start = time.time_ns()
                put(buffer, 0, [1], start)
                put(buffer, 1, list(range(10)), start)
                await until(site, lambda: site.namespace.last("plc/parts"))
                await until(site, lambda: site.namespace.preview(PATH, "StateChanged") or count(site, "StateChanged"))
                await until(site, lambda: count(site, "StateChanged") == 1 and good(site) == 9)
        async with open_site(file) as site:
            last = site.namespace.last("plc/parts")
            assert last is not None
            assert last.value == 9
            assert site.namespace.fact(PATH, "StateChanged") is not None
            async with edge(tmp_path / "edge", port) as buffer:
                put(buffer, 1, [10, 11], time.time_ns())
                number = site.tags.find("plc/parts")
                assert number is not None
                await until(site, lambda: site.historian.query(Raw(), [number], 0, 1 << 62).num_rows == 12)
                await until(site, lambda: good(site) == 11)
            assert site.log.verify() == []

    asyncio.run(story())


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_site_killed_again_and_again_loses_nothing_and_counts_nothing_twice(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    (tmp_path / "plant.toml").write_text(plants.one_machine(tmp_path, port))
    chance = random.Random(11)  # noqa: S311  repeatable, no secret
    certificates = Certificates(tmp_path / "site" / "tls", "acme/northgate")
    certificates.prepare(["127.0.0.1"])
    certificates.enrol_here(tmp_path / "edge" / "tls", "edge-1")

    async def living(buffer: Buffer, seconds: float, made: int) -> int:
        """Parts are made, twenty a second, whether the site lives or not."""
        for _ in range(int(seconds * 20)):
            made += 1
            buffer.put("plc", columns(ValueKind.I64, [1], [time.time_ns()], [0], [made]))
            await asyncio.sleep(0.05)
        return made

    async def story() -> int:
        made = 0
        async with edge(tmp_path / "edge", port) as buffer:
            put(buffer, 0, [1], time.time_ns())
            for _ in range(8):
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "isthmus",
                    "site",
                    "plant.toml",
                    cwd=tmp_path,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                made = await living(buffer, 2.0 + 4.0 * chance.random(), made)
                process.kill()
                await process.wait()
            async with open_site(load(tmp_path / "plant.toml")) as site:
                made = await living(buffer, 1.0, made)
                await until(site, lambda: good(site) >= made - 1, 60)
                await asyncio.sleep(3.0)
                assert good(site) == made - 1
                number = site.tags.find("plc/parts")
                assert number is not None
                assert site.historian.query(Raw(), [number], 0, 1 << 62).num_rows == made
                assert site.log.verify() == []
                assert count(site, "FramesMissing") == 0
                said = site.views.query("SELECT position FROM facts WHERE kind = 'Counted'")
                kept = [record for _, record in site.log.read(0) if type(record).__name__ == "Counted"]
                assert len(said) == len({record.key for record in kept})
        return made

    assert asyncio.run(story()) > 300
