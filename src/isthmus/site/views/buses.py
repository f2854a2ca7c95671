"""How the plant's bus fares, and what will never be on it."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from isthmus.model.records import Record
from isthmus.model.records.site import BusChanged, BusMissed
from isthmus.site.records import tables


class Buses:
    """Tables `buses` (a row per bus, as it was last told) and `buses_missed` (what was let go, and why)."""

    name: ClassVar[str] = "buses"
    reads: ClassVar[tuple[type[Record], ...]] = (BusChanged, BusMissed)
    schema: ClassVar[str] = tables.latest("buses", "up INTEGER NOT NULL, cause TEXT NOT NULL") + tables.facts(
        "buses_missed", "count INTEGER NOT NULL, why TEXT NOT NULL"
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put what the publisher told in its place."""
        del position
        if isinstance(record, BusChanged):
            tables.put_latest(db, "buses", record, {"up": int(record.up), "cause": record.cause})
        elif isinstance(record, BusMissed):
            tables.put(db, "buses_missed", record, {"count": record.count, "why": record.why})
