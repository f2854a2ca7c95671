"""Pieces that each machine made, as they were counted and as people corrected them."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from isthmus.model.records import Record
from isthmus.model.records.people import QuantityCorrected
from isthmus.model.records.production import Counted
from isthmus.site.records import tables

_PIECES = "good REAL NOT NULL, scrap REAL NOT NULL, rework REAL NOT NULL, note TEXT NOT NULL"


class Counts:
    """Tables `counts` (what production counted) and `counts_said` (what a person corrected, and who)."""

    name: ClassVar[str] = "counts"
    reads: ClassVar[tuple[type[Record], ...]] = (Counted, QuantityCorrected)
    schema: ClassVar[str] = tables.facts("counts", f"{_PIECES}, why TEXT NOT NULL") + tables.facts(
        "counts_said",
        f"{_PIECES}, order_no TEXT NOT NULL, by TEXT NOT NULL, said_ns INTEGER NOT NULL",
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put the pieces in their place."""
        del position
        if isinstance(record, Counted):
            pieces: dict[str, Any] = {
                "good": record.good,
                "scrap": record.scrap,
                "rework": record.rework,
                "note": record.note,
            }
            tables.put(db, "counts", record, {**pieces, "why": record.why})
        elif isinstance(record, QuantityCorrected):
            pieces = {
                "good": record.good,
                "scrap": record.scrap,
                "rework": record.rework,
                "note": record.note,
            }
            said = {"order_no": record.order, "by": record.by, "said_ns": record.said_ns}
            tables.put(db, "counts_said", record, {**pieces, **said})
