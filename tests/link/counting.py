"""A device that counts, a site's ingest that counts what arrived, and an edge process to be killed."""

from __future__ import annotations

import asyncio
import errno
import importlib
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.edge.config import EdgeSection
from isthmus.edge.source import Identity, Limits, Sink, SourceSection, Tag, TagFound
from isthmus.model.errors import DeviceAway, StoreDamaged
from isthmus.model.records import Record
from isthmus.model.samples import ValueKind, columns
from isthmus.plantfile import load
from isthmus.run.edge import run_edge
from isthmus.run.stop import run_until_stopped
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind
from isthmus.wire.link import Acknowledged, Answer

PLANT = "acme/northgate"
LIFE = 10**9
"""A value is its life's number times this, plus its place in that life."""


class Counting(SourceSection, frozen=True, kw_only=True, tag="counting"):
    """Counts up from 0 in each life: rows a batch, a batch each so many seconds."""

    tags: tuple[Tag, ...] = (Tag(name="count", kind=ValueKind.I64),)
    rows: int = 20
    every_s: float = 0.005
    life: int = 0
    most: int = LIFE

    async def identify(self) -> Identity:
        return Identity(address="in process", protocol="counting", maker="test", serial="1")

    async def browse(self, pattern: str) -> AsyncIterator[TagFound]:
        if pattern:
            raise DeviceAway(pattern)
        yield TagFound(path="count", address={}, kind=ValueKind.I64)

    def plan(self, tags: Sequence[Tag], limits: Limits) -> int:
        del limits
        return len(tags)

    async def run(self, plan: int, sink: Sink) -> None:
        del plan
        sink.up(address="in process", security="none")
        count = 0
        while count < self.most:
            values = np.arange(count, count + self.rows) + self.life * LIFE
            now = time.time_ns()
            sink.emit(columns(ValueKind.I64, np.zeros(self.rows), np.full(self.rows, now), np.zeros(self.rows), values))
            count += self.rows
            await asyncio.sleep(self.every_s)
        await asyncio.Event().wait()


class Taker:
    """A site's ingest, strictly counting. `trouble` may be set to fail the next bodies."""

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        """Values of each source's good samples in the order of arrival, repeats dropped."""
        self.records: list[Record] = []
        self.bodies = self.repeats = 0
        self.trouble: BaseException | None = None
        self.poison_rows = -1
        """A frame with so many rows is refused."""
        self.edges: set[str] = set()
        self.rows: list[tuple[str, int, int, Any]] = []
        """(tag, time, status, value) of every row"""
        self._seen: set[tuple[int, int, int]] = set()
        self._said: dict[tuple[int, int], dict[int, str]] = {}
        self._names: dict[tuple[int, int], str] = {}
        self._lock = threading.Lock()

    def take(self, edge: str, body: bytes) -> Answer:
        with self._lock:
            self.edges.add(edge)
            if self.trouble is not None:
                raise self.trouble
            self.bodies += 1
            upto: dict[tuple[int, int], int] = {}
            for frame in frames.unpack_all(body):
                name = (frame.source, frame.epoch)
                if frame.rows == self.poison_rows:
                    msg = "this frame is poison"
                    raise StoreDamaged(msg)
                if frame.kind is FrameKind.DICTIONARY:
                    said = frames.dictionary(frame)
                    self._names[name] = said.source
                    self._said.setdefault(name, {}).update((number, tag.name) for number, tag in said.tags)
                    continue
                upto[name] = max(frame.seq, upto.get(name, 0))
                if (*name, frame.seq) in self._seen:
                    self.repeats += 1
                    continue
                self._seen.add((*name, frame.seq))
                if frame.kind is FrameKind.RECORDS:
                    self.records += frames.records(frame)
                else:
                    self._take_samples(name, frame)
            return Answer(acknowledged=tuple(Acknowledged(*name, seq) for name, seq in upto.items()))

    def _take_samples(self, name: tuple[int, int], frame: frames.Frame) -> None:
        batch = frames.samples(frame)
        tags = [self._said[name][number] for number in batch.column("tag").to_pylist()]
        rest = (batch.column(column).to_pylist() for column in ("time_ns", "status", "value"))
        self.rows += zip(tags, *rest, strict=True)
        good = [value for value in batch.column("value").to_pylist() if value is not None]
        self.values.setdefault(self._names[name], []).extend(good)

    def told(self, kind: type[Record]) -> list[Any]:
        with self._lock:
            return [record for record in self.records if isinstance(record, kind)]


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


async def until(what: Any, most_s: float = 10.0) -> None:  # noqa: ANN401  anything that can be asked
    """Wait until `what()` is true."""
    deadline = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.02)


def main() -> int:
    """`counting.py FOLDER SITE STATUS LIFE`: an edge with one counting source, until it is stopped."""
    folder, site, status, life = sys.argv[1:5]
    edge = EdgeSection(site=site, data=Path(folder), status=status, buffer_mb=256)
    importlib.import_module("isthmus.commands.edge")
    load_plant_file(Path(folder))

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run_edge(PLANT, edge, [Counting(name="line", life=int(life))]))
            await asyncio.sleep(0.5)
            (Path(folder) / "modules.json").write_text(json.dumps(sorted(sys.modules)))

    return run_until_stopped(work())


def load_plant_file(folder: Path) -> None:
    """As `isthmus edge` does first."""
    file = folder / "counting.toml"
    file.write_text(f'[plant]\nname = "N"\npath = "{PLANT}"\n')
    load(file)


if __name__ == "__main__":
    sys.exit(main())
