"""Answers with the headers that every page carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, Final, ParamSpec, TypeVar

from litestar import MediaType
from litestar.datastructures import MutableScopeHeaders
from litestar.exceptions import ServiceUnavailableException
from litestar.response import Redirect, Response
from litestar.status_codes import HTTP_303_SEE_OTHER
from litestar.types import Message, Scope

HEADERS: Final = {
    "content-security-policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""Nothing is fetched from another place than this one, and no script or style stands in a page."""

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(handler: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run a handler that reads stores in a thread, so that streams go on meanwhile.

    Litestar's own `sync_to_thread` fails where one address has a GET and a POST.
    """

    @wraps(handler)
    async def called(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(handler, *args, **kwargs)

    return called


class Queue:
    """Threads of their own for questions that may take seconds, so that no page waits behind them."""

    def __init__(self, name: str, *, at_once: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)
        self._most, self._here = at_once + waiting, 0

    def __call__(self, handler: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
        """As `in_thread`; whoever finds too many in front of him is told so at once (503)."""

        @wraps(handler)
        async def called(*args: P.args, **kwargs: P.kwargs) -> T:
            if self._here >= self._most:
                raise ServiceUnavailableException(
                    detail="Too many questions wait for an answer; ask again in a moment."
                )
            self._here += 1
            try:
                ask = partial(copy_context().run, handler, *args, **kwargs)
                return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
            finally:
                self._here -= 1

        return called


async def add_headers(message: Message, scope: Scope) -> None:
    """Give every answer, refusals too, the headers of HEADERS; called just before it is sent."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if scope.get("scheme") == "https":
            headers.setdefault("strict-transport-security", "max-age=31536000")


def html(text: str, status: int = 200) -> Response[str]:
    """A page; never kept by the browser, as it is somebody's."""
    return Response(text, media_type=MediaType.HTML, status_code=status, headers={"cache-control": "no-store"})


def see(address: str) -> Redirect:
    """Go and look there, after an act."""
    return Redirect(
        address if address.startswith("/") and not address.startswith("//") else "/", status_code=HTTP_303_SEE_OTHER
    )
