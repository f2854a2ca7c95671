"""Orders with their progress by operation, and every report to the business system as it stands."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import msgspec

from isthmus.model.equipment import named
from isthmus.model.records.business import ErpDiffers, Step
from isthmus.model.records.production import RunEnded
from isthmus.web.figures.lots import LotOfOrder, of_orders
from isthmus.web.house import House

WAITING = ("pending", "sending", "unknown")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one operation of an order, over all its runs."""

    sequence: int
    operation: str
    good: float
    scrap: float
    rework: float
    machines: tuple[str, ...]
    running: tuple[str, ...]
    """Names of the machines on which it runs now."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report to the business system as it stands."""

    key: str
    order: str
    command: str
    body: str
    state: str
    since_ns: int
    attempts: int
    message: str
    receipt: str
    sequence: int
    decision: str = ""
    """What a person decided since it was parked."""
    decided_by: str = ""
    decided_note: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its progress and its reports."""

    order: str
    product: str
    product_name: str
    quantity: float | None
    """None when the business system told nothing of it: it runs on a machine all the same."""
    unit: str
    state: str
    due_ns: int | None
    cost: str
    good: float
    """Good pieces of the last operation."""
    scrap: float
    """Scrapped pieces of all operations."""
    operations: tuple[Operation, ...]
    reports: tuple[Report, ...]
    lots: tuple[LotOfOrder, ...] = ()
    """What was settled of it by lot, in the order of time."""
    lot_tracked: bool = False
    """True when the business system demands the lot of what is made."""

    @property
    def share(self) -> float | None:
        """How much is made, 0 to 1."""
        return min(1.0, self.good / self.quantity) if self.quantity else None

    @property
    def running(self) -> tuple[str, ...]:
        """Names of the machines on which it runs now."""
        return tuple(name for operation in self.operations for name in operation.running)

    @property
    def parked(self) -> int:
        """Reports that need a person."""
        return sum(1 for report in self.reports if needs_person(report))


def needs_person(report: Report) -> bool:
    """Parked or rejected, and nobody has decided since."""
    return report.state in ("parked", "rejected") and not report.decision


def all_orders(house: House) -> list[Order]:
    """Every order: those that run first, then by what is due first; finished ones last."""
    reports: dict[str, list[Report]] = defaultdict(list)
    for report in all_reports(house):
        reports[report.order].append(report)
    operations, lots = _operations(house), of_orders(house)
    told = {row["order_no"]: dict(row) for row in house.site.views.query("SELECT * FROM orders")}
    numbers = told.keys() | operations.keys() | reports.keys()
    orders = [
        msgspec.structs.replace(
            _order(house, number, told.get(number), operations.get(number, []), reports.get(number, [])),
            lots=tuple(lots.get(number, ())),
        )
        for number in numbers
    ]
    far = 1 << 63
    return sorted(
        orders,
        key=lambda one: (one.state in ("finished", "cancelled"), not one.running, one.due_ns or far, one.order),
    )


class Known(NamedTuple):
    """The orders that can be meant."""

    numbers: list[str]
    """Open ones first."""
    told: bool
    """Whether the business system has told of any."""


def known(house: House) -> Known:
    """Every order that the business system told of or that ran on a machine."""
    rows = house.site.views.query(
        "SELECT order_no, state IN ('finished', 'cancelled') AS over FROM orders ORDER BY over, order_no"
    )
    ran = house.site.views.query("SELECT DISTINCT order_no FROM runs_started ORDER BY order_no")
    numbers = dict.fromkeys(row["order_no"] for row in (*rows, *ran) if row["order_no"])
    return Known(list(numbers), bool(rows))


def all_reports(house: House) -> list[Report]:
    """Every report, in its order's line."""
    rows = house.site.views.query(
        "SELECT erp.*, said.decision, said.note, said.by FROM erp LEFT JOIN erp_decided AS said "
        "ON said.path = erp.path AND said.time_ns >= erp.time_ns ORDER BY erp.order_no, erp.sequence, erp.time_ns"
    )
    return [
        Report(
            key=named(row["path"], "erp") or row["path"],
            order=row["order_no"],
            command=row["command"],
            body=row["body"],
            state=row["state"],
            since_ns=row["time_ns"],
            attempts=row["attempts"],
            message=row["message"],
            receipt=row["receipt"],
            sequence=row["sequence"],
            decision=row["decision"] or "",
            decided_by=row["by"] or "",
            decided_note=row["note"] or "",
        )
        for row in rows
    ]


def differs(house: House) -> list[ErpDiffers]:
    """Where the ERP's own figure of an order is not what it confirmed to us, by order."""
    rows = house.site.views.query(
        "SELECT body FROM facts WHERE kind = 'ErpDiffers' AND gone = 0 ORDER BY path, ordinal"
    )
    return [msgspec.json.decode(row["body"], type=ErpDiffers) for row in rows]


def erp_link(house: House) -> tuple[bool | None, str, int | None]:
    """Whether the business system answers (None while nothing is known), why not, and since when."""
    rows = house.site.views.query("SELECT up, cause, time_ns FROM erp_link")
    return (bool(rows[0]["up"]), rows[0]["cause"], rows[0]["time_ns"]) if rows else (None, "", None)


def _order(
    house: House, number: str, row: dict[str, Any] | None, operations: list[Operation], reports: list[Report]
) -> Order:
    steps = msgspec.json.decode(row["steps"], type=list[Step]) if row else []
    last = max((step.sequence for step in steps), default=max((one.sequence for one in operations), default=0))
    # A run that names no step stands for the only one there is.
    of_last = [one for one in operations if one.sequence == last or (one.sequence == 0 and len(steps) <= 1)]
    product = row["product"] if row else ""
    known = house.site.plant.products.get(product)
    return Order(
        order=number,
        product=product,
        product_name=known.name if known else "",
        quantity=row["quantity"] if row else None,
        unit=row["unit"] if row else "",
        state=row["state"] if row else "not known to the ERP",
        due_ns=row["due_ns"] if row else None,
        cost=row["cost"] if row else "",
        good=sum(one.good for one in of_last),
        scrap=sum(one.scrap for one in operations),
        operations=tuple(operations),
        reports=tuple(reports),
        lot_tracked=bool(row and row["lot_tracked"]),
    )


def _operations(house: House) -> dict[str, list[Operation]]:
    """What was made of each order by operation; runs in progress count with what they have so far."""
    made: dict[tuple[str, int, str], list[Any]] = defaultdict(lambda: [0.0, 0.0, 0.0, {}, {}])
    machines = house.site.plant.machines
    over: set[tuple[str, int]] = set()
    for row in house.site.views.query("SELECT * FROM runs ORDER BY time_ns, path"):
        cell = made[row["order_no"], row["sequence"], row["operation"]]
        name = machines[row["path"]].name if row["path"] in machines else row["path"]
        cell[3][name] = True
        if row["end_ns"] is None:
            cell[4][name] = True
        else:
            over.add((row["path"], row["time_ns"]))
            cell[:3] = [cell[0] + row["good"], cell[1] + row["scrap"], cell[2] + row["rework"]]
    for path, machine in machines.items():
        for record in house.site.namespace.preview(path, "RunEnded"):
            # A run that has just ended may be previewed for a moment more; it counts once.
            if isinstance(record, RunEnded) and (path, record.start_ns) not in over:
                cell = made[record.order, record.sequence, record.operation]
                cell[3][machine.name] = cell[4][machine.name] = True
                cell[:3] = [cell[0] + record.good, cell[1] + record.scrap, cell[2] + record.rework]
    out: dict[str, list[Operation]] = defaultdict(list)
    for (number, sequence, operation), (good, scrap, rework, names, running) in sorted(made.items()):
        out[number].append(
            Operation(
                sequence=sequence,
                operation=operation,
                good=good,
                scrap=scrap,
                rework=rework,
                machines=tuple(names),
                running=tuple(running),
            )
        )
    return out
