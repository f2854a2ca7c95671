"""The pages over an audit's folder alone: a site with no machines, whose log is the audit's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from litestar import Litestar

from isthmus.model.errors import UsageError
from isthmus.model.plant import KpiPolicy, Plant
from isthmus.run.auditing.facts import Settings
from isthmus.run.auditing.judge import judge
from isthmus.run.auditing.store import AuditStore
from isthmus.site.historian.store import Store
from isthmus.site.site import Site
from isthmus.web.app import make_app
from isthmus.web.config import WebSection
from isthmus.web.server import address, first_link, make_server


def serve(folder: Path, port: int) -> int:
    """Serve until Ctrl-C. Raises UsageError for a port that is taken."""
    section = WebSection(listen=f"127.0.0.1:{port}", data=folder / "web")
    with pages(folder, section) as app:
        print(f"{address(section)}/assets")
        if link := first_link(app, section):
            print(f"First make an account for yourself: {link}")
        print("While the pages are served nothing else writes to the audit; stop them with Ctrl-C to import more.")
        server = make_server(app, section)
        try:
            asyncio.run(server.serve())
        except SystemExit as error:
            msg = f"port {port} of this machine is taken; choose another with --port"
            raise UsageError(msg) from error
    return 0


@contextmanager
def pages(folder: Path, section: WebSection) -> Iterator[Litestar]:
    """The application over an audit; what people said is judged in before and after."""
    with AuditStore(folder, make=False) as store:
        judge(store)
        settings = store.settings
        store.close_stores()
        history = Store(folder / "history", background=False)
        try:
            site = Site(_plant(settings), folder, history, history.tags)
            try:
                yield make_app(site, section, clock=time.time_ns)
            finally:
                site.close()
        finally:
            history.close()
    with AuditStore(folder, make=False) as store:
        judge(store)


def _plant(settings: Settings) -> Plant:
    """A plant of which nothing is known but its name."""
    return Plant(
        name=settings.name,
        path=settings.path,
        time_zone=settings.time_zone,
        currency="GBP",
        calendars={},
        machines={},
        products={},
        reasons={},
        kpi=KpiPolicy(),
    )
