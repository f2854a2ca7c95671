"""The one stream of a page: what changed on it, as soon as it changed, in server-sent events.

Each message is a JSON object `{"now_ns", "cells": {element id: inner HTML}, "data": {...}}` with only
the cells that differ from what this reader was last sent. A message comes at least every second, so
that a page can tell by itself when it has lost the site.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Stream

from isthmus.model.errors import DatabaseAway
from isthmus.web.accounts import Session
from isthmus.web.guard import COOKIE
from isthmus.web.house import House
from isthmus.web.pages import connections, machine, orders, plant, tags
from isthmus.web.render import Builder, Built

BUILDERS: Final[Mapping[str, Builder]] = {
    "plant": plant.build,
    "machine": machine.build,
    "orders": orders.build,
    "connections": connections.build,
    "tags": tags.build_list,
    "tag": tags.build,
}
_GATHER_S: Final = 0.05
_AT_LEAST_S: Final = 0.2
_AT_MOST_S: Final = 1.0


@get("/live/{page:str}", sync_to_thread=False)
def live_page(page: FromPath[str], request: Request[Any, Session, Any], house: NamedDependency[House]) -> Stream:
    """The stream of a page without a path of its own."""
    return _stream(house, request, page, "")


@get("/live/machine/{below:path}", sync_to_thread=False)
def live_machine(below: FromPath[str], request: Request[Any, Session, Any], house: NamedDependency[House]) -> Stream:
    """The stream of a machine's page."""
    return _stream(house, request, "machine", below)


@get("/live/tag/{below:path}", sync_to_thread=False)
def live_tag(below: FromPath[str], request: Request[Any, Session, Any], house: NamedDependency[House]) -> Stream:
    """The stream of a tag's page."""
    return _stream(house, request, "tag", below)


def _stream(house: House, request: Request[Any, Session, Any], page: str, below: str) -> Stream:
    if page not in BUILDERS:
        raise NotFoundException(detail="No page of that name is live.")
    token = request.cookies.get(COOKIE, "")
    lines = messages(house, token, BUILDERS[page], below, dict(request.query_params))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(lines, media_type="text/event-stream", headers=headers)


async def messages(
    house: House, token: str, build: Builder, below: str, asked: Mapping[str, str]
) -> AsyncGenerator[bytes, None]:
    """Messages until the reader leaves or the session ends."""
    sent: dict[str, str] = {}
    changes = aiter(house.site.namespace.subscribe())
    change = asyncio.ensure_future(anext(changes))
    try:
        while True:
            try:
                session = await asyncio.to_thread(house.accounts.session, token)
                built = await asyncio.to_thread(build, house, session, below, asked) if session else None
            except DatabaseAway:
                # No message: the page says by itself that it hears nothing, and goes on when it does.
                yield b": records and people cannot be read\n\n"
                await asyncio.sleep(_AT_MOST_S)
                continue
            if built is None:
                break
            yield _message(house, built, sent)
            await asyncio.sleep(_AT_LEAST_S)
            await asyncio.wait({change}, timeout=_AT_MOST_S - _AT_LEAST_S)
            if change.done():
                change.result()
                change = asyncio.ensure_future(anext(changes))
                await asyncio.sleep(_GATHER_S)
        yield b"event: out\ndata: {}\n\n"
    finally:
        change.cancel()
        await asyncio.gather(change, return_exceptions=True)


def _message(house: House, built: Built, sent: dict[str, str]) -> bytes:
    cells = {key: str(html) for key, html in built.cells.items() if sent.get(key) != html}
    sent.update(cells)
    body = {"now_ns": house.clock(), "cells": cells, "data": built.data}
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
