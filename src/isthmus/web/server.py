"""Serves the pages: one uvicorn server over one application, with the deadlines that a stream needs."""

from __future__ import annotations

from typing import Final

import uvicorn
from litestar import Litestar

from isthmus.web.config import WebSection
from isthmus.web.house import House

_STOP_S: Final = 2
_KEEP_ALIVE_S: Final = 30
_STREAMS: Final = 512


def make_server(app: Litestar, section: WebSection) -> uvicorn.Server:
    """A server that is ready to `await server.serve()`; `server.should_exit = True` ends it within seconds.

    It takes no signals away from who runs it, and answers at most a few hundred readers at once: a
    stream more is told 503 and comes again by itself.
    """
    config = uvicorn.Config(
        app,
        host=section.host,
        port=section.port,
        ssl_certfile=str(section.certificate) if section.certificate else None,
        ssl_keyfile=str(section.key) if section.key else None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=section.behind_proxy,
        limit_concurrency=_STREAMS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_S,
    )
    return uvicorn.Server(config)


def address(section: WebSection) -> str:
    """Where a browser finds the pages."""
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(section.host, section.host)  # noqa: S104  shown, not bound
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if section.certificate else 'http'}://{host}:{section.port}"


def first_link(app: Litestar, section: WebSection) -> str | None:
    """The link that makes the first administrator, None when there is one. Print it; it holds for a day."""
    house: House = app.state.house
    token = house.accounts.first_link()
    return f"{address(section)}/enter/{token}" if token else None
