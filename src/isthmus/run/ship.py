"""Ships the site's history to the group in the background, when `[historian] ship_to` says where.

Samples, bursts and records go side by side, so that a week of bursts on a narrow way holds up no sample.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from isthmus.model.errors import IsthmusError
from isthmus.site.config import HistorianSection
from isthmus.site.historian.sealed.manifest import NAME
from isthmus.site.historian.sealed.waveforms import FOLDER
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.ship import Shipped, Shipper, open_shipper
from isthmus.site.records.ship_log import LogShipper, ShippedLog, open_log_shipper

_log: Final = logging.getLogger(__name__)
Ships = Shipper | LogShipper


def lanes(
    history: Path, target: str, site: str, *, waveforms: bool, records: bool
) -> Mapping[str, Callable[[], Ships | None]]:
    """By name, what of a site is shipped, as a way to open it: None while there is nothing of it to ship."""
    log, bursts = history.parent / "log", history / FOLDER

    def of_bursts() -> Ships | None:
        return open_shipper(bursts, target, shipped.waveforms_of(site)) if _holds_bursts(bursts) else None

    found: dict[str, Callable[[], Ships | None]] = {"history": lambda: open_shipper(history, target, site)}
    if waveforms:
        found["bursts"] = of_bursts
    if records:
        found["records"] = lambda: open_log_shipper(log, target, site)
    return found


def words(name: str, done: Shipped | ShippedLog) -> str:
    """What was done, for a person."""
    sent = f"{done.files} files sent, {done.bytes / 1e6:,.1f} MB"
    if isinstance(done, ShippedLog):
        return f"{name}: {done.records:,} records that were not there; {sent}"
    rows = "samples" if name == "history" else name
    days = f"{len(done.root.days)} days, {done.days} of them with a new list"
    gone = f"{done.deleted} files deleted that counted no more"
    return f"{name}: {days}; {sent}\n{done.tail_rows:,} {rows} put into the tail; {gone}"


async def ship_history(history: Path, section: HistorianSection, site: str) -> None:
    """Ship until cancelled. A place out of reach is told once, and once more when it is back."""
    if not section.ship_to:
        return
    ways = lanes(history, section.ship_to, site, waveforms=section.ship_waveforms, records=section.ship_records)
    async with asyncio.TaskGroup() as group:
        for name, opens in ways.items():
            group.create_task(_keep_shipping(name, opens, section), name=f"shipping {name}")


async def _keep_shipping(name: str, opens: Callable[[], Ships | None], section: HistorianSection) -> None:
    said = ""
    shipper: Ships | None = None
    while True:
        trouble = ""
        try:
            shipper = shipper or await asyncio.to_thread(opens)
            if shipper is not None:
                done: Shipped | ShippedLog = await asyncio.to_thread(shipper.ship)
                trouble = "; ".join(done.troubles)
        except (OSError, IsthmusError) as error:
            trouble = str(error)
        if trouble and trouble != said:
            _log.error(
                "%s: not shipped to %s: %s; tried again every %g s, nothing is lost",
                name,
                section.ship_to,
                trouble,
                section.ship_every_s,
            )
        elif said and not trouble:
            _log.warning("%s: is shipped to %s again", name, section.ship_to)
        said = trouble
        await asyncio.sleep(section.ship_every_s)


def _holds_bursts(folder: Path) -> bool:
    """Whether there ever was a burst: most sites have none, and ship nothing of it."""
    sealed = any((folder / "segments").glob("*/*"))
    return (folder / NAME).exists() and (sealed or any(each.stat().st_size for each in (folder / "wal").glob("*.seg")))
