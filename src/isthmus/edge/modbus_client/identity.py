"""Who a device says it is: function 43/14, page by page, and what to make of no answer to it."""

from __future__ import annotations

import contextlib
from typing import Final

from isthmus.edge.modbus_client import codec
from isthmus.edge.modbus_client.connection import Connection, Silence
from isthmus.model.errors import DeviceAway

MAKER, CODE, FIRMWARE, URL, PRODUCT, MODEL, APPLICATION = range(7)
"""Numbers of the objects, Modbus Application Protocol V1.1b3, section 6.21."""

_PAGES: Final = 16
"""Most replies that a device may spread its identification over."""


async def ask(connection: Connection, unit: int, plain: codec.Request) -> dict[int, str]:
    """The objects by number; none where the device does not know the function.

    Many devices say nothing at all to a function that they do not know. So where no answer comes,
    `plain` is asked, a question that every device answers, if only with a refusal. Raises DeviceAway
    when that stays without an answer too.
    """
    try:
        return await _pages(connection, unit)
    except codec.Refusal:
        return {}
    except codec.NotModbus as error:
        raise DeviceAway(str(error)) from error
    except Silence:
        pass
    try:
        with contextlib.suppress(codec.Refusal):
            await connection.ask(plain)
    except Silence as silence:
        raise DeviceAway(str(silence)) from silence
    return {}


async def _pages(connection: Connection, unit: int) -> dict[int, str]:
    told: dict[int, str] = {}
    follow: int | None = 0
    for _ in range(_PAGES):
        if follow is None:
            break
        page = codec.page(await connection.ask(codec.identify(unit, follow)))
        told.update(page.objects)
        follow = page.follow
    return told
