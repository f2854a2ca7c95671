"""Tryton 8.2 by its REST door, as a user of its own with an application key.

What shapes this file:

* Tryton stores no key of ours, and a lost reply leaves the write done. The gateway is therefore the
  only writer under its user, each command is first looked for, and a report of time is told by its
  number: the n-th finished cycle of our user on that step is the n-th report.
* A cycle takes four calls (create, run, duration, do). What an earlier try left open is gone on with;
  two left open mean a call that arrived late, and one is cancelled: open cycles block the finish.
* A finished cycle cannot be changed; a step's machine counts at the moment a cycle is finished.
* Releasing an order again makes new steps with new ids, so steps are known by sequence and operation.
* Writing to a step, a cycle or a move does not touch the order, so changes are looked for in all four.
* Dates are days, without a zone: they are days of the plant.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta

from isthmus.enterprise.config import ErpSection, Secret
from isthmus.enterprise.erp import (
    AnyCommand,
    Capabilities,
    Erp,
    FinishOrder,
    OrderBooked,
    Pulled,
    PullKind,
    Receipt,
    ReportLot,
    ReportQuantity,
    ReportTime,
    StartOrder,
    TakeBackStart,
)
from isthmus.enterprise.erps.tryton import moves
from isthmus.enterprise.erps.tryton.reading import STATES, inbound, orders, stock
from isthmus.enterprise.erps.tryton.wire import Row, Wire, code_of, decimal_of, seconds_of, text_of
from isthmus.model.errors import ErpRefuses
from isthmus.model.plant import Plant

_BOOKED: Final = [
    "number",
    "state",
    "quantity",
    "cost",
    "product.id",
    "product.code",
    "unit.id",
    "location.id",
    "company.id",
    "company.currency.id",
    "warehouse.waste_locations.name",
    "outputs.quantity",
    "outputs.state",
    "outputs.product.id",
    "outputs.to_location.id",
    "outputs.unit_price",
    "outputs.lot.number",
    "outputs.create_uid.login",
    "outputs.write_uid.login",
    "inputs.product.code",
    "inputs.quantity",
    "inputs.unit.symbol",
    "inputs.state",
    "inputs.lot.number",
    "works.sequence",
    "works.operation.name",
    "works.work_center.name",
    "works.state",
    "works.cycles.state",
    "works.cycles.duration",
    "works.cycles.cost",
    "works.cycles.create_uid.login",
]


class TrytonSection(ErpSection, frozen=True, kw_only=True, tag="tryton"):
    """`[erp]` with `kind = "tryton"`: Tryton 8.2 by REST, over a user application key.

    The user needs the groups Production, Stock and Purchase, a company and an employee, and writes
    for Isthmus alone: what it wrote is how a report is found again.
    """

    url: Annotated[str, Meta(pattern="^https?://", description="where Tryton answers: https://erp.example:8000")]
    database: Annotated[str, Meta(description="name of Tryton's database")]
    user: Annotated[str, Meta(description="log-in of the user that writes for Isthmus, and for nobody else")]
    key: Annotated[Secret, Meta(description="its application key for REST: env:NAME or file:path")]
    scrap_location: Annotated[
        str,
        Meta(description="name of the location that scrap goes to; none takes the warehouse's first waste location"),
    ] = ""

    def open(self, plant: Plant) -> Erp:
        """The door to it. Nothing is sent yet."""
        return Tryton(self, plant)


class Tryton:
    """One Tryton database."""

    def __init__(self, section: TrytonSection, plant: Plant) -> None:
        self._section = section
        self._plant = plant
        self._wire = Wire(section.url, section.database, section.user, section.key, section.deadline_s)

    def capabilities(self) -> Capabilities:
        """All kinds and all commands; what is finished is never lowered."""
        return Capabilities(
            pulls=("orders", "inbound", "stock"),
            whole=("inbound", "stock"),
            commands=("start", "time", "quantity", "lot", "finish"),
        )

    def close(self) -> None:
        """Leave no connection behind."""
        self._wire.close()

    def pull(self, kind: PullKind, cursor: str) -> Pulled:
        """Orders by what changed since the cursor; inbound material and stock whole each time."""
        self._wire.begin()
        if kind == "orders":
            return orders(self._wire, self._plant, cursor)
        return Pulled((inbound if kind == "inbound" else stock)(self._wire, self._plant), "")

    def find(self, command: AnyCommand) -> Receipt | None:
        """Look whether Tryton has it; certain while nobody else writes under our user."""
        self._wire.begin()
        return self._find(command, self._order(command.order))

    def push(self, command: AnyCommand) -> Receipt:
        """Look whether Tryton has it, and tell it if not."""
        self._wire.begin()
        order = self._order(command.order)
        found = self._find(command, order)
        if found is not None:
            return found
        if isinstance(command, StartOrder):
            return self._start(order)
        if isinstance(command, ReportTime):
            return self._time(command, order)
        if isinstance(command, ReportQuantity):
            return self._quantity(command, order)
        if isinstance(command, ReportLot):
            return self._lot(command, order)
        if isinstance(command, TakeBackStart):
            msg = f"Tryton cannot take back the start of order {command.order}; set it back there by hand"
            raise ErpRefuses(msg)
        return self._finish(order)

    def booked(self, order: str) -> OrderBooked | None:
        """What Tryton has of an order, or None when it has no such order."""
        self._wire.begin()
        found = self._wire.search("production", [["number", "=", order]], _BOOKED)
        if not found:
            return None
        row = found[0]
        good, scrap = self._good(row), self._scrap(row)
        cycles = [cycle for work in row["works"] for cycle in self._cycles(work) if cycle["state"] == "done"]
        prices = {str(decimal_of(move["unit_price"])) for move in good if move.get("unit_price")}
        return OrderBooked(
            order=order,
            state=STATES[row["state"]],
            # Until a quantity is reported the move holds what was planned, and nothing of it is made.
            good=sum(move["quantity"] for move in good) if self._reported(row) else 0,
            scrap=sum(move["quantity"] for move in scrap),
            seconds=sum(seconds_of(cycle) for cycle in cycles),
            reports=len(cycles),
            time_cost=str(sum((decimal_of(cycle["cost"]) for cycle in cycles), Decimal(0))),
            cost=str(decimal_of(row["cost"])),
            unit_price=prices.pop() if len(prices) == 1 else "",
        )

    # -- looking for what was told

    def _find(self, command: AnyCommand, order: Row) -> Receipt | None:
        if isinstance(command, TakeBackStart):
            return None
        if isinstance(command, StartOrder):
            return self._receipt(order) if order["state"] in ("running", "done") else None
        if isinstance(command, FinishOrder):
            return self._receipt(order) if order["state"] == "done" else None
        if isinstance(command, ReportTime):
            return self._find_time(command, order)
        if isinstance(command, ReportQuantity):
            same = moves.hold(command, self._good(order), self._scrap(order))
            return self._receipt(order) if same and order["state"] in ("running", "done") else None
        carrying = moves.carrying(order, command)
        has = carrying and all(moves.lot_of(move) == command.lot for move in carrying)
        return Receipt(reference=f"stock.lot,{carrying[0]['lot']['id']}") if has else None

    def _find_time(self, command: ReportTime, order: Row) -> Receipt | None:
        work = _work(order, command)
        done = sorted((c for c in self._cycles(work) if c["state"] == "done"), key=lambda cycle: cycle["id"])
        if len(done) < command.number:
            return None
        cycle = done[command.number - 1]
        if abs(seconds_of(cycle) - command.seconds) > 0.001:  # noqa: PLR2004  a thousandth is what we send
            msg = (
                f"report {command.number} of order {command.order}, step {command.sequence} {command.operation}, "
                f"stands in Tryton with {seconds_of(cycle):g} s (cycle {cycle['id']}), not with {command.seconds:g} s; "
                f"see who else writes as {self._section.user}"
            )
            raise ErpRefuses(msg)
        return Receipt(reference=f"production.work.cycle,{cycle['id']}")

    # -- telling

    def _start(self, order: Row) -> Receipt:
        number = order["number"]
        if order["state"] in ("request", "draft", "cancelled"):
            msg = f"order {number} is not released in Tryton ({order['state']}); release it there and send again"
            raise ErpRefuses(msg)
        order = self._reserved(order)
        self._wire.act("production", order["id"], "run", f"start order {number}")
        return self._settled(order, ("running", "done"), "start")

    def _reserved(self, order: Row) -> Row:
        """The order with its material reserved in stock."""
        number = order["number"]
        if order["state"] == "waiting":
            self._wire.act("production", order["id"], "assign_try", f"reserve the material of order {number}")
            order = self._order(number)
        if order["state"] == "waiting":
            lacks = ", ".join(
                f"{text_of(move['quantity'])} {move['unit']['symbol']} {code_of(move['product'])}"
                for move in order["inputs"]
                if move["state"] == "draft"
            )
            msg = f"order {number} lacks material in Tryton's stock: {lacks}; book it in and send again"
            raise ErpRefuses(msg)
        return order

    def _time(self, command: ReportTime, order: Row) -> Receipt:
        self._must_run(order)
        work = _work(order, command)
        what = f"book time on order {command.order}, step {command.sequence} {command.operation}"
        if command.work_centre and (work["work_center"] or {}).get("name") != command.work_centre:
            centre = self._one("production.work.center", command.work_centre, "work centre", "erp_work_centre")
            self._wire.write("production.work", work["id"], {"work_center": centre}, what)
        left_open = [cycle for cycle in self._cycles(work) if cycle["state"] in ("draft", "running")]
        for stray in left_open[1:]:
            self._wire.act("production.work.cycle", stray["id"], "cancel", what)
        if left_open:
            cycle = left_open[0]
        else:
            made = self._wire.create("production.work.cycle", {"work": work["id"]}, what)
            cycle = {"id": made["id"], "state": "draft"}
        # What an earlier try has done already is not done again, so that tries on a bad line get on.
        if cycle["state"] == "draft":
            self._wire.act("production.work.cycle", cycle["id"], "run", what)
        if not cycle.get("duration") or seconds_of(cycle) != command.seconds:
            # Only a running cycle takes a duration; without one Tryton would book the time until now.
            duration = {"__class__": "timedelta", "seconds": command.seconds}
            self._wire.write("production.work.cycle", cycle["id"], {"duration": duration}, what)
        self._wire.act("production.work.cycle", cycle["id"], "do", what)
        return Receipt(reference=f"production.work.cycle,{cycle['id']}")

    def _quantity(self, command: ReportQuantity, order: Row) -> Receipt:
        what = f"book {command.good:g} good and {command.scrap:g} scrapped on order {command.order}"
        good, scrap = self._good(order), self._scrap(order)
        if order["state"] == "done":
            msg = (
                f"order {command.order} is finished in Tryton with {sum(m['quantity'] for m in good):g} good and "
                f"{sum(m['quantity'] for m in scrap):g} scrapped; {command.good:g} and {command.scrap:g} cannot be "
                "booked any more: correct the stock there, then drop this report"
            )
            raise ErpRefuses(msg)
        self._must_run(order)
        if not good:
            msg = f"order {command.order} has no output of {code_of(order['product'])} in Tryton"
            raise ErpRefuses(msg)
        if command.lots:
            self._by_lot(command, order, good, scrap, what)
            return self._receipt(order)
        first = command.good - sum(move["quantity"] for move in good[1:])
        self._wire.write("stock.move", good[0]["id"], {"quantity": first}, what)
        for stray in scrap[1:]:
            self._wire.delete("stock.move", stray["id"], what)
        if scrap:
            self._wire.write("stock.move", scrap[0]["id"], {"quantity": command.scrap}, what)
        elif command.scrap:
            lot = good[0]["lot"]["id"] if good[0]["lot"] else None
            self._wire.create(
                "stock.move", moves.scrapped(order, self._scrap_location(order), command.scrap, lot), what
            )
        return self._receipt(order)

    def _by_lot(self, command: ReportQuantity, order: Row, good: list[Row], scrap: list[Row], what: str) -> None:
        """One move for the good and one for the scrapped pieces of each lot."""
        lots = {one.lot: self._lot_id(order["product"], one.lot, what) for one in command.lots}
        plan = moves.plan(good, {one.lot: one.good for one in command.lots})
        by_hand = [move for move in plan.left if not self._by_us(move)]
        if by_hand:
            msg = (
                f"order {command.order} has {len(good)} moves of {code_of(order['product'])} in Tryton, not all of them "
                f"ours; the quantities of lots {', '.join(filter(None, lots))} must be booked there"
            )
            raise ErpRefuses(msg)
        for move, lot, quantity in plan.write:
            self._wire.write("stock.move", move["id"], {"quantity": quantity, "lot": lots[lot]}, what)
        for lot, quantity in plan.create:
            self._wire.create("stock.move", moves.made(order, good[0], quantity, lots[lot]), what)
        spoilt = moves.plan(scrap, {one.lot: one.scrap for one in command.lots if one.scrap})
        for move, lot, quantity in spoilt.write:
            self._wire.write("stock.move", move["id"], {"quantity": quantity, "lot": lots[lot]}, what)
        for lot, quantity in spoilt.create:
            place = self._scrap_location(order)
            self._wire.create("stock.move", moves.scrapped(order, place, quantity, lots[lot]), what)
        for move in [*plan.left, *spoilt.left]:
            self._wire.delete("stock.move", move["id"], what)

    def _lot(self, command: ReportLot, order: Row) -> Receipt:
        what = f"book lot {command.lot} of {command.material} on order {command.order}"
        carrying = moves.carrying(order, command)
        if not carrying:
            msg = f"order {command.order} has no {command.material} in Tryton; lot {command.lot} cannot be booked"
            raise ErpRefuses(msg)
        if command.direction == "in":
            # A reservation looks for stock of the move's own lot, so the lot is written behind it.
            carrying = moves.carrying(self._reserved(order), command)
        taken = {(move["lot"] or {}).get("number") for move in carrying} - {None, command.lot}
        if taken or any(move["state"] in ("done", "cancelled") for move in carrying):
            held = f"carries lot {', '.join(sorted(map(str, taken)))}" if taken else "is already booked"
            msg = (
                f"{command.material} of order {command.order} {held} in Tryton; lot {command.lot} must be booked there"
            )
            raise ErpRefuses(msg)
        product = self._one("product.product", command.material, "product", "the material", field="code")
        lot = self._lot_id({"id": product}, command.lot, what)
        for move in carrying:
            self._wire.write("stock.move", move["id"], {"lot": lot}, what)
        return Receipt(reference=f"stock.lot,{lot}")

    def _lot_id(self, product: Row, number: str, what: str) -> int | None:
        """Tryton's lot of a product by its number, made where it has none; None for no number."""
        if not number:
            return None
        wanted = {"product": product["id"], "number": number}
        known = self._wire.search("stock.lot", [[field, "=", value] for field, value in wanted.items()], ["number"])
        return int((known[0] if known else self._wire.create("stock.lot", wanted, what))["id"])

    def _finish(self, order: Row) -> Receipt:
        self._must_run(order)
        what = f"finish order {order['number']}"
        for work in order["works"]:
            for cycle in self._cycles(work):
                if cycle["state"] in ("draft", "running"):
                    self._wire.act("production.work.cycle", cycle["id"], "cancel", what)
        self._wire.act("production", order["id"], "do", what)
        return self._settled(order, ("done",), "finish")

    def _must_run(self, order: Row) -> None:
        if order["state"] != "running":
            state = "finished" if order["state"] == "done" else f"not running ({order['state']})"
            msg = f"order {order['number']} is {state} in Tryton; nothing can be booked on it"
            raise ErpRefuses(msg)

    def _settled(self, order: Row, states: Sequence[str], verb: str) -> Receipt:
        now = self._order(order["number"])
        if now["state"] not in states:
            # A plan of inspection turns the step into a dialogue that only a person can end.
            msg = (
                f"Tryton did not {verb} order {order['number']} (it is {now['state']}); "
                "an inspection or another question waits there for a person"
            )
            raise ErpRefuses(msg)
        return self._receipt(now)

    def _receipt(self, order: Row) -> Receipt:
        return Receipt(reference=f"production,{order['id']}")

    # -- parts of an order

    def _order(self, number: str) -> Row:
        found = self._wire.search("production", [["number", "=", number]], _BOOKED)
        if not found:
            msg = f"Tryton has no order {number}; see the number typed at the machine"
            raise ErpRefuses(msg)
        return found[0]

    def _good(self, order: Row) -> list[Row]:
        waste = {place["id"] for place in (order["warehouse"] or {}).get("waste_locations", ())}
        own = [move for move in order["outputs"] if move["product"]["id"] == order["product"]["id"]]
        good = [move for move in own if move["to_location"]["id"] not in waste and move["state"] != "cancelled"]
        return sorted(good, key=lambda move: int(move["id"]))

    def _reported(self, order: Row) -> bool:
        """Whether anybody has said how much was made: until then Tryton's move holds what was planned."""
        if order["state"] != "running":
            return bool(order["state"] == "done")
        good = self._good(order)
        ours = any((move["write_uid"] or {}).get("login") == self._section.user for move in good)
        return ours or sum(move["quantity"] for move in good) != order["quantity"]

    def _scrap(self, order: Row) -> list[Row]:
        good = {move["id"] for move in self._good(order)}
        ours = [
            move
            for move in order["outputs"]
            if move["id"] not in good and move["state"] != "cancelled" and self._by_us(move)
        ]
        return sorted(ours, key=lambda move: int(move["id"]))

    def _cycles(self, work: Row) -> list[Row]:
        return [cycle for cycle in work["cycles"] if self._by_us(cycle)]

    def _by_us(self, row: Row) -> bool:
        return bool((row["create_uid"] or {}).get("login") == self._section.user)

    def _scrap_location(self, order: Row) -> int:
        places = (order["warehouse"] or {}).get("waste_locations", ())
        wanted = self._section.scrap_location
        for place in places:
            if not wanted or place["name"] == wanted:
                return int(place["id"])
        msg = (
            f"Tryton's warehouse has no waste location{f' called {wanted}' if wanted else ''}; "
            "add one to the warehouse there, then send again"
        )
        raise ErpRefuses(msg)

    def _one(self, model: str, name: str, thing: str, where: str, field: str = "name") -> int:
        found = self._wire.search(model, [[field, "=", name]], [field])
        if len(found) != 1:
            msg = f"Tryton has {len(found) or 'no'} {thing} called {name}; see {where} in the plant file"
            raise ErpRefuses(msg)
        return int(found[0]["id"])


def _work(order: Row, command: ReportTime) -> Row:
    """The step that a report of time is about, by sequence and operation."""
    fits = [
        work
        for work in order["works"]
        if (not command.sequence or work["sequence"] == command.sequence)
        and (not command.operation or work["operation"]["name"] == command.operation)
    ]
    if len(fits) == 1:
        return dict(fits[0])
    steps = ", ".join(f"{work['sequence'] or 0} {work['operation']['name']}" for work in order["works"]) or "none"
    wanted = f"{command.sequence or ''} {command.operation}".strip() or "without a name"
    msg = f"order {command.order} has no single step {wanted} in Tryton; its steps are: {steps}"
    raise ErpRefuses(msg)
