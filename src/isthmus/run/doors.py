"""The site's doors: pages for people and the ERP's door, joined to a site that is at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from isthmus.enterprise.door import Door
from isthmus.model.errors import UsageError
from isthmus.web.app import make_app
from isthmus.web.server import address, first_link, make_server

if TYPE_CHECKING:
    from isthmus.plantfile import PlantFile
    from isthmus.site.site import Site


@asynccontextmanager
async def open_doors(file: PlantFile, site: Site) -> AsyncIterator[None]:
    """Serve pages and speak with the ERP for as long as the context lasts.

    Raises UsageError when the pages' port is taken.
    """
    with _erp(file, site):
        app = make_app(site, file.web)
        server = make_server(app, file.web)
        serving = asyncio.ensure_future(server.serve())
        try:
            while not server.started:
                if serving.done():
                    msg = f"[web] listen = {file.web.listen!r} cannot be listened on; another site may run here"
                    raise UsageError(msg)
                await asyncio.sleep(0.02)
            print(f"pages at {address(file.web)}", flush=True)
            link = first_link(app, file.web)
            if link:
                print(f"make the first administrator, once, within a day: {link}", flush=True)
            yield
        finally:
            server.should_exit = True
            await asyncio.wait([serving])


@contextmanager
def _erp(file: PlantFile, site: Site) -> Iterator[None]:
    if file.erp is None:
        yield
        return
    door = Door(site, file.erp.open(file.plant), file.erp)
    door.start()
    try:
        yield
    finally:
        door.stop()
