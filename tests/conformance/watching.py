"""How tests watch a source at work: a sink that keeps what it is given, and waits that end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from isthmus.edge.source import Limits, Source, Tag
from isthmus.model.errors import DeviceAway
from isthmus.model.samples import ValueKind, kind_of
from isthmus.model.status import is_good


class Row(NamedTuple):
    tag: int
    time_ns: int
    status: int
    value: Any
    kind: ValueKind
    arrived_ns: int


class Seen:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.ups: list[tuple[str, str]] = []
        self.faults: dict[int, tuple[int, str]] = {}

    def emit(self, batch: pa.RecordBatch) -> None:
        kind, now = kind_of(batch), time.time_ns()
        for row in batch.to_pylist():
            self.rows.append(Row(row["tag"], row["time_ns"], row["status"], row["value"], kind, now))

    def up(self, *, address: str, security: str) -> None:
        self.ups.append((address, security))

    def fault(self, tag: int, status: int, why: str) -> None:
        if is_good(status):
            self.faults.pop(tag, None)
        else:
            self.faults[tag] = (status, why)

    def of(self, tag: int) -> list[Row]:
        return [row for row in self.rows if row.tag == tag]


@contextlib.asynccontextmanager
async def running(source: Source, tags: Sequence[Tag], seen: Seen) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(source.run(source.plan(tags, Limits()), seen))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.done()


async def until(holds: Callable[[], object], within_s: float, task: asyncio.Task[None] | None = None) -> None:
    """Wait until something holds; a source that ends before is a failure with its own reason."""
    end = time.monotonic() + within_s
    while not holds():
        if task is not None and task.done():
            task.result()
        assert time.monotonic() < end, f"not within {within_s:g} s"
        await asyncio.sleep(0.005)


async def away(task: asyncio.Task[None], within_s: float) -> DeviceAway:
    """The DeviceAway that a source must raise in time."""
    done, _ = await asyncio.wait([task], timeout=within_s)
    assert done, f"it still waits after {within_s:g} s"
    with pytest.raises(DeviceAway) as caught:
        task.result()
    return caught.value


def busy() -> float:
    """How many times longer than on a quiet machine a moment may take: the load on each core, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
