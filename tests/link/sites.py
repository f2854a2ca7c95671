"""A real link server on loopback, with a strictly counting ingest behind it, and edges that dial it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from counting import PLANT, Taker

from isthmus.edge import reopen, uplink
from isthmus.edge.buffer import Buffer
from isthmus.edge.gate import Gate
from isthmus.edge.uplink import Uplink
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.site.intake.certificates import Certificates
from isthmus.site.intake.link import LinkServer

CONDUIT = f"{PLANT}#conduit/uplink"


class Edge:
    """Buffer, gate and uplink as an edge joins them, without sources."""

    def __init__(self, folder: Path, site: str, *, most_bytes: int = 2**28, sources: Sequence[str] = ("line",)) -> None:
        tags = {name: [TagInfo(name=f"{name}/count", kind=ValueKind.I64)] for name in sources}
        self.folder = folder
        self.buffer = Buffer(folder / "buffer", PLANT, tags, most_bytes=most_bytes, most_days=30)
        self.gate = Gate(folder, CONDUIT, self.buffer.tell, reopen.record)
        self.uplink = Uplink(site, folder / "tls", CONDUIT, self.buffer, self.gate)

    async def __aenter__(self) -> Self:
        self._work = [asyncio.create_task(part.run()) for part in (self.buffer, self.gate, self.uplink)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.wait(self._work)
        failed = [task.exception() for task in self._work if not task.cancelled()]
        self.buffer.close()
        assert failed == []


@pytest.fixture(name="soon", autouse=True)
def make_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not wait as long as a plant would."""
    monkeypatch.setattr(uplink, "RETRY_MOST_S", 0.4)
    monkeypatch.setattr(uplink, "REFUSED_S", 0.1)


class Place:
    """One plant's site: its certificates, its ingest, and link servers on a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.taker = folder, port, Taker()
        self.told: list[Any] = []
        self.certificates = Certificates(folder / "site", PLANT, tell=self.told.append)
        self.cut = False

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def listening(self) -> LinkServer:
        return LinkServer(f"127.0.0.1:{self.port}", self.certificates, self.taker.take, cut=lambda _: self.cut)

    def enrolled(self, name: str = "line-1") -> Path:
        """The data folder of an enrolled edge."""
        self.certificates.prepare(["127.0.0.1"])
        self.certificates.enrol_here(self.folder / name / "tls", name)
        return self.folder / name


@pytest.fixture(name="place")
def make_place(tmp_path: Path, free_port: Callable[[], int]) -> Place:
    return Place(tmp_path, free_port())


@pytest.fixture(name="run")
def make_run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a test's coroutine, for at most 50 s."""

    def go(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(asyncio.wait_for(work, 50))

    return go


Joined = Callable[..., AbstractAsyncContextManager[Edge]]


@pytest.fixture(name="joined")
def make_joined(place: Place) -> Joined:
    """A site that listens and an edge that dials it."""

    @asynccontextmanager
    async def both(most_bytes: int = 2**28) -> AsyncIterator[Edge]:
        folder = place.enrolled()
        async with place.listening(), Edge(folder, place.url, most_bytes=most_bytes) as edge:
            yield edge

    return both
