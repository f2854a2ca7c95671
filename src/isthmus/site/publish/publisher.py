"""Publishes what the site has on its disk, lane by lane, from a mark that stands on disk too.

It runs in a thread of its own and owns every wait. A batch counts as published when the bus has
acknowledged all of it; then the mark moves. After a lost connection the bus is asked which ids it kept
since the mark was set, where that is longer ago than it remembers by itself: nothing is lost or doubled.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Final

import msgspec

from isthmus.model.equipment import beside
from isthmus.model.errors import BusAway, BusUnfit, UsageError
from isthmus.model.records import Record
from isthmus.model.records.site import BusChanged, BusMissed
from isthmus.model.time import NS_PER_S
from isthmus.site.publish import lanes
from isthmus.site.publish.bus import Bus, BusSection, Lane, Message, connection
from isthmus.site.publish.spool import Spool
from isthmus.site.site import Site
from isthmus.wire.segment import SegmentLog

_log: Final = logging.getLogger(__name__)
_LOOK_S: Final = 0.1
_UNFIT_S: Final = 30.0
_UNFIT: Final = "not fit"
_SHORT_NS: Final = 10 * NS_PER_S
"""A bus away for less than this is not told: a cluster chooses a new leader in that time."""
_REMEMBERED_NS: Final = 60 * NS_PER_S
"""A mark younger than this needs no question: every bus remembers ids for two minutes at least."""


class Mark(msgspec.Struct, frozen=True):
    """How far a lane is on the bus, and since when."""

    at: int = 0
    time_ns: int = 0


class Marks(msgspec.Struct, frozen=True):
    """`marks.json`: what stands behind each lane's mark is to be published."""

    lanes: dict[Lane, Mark] = {}
    state: str = "never reached"
    """As a person reads it: up, or why not."""


def read_marks(folder: Path) -> Marks:
    """The marks of a site's `bus` folder; all at the beginning where there are none."""
    try:
        return msgspec.json.decode((folder / "marks.json").read_bytes(), type=Marks)
    except (FileNotFoundError, msgspec.DecodeError):
        return Marks()


class Publisher:
    """One bus. `run` in a thread; the ingest puts frames into `spool`."""

    def __init__(
        self,
        site: Site,
        section: BusSection,
        spool: Spool,
        dictionaries: SegmentLog,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._site, self._section, self._spool, self._now_ns = site, section, spool, now_ns
        self._folder = site.folder / "bus"
        words = lanes.Dictionaries(site.plant.path, dictionaries)
        self._sources: Sequence[lanes.Source] = (
            words,
            lanes.Frames(self._spool.log, words.name),
            lanes.Records(site.plant.path, site.log),
        )
        stored = read_marks(self._folder).lanes
        self._marks: dict[Lane, Mark] = {}
        for source in self._sources:
            mark = stored.get(source.lane, Mark(0, now_ns()))
            self._marks[source.lane] = Mark(source.begin(mark.at), mark.time_ns)
        self._path = beside(site.plant.path, "bus", str(section.__struct_config__.tag))
        self._away_since_ns = 0
        self._told: bool | None = None
        self._state = "never reached"
        self.repeats = 0
        """Messages that were not published since the bus had them already."""

    def run(self, stop: Event) -> None:
        """Publish until stopped. A fault of ours stops the bus for a while, never the site."""
        while not stop.is_set():
            try:
                asyncio.run(self._work(stop))
            except Exception:  # noqa: BLE001  the bus must not stop the site
                _log.exception("the bus stands still: its publisher is wrong; the site goes on")
                stop.wait(_UNFIT_S)

    @property
    def waiting(self) -> Mapping[Lane, int]:
        """What is not on the bus yet: records, and bytes of frames."""
        return {source.lane: source.waiting(self._marks[source.lane].at) for source in self._sources}

    async def _work(self, stop: Event) -> None:
        wait_s = self._section.retry_s
        while not stop.is_set():
            reached = await self._once(stop)
            wait_s = self._section.retry_s if reached else min(2 * wait_s, self._section.retry_most_s)
            self._tidy()
            await asyncio.to_thread(stop.wait, _UNFIT_S if self._state.startswith(_UNFIT) else wait_s)

    async def _once(self, stop: Event) -> bool:
        """One connection, for as long as it holds; whether there was one."""
        reached, bus = False, None
        try:
            bus = connection(self._section)
            await bus.open()
            reached = True
            await self._feed(bus, stop)
        except (BusAway, UsageError) as error:
            self._down(error)
        finally:
            if bus is not None:
                await bus.close()
        return reached

    async def _feed(self, bus: Bus, stop: Event) -> None:
        doubt = dict.fromkeys(Lane, True)
        self._up()
        while not stop.is_set():
            moved = False
            for source in self._sources:
                moved = await self._lane(bus, source, doubt) or moved
            self._tidy()
            if not moved:
                self._rest()
                await asyncio.to_thread(stop.wait, _LOOK_S)

    async def _lane(self, bus: Bus, source: lanes.Source, doubt: dict[Lane, bool]) -> bool:
        """Publish a lane's next batch; whether there was one."""
        mark = self._marks[source.lane]
        read = source.read(mark.at)
        if read.mark == mark.at:
            return False
        if source.lane is Lane.FRAMES:  # those that these frames need were logged before them
            while await self._lane(bus, self._sources[0], doubt):
                pass
        messages = read.messages
        if doubt[source.lane]:
            messages = await self._news(bus, source.lane, mark, messages)
        large = await bus.publish(messages)
        if large:
            why = f"larger than one message of the bus may be: {max(len(one.body) for one in large):,} bytes"
            self._say([BusMissed(path=self._path, time_ns=self._now_ns(), count=len(large), why=why)])
        doubt[source.lane] = False
        self._put(source.lane, read.mark)
        return True

    async def _news(self, bus: Bus, lane: Lane, mark: Mark, messages: list[Message]) -> list[Message]:
        """Without what the bus kept although its acknowledgement never came."""
        if not mark.time_ns or self._now_ns() - mark.time_ns < _REMEMBERED_NS:
            return messages
        kept = await bus.kept_since(lane, mark.time_ns)
        out = [message for message in messages if message.id not in kept]
        self.repeats += len(messages) - len(out)
        return out

    def _put(self, lane: Lane, at: int) -> None:
        self._marks[lane] = Mark(at, self._now_ns())
        self._write()

    def _rest(self) -> None:
        """With nothing under way, what is published later was tried later than now: marks grow younger."""
        now = self._now_ns()
        if now - min(mark.time_ns for mark in self._marks.values()) > _REMEMBERED_NS // 2:
            for source in self._sources:
                mark = self._marks[source.lane]
                if not source.waiting(mark.at):
                    self._marks[source.lane] = Mark(mark.at, now)
            self._write()

    def _write(self) -> None:
        """On disk for good, or as it was: an older mark costs a question to the bus."""
        new, old = self._folder / "marks.json.new", self._folder / "marks.json"
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(Marks(self._marks, self._state)))
                file.flush()
                os.fsync(file.fileno())
            new.replace(old)
        except OSError as error:
            _log.error("how far the bus is cannot be noted in %s: %s", old, error.strerror)

    def _tidy(self) -> None:
        """Keep to the bound, and tell what was let go or is away for long."""
        self._spool.bound(self._marks[Lane.FRAMES].at)
        now = self._now_ns()
        lost = self._spool.lost()
        self._say(
            [
                BusMissed(path=self._path, time_ns=now, ordinal=place, count=count, why=why)
                for place, (why, count) in enumerate(lost.items())
            ]
        )

    def _up(self) -> None:
        self._away_since_ns = 0
        self._state = "up"
        if self._told is not True:
            if self._told is False:
                self._say([BusChanged(path=self._path, time_ns=self._now_ns(), up=True, cause="")])
            self._told = True
        self._write()

    def _down(self, error: Exception) -> None:
        now = self._now_ns()
        self._away_since_ns = self._away_since_ns or now
        unfit = isinstance(error, (BusUnfit, UsageError))
        self._state = f"{_UNFIT if unfit else 'away'}: {error}"
        self._write()
        if self._told is not False and (unfit or now - self._away_since_ns >= _SHORT_NS):
            self._told = False
            _log.warning("nothing is published: %s; it waits in %s", error, self._folder)
            self._say([BusChanged(path=self._path, time_ns=self._away_since_ns, up=False, cause=str(error))])

    def _say(self, records: Sequence[Record]) -> None:
        if records:
            try:
                self._site.append(records)
            except OSError as error:
                _log.error("what the bus has to tell is not logged: %s", error)
