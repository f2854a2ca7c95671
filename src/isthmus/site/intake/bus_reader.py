"""Takes in frames from a bus: a second site or a centre reads along with the plants that publish there.

The bus forgets a message for this reader only after the frame is on our disk, and brings it again
otherwise; a repeat is recognised by (source, epoch, seq) like any other. Who may publish on the bus is
trusted like an edge.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from threading import Event
from typing import Final

from isthmus.model.errors import BusAway, StoreDamaged, UsageError
from isthmus.site.intake.ingest import Ingest
from isthmus.site.publish.bus import READER, Bus, BusSection, Delivery, Lane, connection
from isthmus.wire import frame as frames

_log: Final = logging.getLogger(__name__)
_MOST: Final = 128
_WAIT_S: Final = 1.0
_AT_ONCE_S: Final = 0.05
_WRONG_S: Final = 30.0


class BusReader:
    """One bus. `run` in a thread."""

    def __init__(self, ingest: Ingest, section: BusSection) -> None:
        self._ingest, self._section = ingest, section
        self.taken = 0
        """Frames that came by the bus, since the start."""

    def run(self, stop: Event) -> None:
        """Read until stopped. A fault of ours stops the reading for a while, never the site."""
        while not stop.is_set():
            try:
                asyncio.run(self._work(stop))
            except Exception:  # noqa: BLE001  the bus must not stop the site
                _log.exception("nothing is read from the bus: its reader is wrong; the site goes on")
                stop.wait(_WRONG_S)

    async def _work(self, stop: Event) -> None:
        wait_s, told = self._section.retry_s, ""
        while not stop.is_set():
            bus: Bus | None = None
            try:
                bus = connection(self._section)
                await bus.open()
                wait_s, told = self._section.retry_s, ""
                while not stop.is_set():
                    await self._turn(bus)
            except (BusAway, UsageError, OSError) as error:
                if str(error) != told:
                    _log.warning("nothing is read from the bus: %s; it is tried again", error)
                    told = str(error)
            finally:
                if bus is not None:
                    await bus.close()
            await asyncio.to_thread(stop.wait, wait_s)
            wait_s = min(2 * wait_s, self._section.retry_most_s)

    async def _turn(self, bus: Bus) -> None:
        found = await bus.fetch(Lane.FRAMES, _MOST, _WAIT_S)
        # The dictionary of a frame was on the bus before it.
        while words := await bus.fetch(Lane.DICTIONARIES, _MOST, _AT_ONCE_S):
            await self._take(words)
        await self._take(sorted(found, key=_place))
        self.taken += len(found)

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Everything at once; where that is no run of frames, each alone, so that one bad message stops nothing."""
        if not deliveries:
            return
        try:
            body = b"".join(delivery.body for delivery in deliveries)
            await asyncio.to_thread(self._ingest.take, READER, body)
        except StoreDamaged as error:
            if len(deliveries) == 1:
                _log.error("a message of the bus is passed over: %s", error)
                await deliveries[0].refuse()
                return
            for delivery in deliveries:
                await self._take([delivery])
            return
        await asyncio.gather(*(delivery.done() for delivery in deliveries))


def _place(delivery: Delivery) -> tuple[int, int, int]:
    try:
        head, _ = frames.head_at(delivery.body)
    except (StoreDamaged, EOFError):
        return (0, 0, 0)
    return head.source, head.epoch, head.seq
