"""Asks each device who it is: once after each connecting, by reading only, over the connection that stands.

What cannot be learnt now, as from a server that is busy with starting, is asked again, ever more seldom.
A device is told of when it is new or says something else than before, as after an update of its firmware.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import Final

from isthmus.edge.buffer import Buffer
from isthmus.edge.source import Identity, Source
from isthmus.model.errors import DeviceAway, DeviceRefuses
from isthmus.model.records.edge import DeviceIdentified

SETTLE_S: float = 1.0
"""A new connection reads its first values before it is asked anything else."""
DEADLINE_S: Final = 30.0
FIRST_WAIT_S: float = 5.0
MOST_WAIT_S: Final = 600.0
DUMB_S: Final = 3600.0
"""A device that had nothing to say is not asked at each connecting: many answer an unknown question only by silence."""
HURTS: Final = 2
"""So many connections lost in a row upon the question, and the device is left alone as if it had nothing to say."""
UPON_S: Final = 2.0
"""A connection that is lost so soon after an unanswered question was lost upon it."""


class Asking:
    """The questions to one device. `turn` paces: only so many devices of an edge are asked at one time."""

    def __init__(self, source: Source, path: str, buffer: Buffer, turn: asyncio.Semaphore) -> None:
        self._source, self._path, self._buffer, self._turn = source, path, buffer, turn
        self._told: Identity | None = None
        self._dumb_until = 0.0
        self._unanswered_at = -math.inf
        """When the last question that had no answer was given up; infinity while one is open."""
        self._hurt = 0

    async def ask(self, connected: asyncio.Event) -> None:
        """Wait for the connection and learn who answers on it. Ends when that is learnt."""
        await connected.wait()
        if time.monotonic() < self._dumb_until:
            return
        wait_s = FIRST_WAIT_S
        await asyncio.sleep(SETTLE_S * random.uniform(0.5, 1.0))  # noqa: S311  a wait, not a secret
        while not await self._once():
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311  as above
            wait_s = min(2 * wait_s, MOST_WAIT_S)

    def lost(self) -> None:
        """The connection was lost. Some devices hang up on a question that they do not know: those are left alone."""
        upon, self._unanswered_at = time.monotonic() - self._unanswered_at <= UPON_S, -math.inf
        if not upon:
            return
        self._hurt += 1
        if self._hurt >= HURTS:
            self._hurt, self._dumb_until = 0, time.monotonic() + DUMB_S

    async def _once(self) -> bool:
        async with self._turn:
            self._unanswered_at = math.inf
            try:
                async with asyncio.timeout(DEADLINE_S):
                    said = await self._source.identify()
            except (DeviceAway, DeviceRefuses, TimeoutError):
                self._unanswered_at = time.monotonic()
                return False
        self._unanswered_at, self._hurt = -math.inf, 0
        if not (said.maker or said.model or said.serial or said.firmware or said.parts):
            self._dumb_until = time.monotonic() + DUMB_S
        if said != self._told:
            self._told = said
            self._buffer.tell(
                DeviceIdentified(
                    path=self._path,
                    time_ns=time.time_ns(),
                    address=said.address,
                    protocol=said.protocol,
                    maker=said.maker,
                    model=said.model,
                    serial=said.serial,
                    firmware=said.firmware,
                    security=said.security,
                    more=said.more,
                    parts=said.parts,
                )
            )
        return True
