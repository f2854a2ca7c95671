"""The site process: link, ingest, stores, folds and doors, joined.

link server --take--> ingest --> historian, log --> views, namespace
                         |                 |           ^
                         |                 '--> publisher --> the plant's bus, where there is one
                         '--arrived--> fold runner ----'
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

from isthmus.model.equipment import beside
from isthmus.model.errors import DatabaseAway, UsageError
from isthmus.model.rarely import Rarely
from isthmus.model.records import Record
from isthmus.model.records.site import SamplesQuarantined
from isthmus.model.time import from_datetime
from isthmus.plantfile import PlantFile
from isthmus.run.auditing.site import keep_assets
from isthmus.run.bus import Runs, runs_of, spool_of
from isthmus.run.database import database_of
from isthmus.run.doors import bound, open_doors
from isthmus.run.ship import ship_history
from isthmus.run.speakers import speakers_of
from isthmus.run.wings import folds_of
from isthmus.site.folding.folds import FoldRunner
from isthmus.site.historian.check import Told
from isthmus.site.historian.store import Store
from isthmus.site.intake import corrections, handed
from isthmus.site.intake.certificates import Certificates
from isthmus.site.intake.ingest import Ingest
from isthmus.site.intake.link import LinkServer
from isthmus.site.intake.refusal import Refusal
from isthmus.site.site import Site
from isthmus.wire.frame import source_id

_log: Final = logging.getLogger(__name__)
_TELL_S: Final = 1.0
_MOST_UNTOLD: Final = 1_000
_STOP_S: Final = 30.0


async def run_site(file: PlantFile) -> None:
    """Run a site until cancelled. Raises UsageError when its port is taken or another site has its data."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request is noise
    with bound(file.web) as pages:
        async with open_site(file) as site, open_doors(file, site, pages):
            await asyncio.Event().wait()


@asynccontextmanager
async def open_site(file: PlantFile) -> AsyncIterator[Site]:
    """A site at work: it takes in what edges send and folds it, for as long as the context lasts."""
    with ExitStack() as stack:
        untold: deque[Told] = deque(maxlen=_MOST_UNTOLD)
        site, runner, ingest, beside_it = await asyncio.to_thread(_open, file, stack, untold)
        certificates = Certificates(
            site.folder / "tls", file.plant.path, file.edge.conduit, lambda record: _append(site, record)
        )
        stop = threading.Event()
        refusal = Refusal(site, beside(file.plant.path, "conduit", file.edge.conduit))
        server = LinkServer(file.site.listen, certificates, ingest.take, cut=refusal)
        async with _listening(server, file.site.listen), asyncio.TaskGroup() as group:
            folding = group.create_task(asyncio.to_thread(runner.run, stop), name="folds")
            sharing = [group.create_task(asyncio.to_thread(bus.run, stop), name="bus") for bus in beside_it]
            telling = group.create_task(_tell(site, file, untold), name="what history tells")
            shipping = group.create_task(
                ship_history(site.folder / "history", file.historian, file.plant.path), name="shipping"
            )
            taking = group.create_task(asyncio.to_thread(handed.run, site, runner.brought, stop), name="handed over")
            judging = group.create_task(keep_assets(site, file), name="the asset record")
            try:
                yield site
            finally:
                stop.set()
                telling.cancel()
                shipping.cancel()
                judging.cancel()
                await asyncio.wait([folding, taking, *sharing], timeout=_STOP_S)


@asynccontextmanager
async def _listening(server: LinkServer, listen: str) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            msg = f"cannot listen on {listen} ({error.strerror}): stop what has this port, or mend [site] listen"
            raise UsageError(msg) from error
        yield


class _Opened(NamedTuple):
    site: Site
    runner: FoldRunner
    ingest: Ingest
    beside: Sequence[Runs]


def _open(file: PlantFile, stack: ExitStack, untold: deque[Told]) -> _Opened:
    """Open the stores, from the disk upwards; the stack closes them the other way round."""
    plant, folder = file.plant, file.site.data
    try:
        store = stack.enter_context(Store(folder / "history", file.historian, told=untold.append))
    except OSError as error:
        raise UsageError(error.strerror or str(error)) from error
    folds = {path: folds_of(plant, machine) for path, machine in plant.machines.items()}
    site = Site(plant, folder, store, store.tags, folds=folds, database=database_of(file))
    stack.callback(site.close)
    site.recall()
    with suppress(DatabaseAway):  # they are told with the next correction, or at the next start
        corrections.tell(site)
    runner = FoldRunner(site, lateness_s=file.site.lateness_s, keep_days=file.historian.keep_days)
    stack.callback(runner.close)
    earliest = datetime.combine(file.historian.earliest, datetime.min.time(), tzinfo=UTC)
    spool = spool_of(file, folder)
    if spool is not None:
        stack.callback(spool.close)
    ingest = Ingest(
        site,
        future_s=file.historian.future_s,
        earliest_ns=from_datetime(earliest),
        arrived=runner.arrived,
        speakers=speakers_of(file, Certificates(folder / "tls", plant.path)),
        keep=spool.keep if spool else None,
    )
    stack.callback(ingest.close)
    return _Opened(site, runner, ingest, runs_of(file, site, ingest, spool))


async def _tell(site: Site, file: PlantFile, untold: deque[Told]) -> None:
    """Log what history had to tell, from a thread of ours: it must not be called back from its own."""
    names = {source_id(source.name): source.name for source in file.sources}
    rarely = Rarely()
    while True:
        records: list[Record] = []
        while untold:
            told = untold.popleft()
            source = "history" if told.source is None else names.get(told.source, str(told.source))
            tags = tuple(site.tags.info(tag).name for tag in told.tags if tag in site.tags.all())
            path, now = beside(site.plant.path, "source", source), from_datetime(datetime.now(UTC))
            records.append(
                SamplesQuarantined(
                    path=path, time_ns=now, ordinal=len(records), rows=told.rows, why=told.what, tags=tags
                )
            )
        while records:
            try:
                await asyncio.to_thread(site.append, records)
                break
            except OSError as error:
                if (times := rarely.due("told", time.monotonic())) is not None:
                    _log.error("what history tells waits: %s (%d times so far)", error, times)
                await asyncio.sleep(_TELL_S)
        await asyncio.sleep(_TELL_S)


def _append(site: Site, record: Record) -> None:
    site.append([record])
