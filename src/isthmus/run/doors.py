"""The site's doors: pages for people and the ERP's door, joined to a site that is at work."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from isthmus.enterprise.config import opened
from isthmus.enterprise.door import Door
from isthmus.model.errors import DatabaseAway, UsageError
from isthmus.web.app import make_app
from isthmus.web.server import address, first_link, make_server

if TYPE_CHECKING:
    from isthmus.plantfile import PlantFile
    from isthmus.site.site import Site
    from isthmus.web.config import WebSection


@asynccontextmanager
async def open_doors(file: PlantFile, site: Site, pages: socket.socket) -> AsyncIterator[None]:
    """Serve pages on the port that `bound` took, and speak with the ERP, for as long as the context lasts."""
    with _erp(file, site):
        app = make_app(site, file.web)
        server = make_server(app, file.web)
        serving = asyncio.ensure_future(server.serve(sockets=[pages]))
        try:
            while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn tells it in no other way
                await asyncio.sleep(0.02)
            print(f"pages at {address(file.web)}", flush=True)
            try:
                link = first_link(app, file.web)
            except DatabaseAway as error:
                print(f"nobody can log in before {error}", flush=True)
                link = None
            if link:
                print(f"make the first administrator, once, within a day: {link}", flush=True)
            yield
        finally:
            server.should_exit = True
            await asyncio.wait([serving])


@contextmanager
def bound(section: WebSection) -> Iterator[socket.socket]:
    """The pages' port, taken before anything is opened; the web server would end the process where it cannot.

    Raises UsageError when somebody else has it.
    """
    family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
    try:
        sock = socket.create_server((section.host, section.port), family=family)
    except OSError as error:
        msg = f"[web] listen = {section.listen!r}: {os.strerror(error.errno or 0)}; another site may run here, or choose another port"
        raise UsageError(msg) from error
    with sock:
        yield sock


@contextmanager
def _erp(file: PlantFile, site: Site) -> Iterator[None]:
    if file.erp is None:
        yield
        return
    door = Door(site, opened(file.erp, file.plant), file.erp)
    door.start()
    try:
        yield
    finally:
        door.stop()
