"""How every report to the business system fared, what people decided, and whether it answers."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from isthmus.model.records import Record
from isthmus.model.records.business import ErpChanged, ErpItem
from isthmus.model.records.people import ParkedDecided
from isthmus.site.records import tables


class ErpReports:
    """Tables `erp` (each report as it stands; its way in `erp_all`), `erp_decided` and `erp_link`."""

    name: ClassVar[str] = "erp"
    reads: ClassVar[tuple[type[Record], ...]] = (ErpItem, ErpChanged, ParkedDecided)
    schema: ClassVar[str] = (
        tables.latest(
            "erp",
            "order_no TEXT NOT NULL, command TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, "
            "attempts INTEGER NOT NULL, message TEXT NOT NULL, receipt TEXT NOT NULL, sequence INTEGER NOT NULL",
        )
        + tables.latest(
            "erp_decided",
            "decision TEXT NOT NULL, note TEXT NOT NULL, by TEXT NOT NULL, said_ns INTEGER NOT NULL",
        )
        + tables.latest("erp_link", "up INTEGER NOT NULL, cause TEXT NOT NULL")
        + "CREATE INDEX erp_order ON erp (order_no, sequence);\nCREATE INDEX erp_state ON erp (state);\n"
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Let the newest word about each report stand."""
        del position
        if isinstance(record, ErpItem):
            values: dict[str, Any] = {
                "order_no": record.order,
                "command": record.command,
                "body": record.body,
                "state": record.state,
                "attempts": record.attempts,
                "message": record.message,
                "receipt": record.receipt,
                "sequence": record.sequence,
            }
            tables.put_latest(db, "erp", record, values)
        elif isinstance(record, ErpChanged):
            tables.put_latest(db, "erp_link", record, {"up": int(record.up), "cause": record.cause})
        elif isinstance(record, ParkedDecided):
            said = {"decision": record.decision, "note": record.note, "by": record.by, "said_ns": record.said_ns}
            tables.put_latest(db, "erp_decided", record, said)
