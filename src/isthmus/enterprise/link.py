"""Whether the business system answers, told once per change, and what a door needs of the site."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from isthmus.model.plant import Plant
from isthmus.model.records import Record
from isthmus.model.records.business import ErpChanged

Clock = Callable[[], int]
"""Now, ns since 1970 UTC."""


class Tables(Protocol):
    """The log as tables; `site/records/views_db.py` keeps them."""

    def query(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """Rows of one SELECT."""
        ...


class OfSite(Protocol):
    """What a door needs of the site; `site/site.py` is it."""

    @property
    def plant(self) -> Plant:
        """The plant file's parts."""
        ...

    @property
    def views(self) -> Tables:
        """The log as tables."""
        ...

    def append(self, records: Sequence[Record]) -> int:
        """Log facts; they are seen in the views when this returns."""
        ...


class Link:
    """Tells the log when the ERP went away and when it came back."""

    def __init__(self, site: OfSite, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._path = f"{site.plant.path}#erp"
        rows = site.views.query(
            "SELECT body FROM facts WHERE kind = 'ErpChanged' AND path = ? ORDER BY time_ns DESC LIMIT 1", (self._path,)
        )
        self._last = msgspec.json.decode(rows[0]["body"], type=ErpChanged) if rows else None

    @property
    def is_up(self) -> bool:
        """Whether it answered when last asked."""
        return self._last is not None and self._last.up

    def up(self) -> None:
        """It answered."""
        if not self.is_up:
            self._tell(up=True, cause="")

    def down(self, cause: str) -> bool:
        """It did not, and why; True when that is news. A new cause is told too."""
        news = self._last is None or self._last.up or self._last.cause != cause
        if news:
            self._tell(up=False, cause=cause)
        return news

    def _tell(self, *, up: bool, cause: str) -> None:
        told = ErpChanged(path=self._path, time_ns=self._clock(), up=up, cause=cause)
        self._site.append([told])
        self._last = told
