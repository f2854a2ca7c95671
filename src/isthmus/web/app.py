"""The web application: pages, stream, API and log-in over one site.

app = make_app(site, section)            # ASGI, for uvicorn
server = make_server(app, section)       # web/server.py
print(first_link(app, section))

"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from litestar import Litestar, Request
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.response import Response
from litestar.static_files import create_static_files_router
from litestar.types import Scope

from isthmus import __version__
from isthmus.model.errors import DatabaseAway, StoreDamaged
from isthmus.site.site import Site
from isthmus.web import api, guard, history_api, live, render, respond, tag_api
from isthmus.web.accounts import Accounts, Session
from isthmus.web.config import WebSection
from isthmus.web.house import House
from isthmus.web.pages import accounts, assets, connections, cut, entry, lots, machine, orders, plant, tags
from isthmus.web.respond import html

_log = logging.getLogger(__name__)
_STATIC: Final = Path(__file__).parent / "static"


def make_app(site: Site, section: WebSection, *, clock: Callable[[], int] = time.time_ns) -> Litestar:
    """Make the application. It closes its accounts when it shuts down; the site is closed by who opened it."""
    people = Accounts(site.database or section.data, clock, section.session_hours)
    house = House(site, section, people, clock)
    static = create_static_files_router(
        path="/static",
        directories=[_STATIC],
        opt={"exclude_from_auth": True},
        cache_control=None,
        include_in_schema=False,
    )
    return Litestar(
        route_handlers=[
            static,
            *entry.HANDLERS,
            plant.plant_page,
            *machine.HANDLERS,
            *orders.HANDLERS,
            lots.lots_page,
            connections.connections_page,
            *cut.HANDLERS,
            *tags.HANDLERS,
            *assets.HANDLERS,
            *accounts.HANDLERS,
            live.live_machine,
            live.live_tag,
            live.live_page,
            *api.HANDLERS,
            *tag_api.HANDLERS,
            *history_api.HANDLERS,
        ],
        state=State({"house": house}),
        dependencies={
            "house": Provide(lambda: house, sync_to_thread=False),
            "form": Provide(guard.the_form),
        },
        middleware=[DefineMiddleware(guard.Guard, exclude_from_auth_key="exclude_from_auth")],
        before_request=guard.check_form,
        exception_handlers={
            NotAuthorizedException: guard.to_log_in,
            HTTPException: _refused,
            DatabaseAway: _away,
            StoreDamaged: _damaged,
        },
        before_send=[respond.add_headers],
        compression_config=CompressionConfig(backend="gzip", minimum_size=800, exclude=["^/live/"]),
        openapi_config=OpenAPIConfig(
            title=f"Isthmus: {site.plant.name}",
            version=__version__,
            path="/api/schema",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        ),
        request_max_body_size=256 * 1024,
        after_exception=[_log_bug],
        logging_config=None,
        on_shutdown=[people.close],
    )


async def _log_bug(error: Exception, scope: Scope) -> None:
    """What is no refusal is a bug: it is told with its whole trace."""
    if not isinstance(error, (HTTPException, DatabaseAway, StoreDamaged)):
        _log.error("page %s failed", scope.get("path"), exc_info=error)


def _away(request: Request[Any, Any, Any], error: DatabaseAway) -> Response[Any]:
    """What is missing and what goes on, while records and people are in a database that cannot be reached."""
    words = (
        f"Records and people cannot be read: {error}. Samples, counts and states are taken in and kept all the same; "
        "this page is complete again by itself once the database is back."
    )
    return _not_now(request, words, 503)


def _damaged(request: Request[Any, Any, Any], error: StoreDamaged) -> Response[Any]:
    """Which file it is and what mends it; what does not touch it is answered as always."""
    _log.error("page %s: %s", request.url.path, error)
    words = (
        f"What was asked for lies in a damaged file of history: {error}. `isthmus history mend` puts it back from a "
        "backup. All else is answered and taken in as always."
    )
    return _not_now(request, words, 500)


def _not_now(request: Request[Any, Any, Any], words: str, status: int) -> Response[Any]:
    retry = {"retry-after": "5"} if status == 503 else {}  # noqa: PLR2004  it comes back by itself
    if request.url.path.startswith(("/api/", "/live/", "/static/")):
        return Response({"detail": words}, status_code=status, headers=retry)
    house: House = request.app.state.house
    text = render.plain("refused.html", house, session=None, here="", said_no=words)
    answer = html(text, status)
    answer.headers.update(retry)
    return answer


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """A refusal as a page in plain words, or as JSON from the API."""
    if request.url.path.startswith(("/api/", "/live/", "/static/")):
        return Response({"detail": error.detail}, status_code=error.status_code)
    house: House = request.app.state.house
    session = request.scope.get("auth")
    known = session if isinstance(session, Session) else None
    words = "There is no such page." if error.status_code == 404 else error.detail  # noqa: PLR2004  not found
    text = render.plain("refused.html", house, session=known, here="", said_no=words)
    return html(text, error.status_code)
