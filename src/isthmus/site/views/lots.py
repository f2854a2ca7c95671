"""Which lots were made of which: the genealogy, from what production has settled and what runs now."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

import msgspec

from isthmus.model.records import Record
from isthmus.model.records.people import LotGiven
from isthmus.model.records.production import LotChanged, RunSettled
from isthmus.site.records import tables


class Lots:
    """Tables `lots_made` (a row for each lot of a settled part), `lots_used`, `lots_now` and `lots_said`.

    `lots_used` holds the component lots that were in use while the pieces of the same (path, time_ns, ordinal,
    place) were made. `lots_now` is what each machine told last.
    """

    name: ClassVar[str] = "lots"
    reads: ClassVar[tuple[type[Record], ...]] = (RunSettled, LotChanged, LotGiven)
    schema: ClassVar[str] = (
        tables.facts("lots_settled", "order_no TEXT NOT NULL, product TEXT NOT NULL, start_ns INTEGER NOT NULL")
        + """
CREATE TABLE lots_made (
    path TEXT NOT NULL, time_ns INTEGER NOT NULL, ordinal INTEGER NOT NULL, place INTEGER NOT NULL,
    start_ns INTEGER NOT NULL, order_no TEXT NOT NULL, product TEXT NOT NULL, sequence INTEGER NOT NULL,
    lot TEXT NOT NULL, good REAL NOT NULL, scrap REAL NOT NULL, rework REAL NOT NULL,
    PRIMARY KEY (path, time_ns, ordinal, place)
) WITHOUT ROWID;
CREATE TABLE lots_used (
    path TEXT NOT NULL, time_ns INTEGER NOT NULL, ordinal INTEGER NOT NULL, place INTEGER NOT NULL,
    material TEXT NOT NULL, lot TEXT NOT NULL, PRIMARY KEY (path, time_ns, ordinal, place, material)
) WITHOUT ROWID;
CREATE INDEX lots_made_lot ON lots_made (lot, product);
CREATE INDEX lots_made_order ON lots_made (order_no);
CREATE INDEX lots_used_lot ON lots_used (lot, material);
"""
        + tables.latest(
            "lots_now", "order_no TEXT NOT NULL, product TEXT NOT NULL, lot TEXT NOT NULL, used TEXT NOT NULL"
        )
        + tables.facts(
            "lots_said",
            "order_no TEXT NOT NULL, direction TEXT NOT NULL, material TEXT NOT NULL, lot TEXT NOT NULL, "
            "by TEXT NOT NULL, said_ns INTEGER NOT NULL",
        )
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put the lots of a part, of a machine or of a saying in their place."""
        del position
        if isinstance(record, RunSettled):
            _settled(db, record)
        elif isinstance(record, LotChanged):
            used = msgspec.json.encode(record.used).decode()
            now = {"order_no": record.order, "product": record.product, "lot": record.lot, "used": used}
            tables.put_latest(db, "lots_now", record, now)
        elif isinstance(record, LotGiven):
            said: dict[str, Any] = {
                "order_no": record.order,
                "direction": record.direction,
                "material": record.material,
                "lot": record.lot,
                "by": record.by,
                "said_ns": record.said_ns,
            }
            tables.put(db, "lots_said", record, said)


def _settled(db: sqlite3.Connection, record: RunSettled) -> None:
    whole = {"order_no": record.order, "product": record.product, "start_ns": record.start_ns}
    if not tables.put(db, "lots_settled", record, whole):
        return
    key = (record.path, record.time_ns, record.ordinal)
    for table in ("lots_made", "lots_used"):
        db.execute(f"DELETE FROM {table} WHERE path = ? AND time_ns = ? AND ordinal = ?", key)  # noqa: S608  our own name
    if record.gone:
        return
    for place, part in enumerate(record.lots):
        made = (record.start_ns, record.order, record.product, record.sequence)
        amount = (part.lot, part.good, part.scrap, part.rework)
        db.execute("INSERT INTO lots_made VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*key, place, *made, *amount))
        db.executemany(
            "INSERT OR REPLACE INTO lots_used VALUES (?, ?, ?, ?, ?, ?)",
            [(*key, place, used.material, used.lot) for used in part.used],
        )
