"""Orders as the business system has them now, and what lies in stock for them."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

import msgspec

from isthmus.model.records import Record
from isthmus.model.records.business import JobOrdered, MaterialExpected, MaterialStocked
from isthmus.site.records import tables


class Orders:
    """Tables `orders`, `orders_stock` and `orders_inbound`, a row each per path; steps and materials as JSON."""

    name: ClassVar[str] = "orders"
    reads: ClassVar[tuple[type[Record], ...]] = (JobOrdered, MaterialStocked, MaterialExpected)
    schema: ClassVar[str] = (
        tables.latest(
            "orders",
            "order_no TEXT NOT NULL, product TEXT NOT NULL, quantity REAL NOT NULL, unit TEXT NOT NULL, "
            "state TEXT NOT NULL, due_ns INTEGER, start_ns INTEGER, priority INTEGER NOT NULL, steps TEXT NOT NULL, "
            "materials TEXT NOT NULL, reference TEXT NOT NULL, external_id TEXT NOT NULL, cost TEXT NOT NULL, "
            "lot_tracked INTEGER NOT NULL",
        )
        + tables.latest("orders_stock", "material TEXT NOT NULL, quantity TEXT NOT NULL, unit TEXT NOT NULL")
        + tables.latest(
            "orders_inbound",
            "material TEXT NOT NULL, quantity TEXT NOT NULL, unit TEXT NOT NULL, due_ns INTEGER, origin TEXT NOT NULL",
        )
        + "CREATE INDEX orders_number ON orders (order_no);\n"
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Let the newest word of the business system stand."""
        del position
        if isinstance(record, JobOrdered):
            tables.put_latest(db, "orders", record, _order(record))
        elif isinstance(record, MaterialStocked):
            tables.put_latest(db, "orders_stock", record, _material(record))
        elif isinstance(record, MaterialExpected):
            due = {"due_ns": record.due_ns, "origin": record.origin}
            tables.put_latest(db, "orders_inbound", record, {**_material(record), **due})


def _order(record: JobOrdered) -> dict[str, Any]:
    return {
        "order_no": record.order,
        "product": record.product,
        "quantity": record.quantity,
        "unit": record.unit,
        "state": record.state,
        "due_ns": record.due_ns,
        "start_ns": record.start_ns,
        "priority": record.priority,
        "steps": msgspec.json.encode(record.steps).decode(),
        "materials": msgspec.json.encode(record.materials).decode(),
        "reference": record.reference,
        "external_id": record.external_id,
        "cost": record.cost,
        "lot_tracked": int(record.lot_tracked),
    }


def _material(record: MaterialStocked | MaterialExpected) -> dict[str, Any]:
    return {"material": record.material, "quantity": record.quantity, "unit": record.unit}
