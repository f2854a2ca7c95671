"""Asks each device once who it is, by reading only, and never beside another connection to it."""

from __future__ import annotations

import asyncio
import time

from isthmus.edge.buffer import Buffer
from isthmus.edge.source import Source
from isthmus.model.errors import DeviceAway
from isthmus.model.records.edge import DeviceIdentified

DEADLINE_S = 5.0


async def identify(source: Source, path: str, buffer: Buffer, turn: asyncio.Semaphore) -> None:
    """Tell who the device says it is; a device that does not answer the question is left alone.

    `turn` paces: only so many devices of a plant are asked at one time.
    """
    async with turn:
        try:
            async with asyncio.timeout(DEADLINE_S):
                said = await source.identify()
        except (DeviceAway, TimeoutError):
            return
    buffer.tell(
        DeviceIdentified(
            path=path,
            time_ns=time.time_ns(),
            address=said.address,
            protocol=said.protocol,
            maker=said.maker,
            model=said.model,
            serial=said.serial,
            firmware=said.firmware,
            security=said.security,
            more=said.more,
        )
    )
