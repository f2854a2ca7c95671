"""Proves a connection by running the source itself up to its first good samples: the probe is the thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import cast

import msgspec
import numpy as np
import pyarrow as pa

from isthmus.edge.source import Limits, Source, SourceSection, Tag
from isthmus.model import status as st
from isthmus.model.errors import DeviceAway
from isthmus.model.records.edge import TagFault


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What came of running a source for a moment."""

    well: bool
    """True when every tag gave a sample that is not Bad."""
    sentence: str
    faults: tuple[TagFault, ...] = ()


class _Listener:
    """A sink that only notes which tags gave a good sample."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self.started = time.monotonic()
        self.address, self.security = "", ""
        self.good = np.zeros(len(tags), dtype=bool)
        self.faults: dict[int, TagFault] = {}
        self.first_s: float | None = None
        self.complete = asyncio.Event()
        self._tags = tags

    def emit(self, batch: pa.RecordBatch) -> None:
        usable = ~st.bad_mask(batch.column("status").to_numpy())
        if usable.any() and self.first_s is None:
            self.first_s = time.monotonic() - self.started
        self.good[batch.column("tag").to_numpy()[usable]] = True
        self._settle()

    def up(self, *, address: str, security: str) -> None:
        self.address, self.security = address, security

    def fault(self, tag: int, status: int, why: str) -> None:
        self.faults[tag] = TagFault(self._tags[tag].name, status, why)
        self._settle()

    def _settle(self) -> None:
        if all(good or index in self.faults for index, good in enumerate(self.good)):
            self.complete.set()


async def probe(section: SourceSection, deadline_s: float) -> Finding:
    """Run `section` until each of its tags gave a good sample or a fault, at most `deadline_s`."""
    source, tags = cast("Source", section), tuple(getattr(section, "tags", ()))
    if not tags:
        return Finding(well=True, sentence="no tags yet; nothing was read")
    listener = _Listener(tags)
    task = asyncio.ensure_future(source.run(source.plan(tags, Limits()), listener))
    waiter = asyncio.ensure_future(listener.complete.wait())
    try:
        await asyncio.wait({task, waiter}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and (error := task.exception()) is not None:
            sentence = str(error) if isinstance(error, DeviceAway) else f"unforeseen: {error!r}; please report this"
            return Finding(well=False, sentence=sentence, faults=tuple(listener.faults.values()))
    finally:
        for pending in (task, waiter):
            pending.cancel()
        await asyncio.gather(task, waiter, return_exceptions=True)
    return _finding(listener, tags, deadline_s)


def _finding(listener: _Listener, tags: Sequence[Tag], deadline_s: float) -> Finding:
    silent = {
        index: TagFault(tag.name, st.BAD_NO_DATA, f"no good sample within {deadline_s:g} s")
        for index, tag in enumerate(tags)
        if not listener.good[index] and index not in listener.faults
    }
    faults = tuple((listener.faults | silent)[index] for index in sorted(listener.faults | silent))
    where = f"{listener.address} ({listener.security or 'no security'})" if listener.address else "the device"
    if listener.first_s is None and listener.complete.is_set():
        return Finding(well=False, sentence=f"{where} answers, but with none of these tags", faults=faults)
    if listener.first_s is None:
        return Finding(well=False, sentence=f"{where} gave no good sample within {deadline_s:g} s", faults=faults)
    given = int(listener.good.sum())
    sentence = f"{where}, first sample after {listener.first_s:.2f} s, {given} of {len(tags)} tags good"
    return Finding(well=not faults, sentence=sentence, faults=faults)
