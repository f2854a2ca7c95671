"""What comes in from Tryton: orders with steps and material, what suppliers owe, what lies in stock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from isthmus.enterprise.erp import Pulled
from isthmus.enterprise.erps.tryton.wire import (
    Row,
    Wire,
    asked,
    code_of,
    decimal_of,
    end_of,
    moment_of,
    start_of,
    text_of,
)
from isthmus.model.equipment import beside
from isthmus.model.plant import Plant
from isthmus.model.records.business import Component, JobOrdered, MaterialExpected, MaterialStocked, Step

STATES: Final[dict[str, Literal["planned", "released", "running", "finished", "cancelled"]]] = {
    "request": "planned",
    "draft": "planned",
    "waiting": "released",
    "assigned": "released",
    "running": "running",
    "done": "finished",
    "cancelled": "cancelled",
}
_OPEN: Final = ["request", "draft", "waiting", "assigned", "running"]
_ORDER: Final = [
    "number",
    "reference",
    "state",
    "quantity",
    "planned_start_date",
    "planned_date",
    "product.code",
    "product.lot_required",
    "unit.symbol",
    "cost",
    "last_modified_at",
    "works.sequence",
    "works.operation.name",
    "works.work_center.name",
    "works.state",
    "works.last_modified_at",
    "inputs.product.code",
    "inputs.quantity",
    "inputs.unit.symbol",
    "inputs.product.lot_required",
    "inputs.last_modified_at",
    "outputs.last_modified_at",
]
_TOUCHED: Final = (
    ("production", "id"),
    ("production.work", "production.id"),
    ("production.work.cycle", "work.production.id"),
    ("stock.move", "production_input.id"),
    ("stock.move", "production_output.id"),
)
_OVERLAP: Final = timedelta(seconds=10)
"""A change is stamped when it begins and seen when it is committed, so each look goes back a little."""


def orders(wire: Wire, plant: Plant, cursor: str) -> Pulled:
    """The open orders, or those that changed since the cursor, whatever became of them."""
    if cursor:
        moment = asked(datetime.fromisoformat(cursor) - _OVERLAP)
        changed = ["OR", [["write_date", ">=", moment]], [["create_date", ">=", moment]]]
        ids: set[int] = set()
        for model, field in _TOUCHED:
            ids |= {found for row in wire.search(model, changed, [field]) if (found := _deep(row, field))}
        domain: list[Any] = [["id", "in", sorted(ids)]]
        rows = wire.search("production", domain, _ORDER) if ids else []
    else:
        rows = wire.search("production", [["state", "in", _OPEN]], _ORDER)
    times = [moment_of(part["last_modified_at"]) for row in rows for part in (row, *row["works"], *_moves(row))]
    newest = max((t for t in times if t), default=None)
    after = max(cursor, newest.isoformat(timespec="microseconds")) if newest else cursor
    return Pulled([_ordered(plant, row) for row in rows if row["number"]], after)


def _ordered(plant: Plant, row: Row) -> JobOrdered:
    zone = plant.zone
    steps = [
        Step(
            sequence=work["sequence"] or 0,
            operation=work["operation"]["name"],
            work_centre=(work["work_center"] or {}).get("name", ""),
            state=work["state"],
        )
        for work in row["works"]
    ]
    return JobOrdered(
        path=beside(plant.path, "order", row["number"]),
        time_ns=0,
        order=row["number"],
        product=code_of(row["product"]),
        quantity=row["quantity"],
        unit=(row["unit"] or {}).get("symbol", ""),
        state=STATES[row["state"]],
        due_ns=end_of(row["planned_date"], zone),
        start_ns=start_of(row["planned_start_date"], zone),
        steps=tuple(sorted(steps, key=lambda step: (step.sequence, step.operation))),
        materials=tuple(
            Component(
                material=code_of(move["product"]),
                quantity=text_of(move["quantity"]),
                unit=move["unit"]["symbol"],
                lot_tracked=_lot_tracked(move["product"]),
            )
            for move in sorted(row["inputs"], key=lambda move: (code_of(move["product"]), move["id"]))
        ),
        reference=row["reference"] or "",
        external_id=f"production,{row['id']}",
        cost=str(decimal_of(row["cost"])),
        lot_tracked=_lot_tracked(row["product"]),
    )


def _lot_tracked(product: Row) -> bool:
    """Whether Tryton demands a lot where the product goes into production or comes out of it."""
    return bool({"storage", "production"} & set(product.get("lot_required") or ()))


def inbound(wire: Wire, plant: Plant) -> list[MaterialExpected]:
    """What suppliers have promised and not yet brought."""
    domain = [["from_location.type", "=", "supplier"], ["state", "=", "draft"]]
    rows = wire.search("stock.move", domain, ["product.code", "quantity", "unit.symbol", "planned_date", "origin"])
    return [
        MaterialExpected(
            path=beside(plant.path, "inbound", str(row["id"])),
            time_ns=0,
            material=code_of(row["product"]),
            quantity=text_of(row["quantity"]),
            unit=row["unit"]["symbol"],
            due_ns=end_of(row["planned_date"], plant.zone),
            origin=str(row["origin"] or ""),
        )
        for row in rows
    ]


def stock(wire: Wire, plant: Plant) -> list[MaterialStocked]:
    """How much of each product lies in the stores of all warehouses."""
    stores = wire.search("stock.location", [["type", "=", "warehouse"]], ["storage_location.id"])
    places = [row["storage_location"]["id"] for row in stores]
    domain = [["type", "=", "goods"]]
    fields = ["code", "quantity", "default_uom.symbol"]
    rows = wire.search("product.product", domain, fields, {"locations": places, "with_childs": True})
    return [
        MaterialStocked(
            path=beside(plant.path, "material", row["code"]),
            time_ns=0,
            material=row["code"],
            quantity=text_of(row["quantity"]),
            unit=row["default_uom"]["symbol"],
        )
        for row in rows
        if row["code"]
    ]


def _deep(row: Row, path: str) -> int | None:
    found: Any = row
    for part in path.split("."):
        found = (found or {}).get(part)
    return found if isinstance(found, int) else None


def _moves(row: Row) -> list[Row]:
    return [*row["inputs"], *row["outputs"]]
