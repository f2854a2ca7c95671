"""What the outbox works from: what is settled by order, each report's state, what people decided.

`outbox_touched` says up to which log position an order's settled facts have changed, so that only
those orders are looked at again. A report that was withdrawn before it was sent keeps its row with
`gone` 1, since keys count on.
"""

from __future__ import annotations

import sqlite3
from typing import ClassVar

import msgspec

from isthmus.model.equipment import named
from isthmus.model.records import Record
from isthmus.model.records.business import ErpItem, JobOrdered
from isthmus.model.records.people import ParkedDecided
from isthmus.model.records.production import RunSettled


class Outbox:
    """Tables of settled parts, touched orders, reports and decisions."""

    name: ClassVar[str] = "outbox"
    reads: ClassVar[tuple[type[Record], ...]] = (RunSettled, JobOrdered, ErpItem, ParkedDecided)
    schema: ClassVar[str] = """
        CREATE TABLE outbox_settled (
            path TEXT NOT NULL, time_ns INTEGER NOT NULL, ordinal INTEGER NOT NULL, revision INTEGER NOT NULL,
            gone INTEGER NOT NULL, order_number TEXT NOT NULL, operation TEXT NOT NULL, sequence INTEGER NOT NULL,
            good REAL NOT NULL, scrap REAL NOT NULL, busy_ns INTEGER NOT NULL, final INTEGER NOT NULL,
            lots TEXT NOT NULL,
            PRIMARY KEY (path, time_ns, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX outbox_settled_by_order ON outbox_settled (order_number, time_ns);
        CREATE TABLE outbox_touched (order_number TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE outbox_items (
            key TEXT PRIMARY KEY, order_number TEXT NOT NULL, sequence INTEGER NOT NULL, command TEXT NOT NULL,
            body TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, message TEXT NOT NULL,
            receipt TEXT NOT NULL, path TEXT NOT NULL, time_ns INTEGER NOT NULL, revision INTEGER NOT NULL,
            gone INTEGER NOT NULL, position INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX outbox_items_by_order ON outbox_items (order_number, sequence);
        CREATE INDEX outbox_items_by_state ON outbox_items (state);
        CREATE TABLE outbox_decided (
            key TEXT PRIMARY KEY, decision TEXT NOT NULL, person TEXT NOT NULL, note TEXT NOT NULL,
            position INTEGER NOT NULL
        ) WITHOUT ROWID;
    """

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Fold one record in; of two revisions the higher stands."""
        if isinstance(record, RunSettled):
            _settled(db, position, record)
        elif isinstance(record, JobOrdered):
            _touch(db, record.order, position)
        elif isinstance(record, ErpItem):
            _item(db, position, record)
        elif isinstance(record, ParkedDecided):
            key = named(record.path, "erp")
            db.execute(
                "INSERT OR REPLACE INTO outbox_decided VALUES (?, ?, ?, ?, ?)",
                (key, record.decision, record.by, record.note, position),
            )


def _settled(db: sqlite3.Connection, position: int, record: RunSettled) -> None:
    at = (record.path, record.time_ns, record.ordinal)
    before = db.execute(
        "SELECT order_number, revision FROM outbox_settled WHERE path = ? AND time_ns = ? AND ordinal = ?", at
    ).fetchone()
    if before is not None and before[1] > record.revision:
        return
    if before is not None and before[0] != record.order:
        _touch(db, before[0], position)
    db.execute(
        "INSERT OR REPLACE INTO outbox_settled VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *at,
            record.revision,
            record.gone,
            record.order,
            record.operation,
            record.sequence,
            record.good,
            record.scrap,
            record.run_ns + record.setup_ns,
            record.final,
            msgspec.json.encode(record.lots).decode(),
        ),
    )
    _touch(db, record.order, position)


def _item(db: sqlite3.Connection, position: int, record: ErpItem) -> None:
    db.execute(
        "INSERT INTO outbox_items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
        "body = excluded.body, state = excluded.state, attempts = excluded.attempts, message = excluded.message, "
        "receipt = excluded.receipt, revision = excluded.revision, gone = excluded.gone, position = excluded.position "
        "WHERE excluded.revision >= outbox_items.revision",
        (
            named(record.path, "erp"),
            record.order,
            record.sequence,
            record.command,
            record.body,
            record.state,
            record.attempts,
            record.message,
            record.receipt,
            record.path,
            record.time_ns,
            record.revision,
            record.gone,
            position,
        ),
    )


def _touch(db: sqlite3.Connection, order: str, position: int) -> None:
    if order:
        db.execute("INSERT OR REPLACE INTO outbox_touched VALUES (?, ?)", (order, position))
