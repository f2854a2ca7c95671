"""Stops that are over, with their reasons, and everything that people said about stops."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from isthmus.model.records import Record
from isthmus.model.records.people import ReasonGiven
from isthmus.model.records.production import StopExplained
from isthmus.site.records import tables


class Stops:
    """Tables `stops` (time_ns is the stop's end) and `stops_said` (time_ns is where the saying begins)."""

    name: ClassVar[str] = "stops"
    reads: ClassVar[tuple[type[Record], ...]] = (StopExplained, ReasonGiven)
    schema: ClassVar[str] = tables.facts(
        "stops",
        "start_ns INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL, "
        "by TEXT NOT NULL, order_no TEXT NOT NULL",
    ) + tables.facts(
        "stops_said",
        "end_ns INTEGER, reason TEXT NOT NULL, note TEXT NOT NULL, by TEXT NOT NULL, said_ns INTEGER NOT NULL",
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put the stop or the saying in its place."""
        del position
        if isinstance(record, StopExplained):
            why = {"reason": record.reason, "note": record.note, "by": record.by, "order_no": record.order}
            tables.put(db, "stops", record, {"start_ns": record.start_ns, "state": str(record.state), **why})
        elif isinstance(record, ReasonGiven):
            why = {"reason": record.reason, "note": record.note, "by": record.by}
            tables.put(db, "stops_said", record, {"end_ns": record.end_ns, **why, "said_ns": record.said_ns})
