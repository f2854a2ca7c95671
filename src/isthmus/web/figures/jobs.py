"""What runs on a machine and how far it is, against the plan that its ideal cycle gives."""

from __future__ import annotations

from typing import Any

import msgspec

from isthmus.model.plant import Machine, Plant
from isthmus.model.records.business import Component
from isthmus.model.records.production import RunEnded
from isthmus.model.time import NS_PER_HOUR, NS_PER_S, Interval, to_datetime
from isthmus.web.figures.shifts import touching
from isthmus.web.house import House


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The run in progress on one machine, and its order."""

    order: str
    product: str
    product_name: str
    operation: str
    since_ns: int
    by: str
    good: float
    """Good pieces of this run so far."""
    scrap: float
    before: float
    """Good pieces of the same operation in runs that are over."""
    quantity: float | None
    """What the order asks for; None where the business system told nothing."""
    due_ns: int | None
    expected: float | None
    """Good pieces that there would be by now at the ideal cycle in planned time; None without an ideal cycle."""

    @property
    def made(self) -> float:
        """Good pieces of the operation in all."""
        return self.before + self.good

    @property
    def share(self) -> float | None:
        """How much of the order is made, 0 to 1."""
        return min(1.0, self.made / self.quantity) if self.quantity else None

    @property
    def share_expected(self) -> float | None:
        """How much of the order would be made by now."""
        if not self.quantity or self.expected is None:
            return None
        return min(1.0, (self.before + self.expected) / self.quantity)


def job_of(house: House, machine: Machine, now_ns: int) -> Job | None:
    """The run in progress, or None."""
    run = open_run(house, machine.path)
    if run is None:
        return None
    live = live_run(house, machine.path, run["order_no"])
    order = order_row(house, run["order_no"])
    product = run["product"] or (order["product"] if order else "")
    known = house.site.plant.products.get(product)
    cycle_s = ideal_cycle_s(house.site.plant, machine, product, now_ns)
    planned_ns = planned_between(house.site.plant, machine, run["time_ns"], now_ns)
    return Job(
        order=run["order_no"],
        product=product,
        product_name=known.name if known else "",
        operation=run["operation"],
        since_ns=run["time_ns"],
        by=run["by"],
        good=live.good if live else counted_since(house, machine.path, run["time_ns"])[0],
        scrap=live.scrap if live else counted_since(house, machine.path, run["time_ns"])[1],
        before=made_before(house, run["order_no"], run["sequence"], run["operation"]),
        quantity=order["quantity"] if order else None,
        due_ns=order["due_ns"] if order else None,
        expected=planned_ns / NS_PER_S / cycle_s if cycle_s else None,
    )


def open_run(house: House, path: str) -> dict[str, Any] | None:
    """The newest run of a machine when it is not over; live facts count before they are logged."""
    rows = house.site.views.query("SELECT * FROM runs WHERE path = ? ORDER BY time_ns DESC LIMIT 1", (path,))
    logged = dict(rows[0]) if rows and rows[0]["end_ns"] is None else None
    for record in house.site.namespace.preview(path, "RunEnded"):
        if isinstance(record, RunEnded) and (not rows or record.start_ns > rows[0]["time_ns"]):
            return {
                "order_no": record.order,
                "product": record.product,
                "operation": record.operation,
                "sequence": record.sequence,
                "time_ns": record.start_ns,
                "by": "",
            }
    return logged


def live_run(house: House, path: str, order: str) -> RunEnded | None:
    """The run in progress as if it ended now."""
    for record in house.site.namespace.preview(path, "RunEnded"):
        if isinstance(record, RunEnded) and record.order == order:
            return record
    return None


def order_row(house: House, order: str) -> dict[str, Any] | None:
    """The order as the business system has it."""
    rows = house.site.views.query("SELECT * FROM orders WHERE order_no = ? ORDER BY time_ns DESC LIMIT 1", (order,))
    return dict(rows[0]) if rows else None


def materials_of(house: House, order: str) -> list[Component]:
    """What the business system says that an order takes in."""
    row = order_row(house, order)
    return msgspec.json.decode(row["materials"], type=list[Component]) if row else []


def made_before(house: House, order: str, sequence: int, operation: str) -> float:
    """Good pieces of one operation of an order in the runs that are over, on any machine."""
    rows = house.site.views.query(
        "SELECT ifnull(sum(good), 0) AS good FROM runs_ended WHERE order_no = ? AND sequence = ? AND operation = ?",
        (order, sequence, operation),
    )
    return float(rows[0]["good"])


def counted_since(house: House, path: str, start_ns: int) -> tuple[float, float]:
    """Good and scrapped pieces that were counted from a moment on."""
    row = house.site.views.query(
        "SELECT ifnull(sum(good), 0) AS good, ifnull(sum(scrap), 0) AS scrap FROM counts WHERE path = ? AND time_ns >= ?",
        (path, start_ns),
    )[0]
    return float(row["good"]), float(row["scrap"])


def ideal_cycle_s(plant: Plant, machine: Machine, product: str, now_ns: int) -> float | None:
    """The ideal seconds a piece: the product's for this machine, for every machine, or the machine's own."""
    known = plant.products.get(product)
    day = to_datetime(now_ns, plant.zone).date()
    below = machine.path.removeprefix(plant.path + "/")
    fits = [
        cycle
        for cycle in (known.cycles if known else ())
        if cycle.machine in (machine.path, below, "*") and (cycle.valid_from is None or cycle.valid_from <= day)
    ]
    if fits:
        best = max(
            fits, key=lambda cycle: (cycle.machine != "*", cycle.valid_from.toordinal() if cycle.valid_from else 0)
        )
        return best.seconds
    return machine.ideal_cycle_s


def planned_between(plant: Plant, machine: Machine, start_ns: int, end_ns: int) -> int:
    """Planned busy time of a machine in a stretch, ns."""
    span = Interval(start_ns, end_ns)
    shifts = touching(plant.calendar_of(machine), plant.zone, start_ns, end_ns // NS_PER_HOUR + 1)
    parts = (stretch.overlap(span) for shift in shifts for stretch in shift.planned)
    return sum(part.length_ns for part in parts if part)
