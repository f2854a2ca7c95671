"""Ships the site's history to the group in the background, when `[historian] ship_to` says where."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from isthmus.model.errors import IsthmusError
from isthmus.site.config import HistorianSection
from isthmus.site.historian import shipped
from isthmus.site.historian.ship import Shipper

_log: Final = logging.getLogger(__name__)


async def ship_history(history: Path, section: HistorianSection, site: str) -> None:
    """Ship until cancelled. A place out of reach is told once, and once more when it is back."""
    if not section.ship_to:
        return
    said = ""
    shipper: Shipper | None = None
    while True:
        try:
            shipper = shipper or Shipper(history, shipped.place(section.ship_to), site)
            done = await asyncio.to_thread(shipper.ship)
            trouble = "; ".join(done.troubles)
        except (OSError, IsthmusError) as error:
            trouble = str(error)
        if trouble and trouble != said:
            _log.error(
                "history is not shipped to %s: %s; tried again every %g s, nothing is lost",
                section.ship_to,
                trouble,
                section.ship_every_s,
            )
        elif said and not trouble:
            _log.warning("history is shipped to %s again", section.ship_to)
        said = trouble
        await asyncio.sleep(section.ship_every_s)
