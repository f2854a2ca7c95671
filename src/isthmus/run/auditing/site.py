"""Keeps a running site's asset record: judges it anew whenever something is said of a device.

What its own edges learn when they connect, what an audit hands over and what people decide all stand in
the site's log; the record, the findings and their severity follow from them, with the zones and conduits
of the plant file. Nothing is judged twice for the same facts, and never so often that it is felt.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from isthmus.assets.decided import ended
from isthmus.model.errors import DatabaseAway
from isthmus.model.records import Record
from isthmus.model.records.assets import AssetDecided, AssetSeen, FlowSeen
from isthmus.model.records.edge import DeviceIdentified
from isthmus.plantfile import PlantFile
from isthmus.run.auditing.facts import AuditFacts, Settings
from isthmus.run.auditing.judge import judge
from isthmus.run.auditing.own import called
from isthmus.site.site import Site

_SAID: Final = (AssetSeen, FlowSeen, AssetDecided, DeviceIdentified)
_LOOK_S: Final = 3.0
_ENDINGS_S: Final = 60.0
_SELDOM_S: Final = 600.0
_SHARE: Final = 20
"""Judging takes at most one part in so many of a core."""
_log: Final = logging.getLogger(__name__)


class SiteAudit(AuditFacts):
    """The facts of an audit in a site's log."""

    def __init__(self, site: Site, file: PlantFile) -> None:
        self._site = site
        self._read_to = 0
        self._owed = False
        self._look_at = 0.0
        self.settings = Settings(
            path=site.plant.path,
            name=site.plant.name,
            zones=file.zones,
            conduits=file.conduits,
            time_zone=site.plant.time_zone,
            sources=called(site.plant, [source.name for source in file.sources]),
        )

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows of the site's tables."""
        return self._site.views.query(sql, parameters)

    def append(self, records: Sequence[Record]) -> None:
        """Into the site's log and its tables."""
        self._site.append(records)

    def judge(self) -> None:
        """Judge anew where something was said since the last time that it was done; at first, where anything ever was."""
        self._end_decisions()
        first, end = self._read_to, self._site.log.position
        self._site.catch_up()  # the tables hold what is counted here
        self._owed = self._owed or self._was_said(first)
        self._read_to = end
        if self._owed:
            judge(self)
            self._owed = False

    def _end_decisions(self) -> None:
        """Look again at what was accepted for a time that is over."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _ENDINGS_S
            self._site.catch_up()
            if over := ended(self.all(AssetDecided), time.time_ns()):
                self.append(over)

    def _was_said(self, first: int) -> bool:
        if first:
            return any(isinstance(record, _SAID) for _, record in self._site.log.read(first))
        kinds = ", ".join(f"'{kind.__name__}'" for kind in _SAID)
        return bool(self.rows(f"SELECT 1 FROM facts WHERE kind IN ({kinds}) LIMIT 1"))  # noqa: S608  our own names


async def keep_assets(site: Site, file: PlantFile) -> None:
    """Judge until cancelled. What fails is told and tried again, ever more seldom: no fault here may stop a site."""
    facts, wait_s = SiteAudit(site, file), _LOOK_S
    while True:
        begun = time.monotonic()
        try:
            await asyncio.to_thread(facts.judge)
            wait_s = max(_LOOK_S, _SHARE * (time.monotonic() - begun))
        except (OSError, sqlite3.Error, DatabaseAway) as error:
            wait_s = min(2 * wait_s, _SELDOM_S)
            _log.error("the asset record is not up to date: %s; tried again in %.0f s", error, wait_s)
        except Exception:  # noqa: BLE001  a record that cannot be judged is a bug; the plant's values go on
            wait_s = min(2 * wait_s, _SELDOM_S)
            _log.exception("the asset record cannot be judged; the site goes on, and tries again in %.0f s", wait_s)
        await asyncio.sleep(wait_s)
