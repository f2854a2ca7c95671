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

import base64
from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from datetime import time as clock
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from isthmus.enterprise.config import ErpSection, Secret, secret
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
)
from isthmus.enterprise.rest import Reply, Rest
from isthmus.model.equipment import beside
from isthmus.model.errors import ErpAway, ErpRefuses
from isthmus.model.plant import Plant
from isthmus.model.records.business import Component, JobOrdered, MaterialExpected, MaterialStocked, Step
from isthmus.model.time import from_datetime

Row = dict[str, Any]

_STATES: Final[dict[str, Literal["planned", "released", "running", "finished", "cancelled"]]] = {
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
    "inputs.last_modified_at",
    "outputs.last_modified_at",
]
_BOOKED: Final = [
    "number",
    "state",
    "cost",
    "product.id",
    "product.code",
    "unit.id",
    "location.id",
    "company.id",
    "warehouse.waste_locations.name",
    "outputs.quantity",
    "outputs.state",
    "outputs.product.id",
    "outputs.to_location.id",
    "outputs.unit_price",
    "outputs.lot.number",
    "outputs.create_uid.login",
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
_TOUCHED: Final = (
    ("production", "id"),
    ("production.work", "production.id"),
    ("production.work.cycle", "work.production.id"),
    ("stock.move", "production_input.id"),
    ("stock.move", "production_output.id"),
)
_OVERLAP: Final = timedelta(seconds=10)
"""A change is stamped when it begins and seen when it is committed, so each look goes back a little."""
_HTTP_REFUSED: Final = 400
_HTTP_NO_KEY: Final = (401, 403)


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
        self._rest: Rest | None = None
        self._context = ""

    def capabilities(self) -> Capabilities:
        """All kinds and all commands; what is finished is never lowered."""
        return Capabilities(
            pulls=("orders", "inbound", "stock"), commands=("start", "time", "quantity", "lot", "finish")
        )

    def close(self) -> None:
        """Leave no connection behind."""
        if self._rest is not None:
            self._rest.close()
            self._rest = None

    def pull(self, kind: PullKind, cursor: str) -> Pulled:
        """Orders by what changed since the cursor; inbound material and stock whole each time."""
        self._begin()
        if kind == "orders":
            return self._orders(cursor)
        return Pulled(self._inbound() if kind == "inbound" else self._stock(), "")

    def find(self, command: AnyCommand) -> Receipt | None:
        """Look whether Tryton has it; certain while nobody else writes under our user."""
        self._begin()
        return self._find(command, self._order(command.order))

    def push(self, command: AnyCommand) -> Receipt:
        """Look whether Tryton has it, and tell it if not."""
        self._begin()
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
        return self._finish(order)

    def booked(self, order: str) -> OrderBooked | None:
        """What Tryton has of an order, or None when it has no such order."""
        self._begin()
        found = self._search("production", [["number", "=", order]], _BOOKED)
        if not found:
            return None
        row = found[0]
        good, scrap = self._good(row), self._scrap(row)
        cycles = [cycle for work in row["works"] for cycle in self._cycles(work) if cycle["state"] == "done"]
        prices = {str(_decimal(move["unit_price"])) for move in good if move.get("unit_price")}
        return OrderBooked(
            order=order,
            state=_STATES[row["state"]],
            good=sum(move["quantity"] for move in good),
            scrap=sum(move["quantity"] for move in scrap),
            seconds=sum(_seconds(cycle) for cycle in cycles),
            reports=len(cycles),
            time_cost=str(sum((_decimal(cycle["cost"]) for cycle in cycles), Decimal(0))),
            cost=str(_decimal(row["cost"])),
            unit_price=prices.pop() if len(prices) == 1 else "",
        )

    # -- reading

    def _orders(self, cursor: str) -> Pulled:
        if cursor:
            moment = _moment(datetime.fromisoformat(cursor) - _OVERLAP)
            changed = ["OR", [["write_date", ">=", moment]], [["create_date", ">=", moment]]]
            ids: set[int] = set()
            for model, field in _TOUCHED:
                ids |= {found for row in self._search(model, changed, [field]) if (found := _deep(row, field))}
            domain: list[Any] = [["id", "in", sorted(ids)]]
            rows = self._search("production", domain, _ORDER) if ids else []
        else:
            rows = self._search("production", [["state", "in", _OPEN]], _ORDER)
        times = [_datetime(part["last_modified_at"]) for row in rows for part in (row, *row["works"], *_moves(row))]
        newest = max((t for t in times if t), default=None)
        after = max(cursor, newest.isoformat(timespec="microseconds")) if newest else cursor
        return Pulled([self._ordered(row) for row in rows if row["number"]], after)

    def _ordered(self, row: Row) -> JobOrdered:
        zone = self._plant.zone
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
            path=beside(self._plant.path, "order", row["number"]),
            time_ns=0,
            order=row["number"],
            product=_code(row["product"]),
            quantity=row["quantity"],
            unit=(row["unit"] or {}).get("symbol", ""),
            state=_STATES[row["state"]],
            due_ns=_end_of(row["planned_date"], zone),
            start_ns=_start_of(row["planned_start_date"], zone),
            steps=tuple(sorted(steps, key=lambda step: (step.sequence, step.operation))),
            materials=tuple(
                Component(
                    material=_code(move["product"]), quantity=_number(move["quantity"]), unit=move["unit"]["symbol"]
                )
                for move in sorted(row["inputs"], key=lambda move: (_code(move["product"]), move["id"]))
            ),
            reference=row["reference"] or "",
            external_id=f"production,{row['id']}",
            cost=str(_decimal(row["cost"])),
        )

    def _inbound(self) -> list[MaterialExpected]:
        domain = [["from_location.type", "=", "supplier"], ["state", "=", "draft"]]
        rows = self._search("stock.move", domain, ["product.code", "quantity", "unit.symbol", "planned_date", "origin"])
        return [
            MaterialExpected(
                path=beside(self._plant.path, "inbound", str(row["id"])),
                time_ns=0,
                material=_code(row["product"]),
                quantity=_number(row["quantity"]),
                unit=row["unit"]["symbol"],
                due_ns=_end_of(row["planned_date"], self._plant.zone),
                origin=str(row["origin"] or ""),
            )
            for row in rows
        ]

    def _stock(self) -> list[MaterialStocked]:
        stores = self._search("stock.location", [["type", "=", "warehouse"]], ["storage_location.id"])
        places = [row["storage_location"]["id"] for row in stores]
        domain = [["type", "=", "goods"]]
        fields = ["code", "quantity", "default_uom.symbol"]
        rows = self._search("product.product", domain, fields, {"locations": places, "with_childs": True})
        return [
            MaterialStocked(
                path=beside(self._plant.path, "material", row["code"]),
                time_ns=0,
                material=row["code"],
                quantity=_number(row["quantity"]),
                unit=row["default_uom"]["symbol"],
            )
            for row in rows
            if row["code"]
        ]

    # -- looking for what was told

    def _find(self, command: AnyCommand, order: Row) -> Receipt | None:
        if isinstance(command, StartOrder):
            return self._receipt(order) if order["state"] in ("running", "done") else None
        if isinstance(command, FinishOrder):
            return self._receipt(order) if order["state"] == "done" else None
        if isinstance(command, ReportTime):
            return self._find_time(command, order)
        if isinstance(command, ReportQuantity):
            good = sum(move["quantity"] for move in self._good(order))
            scrap = sum(move["quantity"] for move in self._scrap(order))
            running = order["state"] in ("running", "done")
            return self._receipt(order) if running and (good, scrap) == (command.good, command.scrap) else None
        moves = _carrying(order, command)
        has = moves and all((move["lot"] or {}).get("number") == command.lot for move in moves)
        return Receipt(reference=f"stock.lot,{moves[0]['lot']['id']}") if has else None

    def _find_time(self, command: ReportTime, order: Row) -> Receipt | None:
        work = _work(order, command)
        done = sorted((c for c in self._cycles(work) if c["state"] == "done"), key=lambda cycle: cycle["id"])
        if len(done) < command.number:
            return None
        cycle = done[command.number - 1]
        if abs(_seconds(cycle) - command.seconds) > 0.001:  # noqa: PLR2004  a thousandth is what we send
            msg = (
                f"report {command.number} of order {command.order}, step {command.sequence} {command.operation}, "
                f"stands in Tryton with {_seconds(cycle):g} s (cycle {cycle['id']}), not with {command.seconds:g} s; "
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
        self._act("production", order["id"], "run", f"start order {number}")
        return self._settled(order, ("running", "done"), "start")

    def _reserved(self, order: Row) -> Row:
        """The order with its material reserved in stock."""
        number = order["number"]
        if order["state"] == "waiting":
            self._act("production", order["id"], "assign_try", f"reserve the material of order {number}")
            order = self._order(number)
        if order["state"] == "waiting":
            lacks = ", ".join(
                f"{_number(move['quantity'])} {move['unit']['symbol']} {_code(move['product'])}"
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
            self._write("production.work", work["id"], {"work_center": centre}, what)
        left_open = [cycle for cycle in self._cycles(work) if cycle["state"] in ("draft", "running")]
        for stray in left_open[1:]:
            self._act("production.work.cycle", stray["id"], "cancel", what)
        if left_open:
            cycle = left_open[0]
        else:
            made = self._create("production.work.cycle", {"work": work["id"]}, what)
            cycle = {"id": made["id"], "state": "draft"}
        # What an earlier try has done already is not done again, so that tries on a bad line get on.
        if cycle["state"] == "draft":
            self._act("production.work.cycle", cycle["id"], "run", what)
        if not cycle.get("duration") or _seconds(cycle) != command.seconds:
            # Only a running cycle takes a duration; without one Tryton would book the time until now.
            duration = {"__class__": "timedelta", "seconds": command.seconds}
            self._write("production.work.cycle", cycle["id"], {"duration": duration}, what)
        self._act("production.work.cycle", cycle["id"], "do", what)
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
            msg = f"order {command.order} has no output of {_code(order['product'])} in Tryton"
            raise ErpRefuses(msg)
        first = command.good - sum(move["quantity"] for move in good[1:])
        self._write("stock.move", good[0]["id"], {"quantity": first}, what)
        for stray in scrap[1:]:
            self._delete("stock.move", stray["id"], what)
        if scrap:
            self._write("stock.move", scrap[0]["id"], {"quantity": command.scrap}, what)
        elif command.scrap:
            self._create("stock.move", self._scrap_move(order, command.scrap, good[0]), what)
        return self._receipt(order)

    def _scrap_move(self, order: Row, quantity: float, good: Row) -> Row:
        # Without price and currency: with them Tryton refuses the move.
        return {
            "production_output": order["id"],
            "product": order["product"]["id"],
            "quantity": quantity,
            "unit": order["unit"]["id"],
            "from_location": order["location"]["id"],
            "to_location": self._scrap_location(order),
            "company": order["company"]["id"],
            **({"lot": good["lot"]["id"]} if good["lot"] else {}),
        }

    def _lot(self, command: ReportLot, order: Row) -> Receipt:
        what = f"book lot {command.lot} of {command.material} on order {command.order}"
        moves = _carrying(order, command)
        if not moves:
            msg = f"order {command.order} has no {command.material} in Tryton; lot {command.lot} cannot be booked"
            raise ErpRefuses(msg)
        if command.direction == "in":
            # A reservation looks for stock of the move's own lot, so the lot is written behind it.
            moves = _carrying(self._reserved(order), command)
        taken = {(move["lot"] or {}).get("number") for move in moves} - {None, command.lot}
        if taken or any(move["state"] in ("done", "cancelled") for move in moves):
            held = f"carries lot {', '.join(sorted(map(str, taken)))}" if taken else "is already booked"
            msg = (
                f"{command.material} of order {command.order} {held} in Tryton; lot {command.lot} must be booked there"
            )
            raise ErpRefuses(msg)
        product = self._one("product.product", command.material, "product", "the material", field="code")
        known = self._search("stock.lot", [["product", "=", product], ["number", "=", command.lot]], ["number"])
        lot = known[0] if known else self._create("stock.lot", {"product": product, "number": command.lot}, what)
        for move in moves:
            self._write("stock.move", move["id"], {"lot": lot["id"]}, what)
        return Receipt(reference=f"stock.lot,{lot['id']}")

    def _finish(self, order: Row) -> Receipt:
        self._must_run(order)
        what = f"finish order {order['number']}"
        for work in order["works"]:
            for cycle in self._cycles(work):
                if cycle["state"] in ("draft", "running"):
                    self._act("production.work.cycle", cycle["id"], "cancel", what)
        self._act("production", order["id"], "do", what)
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
        found = self._search("production", [["number", "=", number]], _BOOKED)
        if not found:
            msg = f"Tryton has no order {number}; see the number typed at the machine"
            raise ErpRefuses(msg)
        return found[0]

    def _good(self, order: Row) -> list[Row]:
        waste = {place["id"] for place in (order["warehouse"] or {}).get("waste_locations", ())}
        own = [move for move in order["outputs"] if move["product"]["id"] == order["product"]["id"]]
        good = [move for move in own if move["to_location"]["id"] not in waste and move["state"] != "cancelled"]
        return sorted(good, key=lambda move: int(move["id"]))

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
        found = self._search(model, [[field, "=", name]], [field])
        if len(found) != 1:
            msg = f"Tryton has {len(found) or 'no'} {thing} called {name}; see {where} in the plant file"
            raise ErpRefuses(msg)
        return int(found[0]["id"])

    # -- the wire

    def _begin(self) -> None:
        if self._rest is None:
            key = secret(self._section.key, "key")
            url = f"{self._section.url.rstrip('/')}/{self._section.database}/rest/model/"
            self._rest = Rest(url, {"Authorization": f"Bearer {key}"}, self._section.deadline_s)
        self._rest.begin()

    def _search(self, model: str, domain: Sequence[Any], fields: Sequence[str], more: Row | None = None) -> list[Row]:
        query = [("d", _b64(domain)), *(("f", field) for field in fields)]
        headers = {"X-Tryton-Context": _b64(more)} if more else None
        reply = self._call("GET", model, query=query, headers=headers)
        return list(self._must(reply, f"read {model}"))

    def _create(self, model: str, values: Row, what: str) -> Row:
        return dict(self._must(self._call("POST", model, json=values, headers=self._as_us()), what))

    def _write(self, model: str, row: int, values: Row, what: str) -> None:
        self._must(self._call("PUT", f"{model}/{row}", json=values, headers=self._as_us()), what)

    def _delete(self, model: str, row: int, what: str) -> None:
        self._must(self._call("DELETE", f"{model}/{row}", headers=self._as_us()), what)

    def _act(self, model: str, row: int, action: str, what: str) -> None:
        self._must(self._call("POST", f"{model}/{row}/{action}", json={}, headers=self._as_us()), what)

    def _as_us(self) -> dict[str, str]:
        if not self._context:
            fields = ["company.id", "employee.id"]
            found = self._search("res.user", [["login", "=", self._section.user]], fields)
            if not found or not found[0]["company"]:
                msg = f"Tryton's user {self._section.user} has no company; give it one and an employee there"
                raise ErpAway(msg)
            user = found[0]
            self._context = _b64(
                {"company": user["company"]["id"], "employee": (user["employee"] or {}).get("id")},
            )
        return {"X-Tryton-Context": self._context}

    def _call(self, method: str, path: str, **more: Any) -> Reply:  # noqa: ANN401  handed on as it is
        assert self._rest is not None  # noqa: S101  every public verb begins first
        return self._rest.call(method, path, **more)

    def _must(self, reply: Reply, what: str) -> Any:  # noqa: ANN401  a row, rows or nothing
        if reply.status < _HTTP_REFUSED:
            return reply.body
        place = f"{self._section.url} database {self._section.database}"
        if reply.status in _HTTP_NO_KEY:
            msg = (
                f"Tryton at {place} does not take the key of [erp]; "
                f"make an application key for REST under the user {self._section.user} and give it as `key`"
            )
            raise ErpAway(msg)
        if reply.status == _HTTP_REFUSED and isinstance(reply.body, dict):
            said = " ".join(str(reply.body.get(part) or "") for part in ("message", "description")).strip(" -")
            msg = f"Tryton would not {what}: {said}"
            raise ErpRefuses(msg)
        msg = f"Tryton at {place} failed with HTTP {reply.status} when asked to {what}; see its log"
        raise ErpAway(msg)


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


def _carrying(order: Row, command: ReportLot) -> list[Row]:
    if command.direction == "in":
        return [move for move in order["inputs"] if _code(move["product"]) == command.material]
    own = _code(order["product"]) == command.material
    return [move for move in order["outputs"] if own and move["product"]["id"] == order["product"]["id"]]


def _moves(row: Row) -> list[Row]:
    return [*row["inputs"], *row["outputs"]]


def _code(product: Row) -> str:
    return str(product.get("code") or f"product,{product['id']}")


def _deep(row: Row, path: str) -> int | None:
    found: Any = row
    for part in path.split("."):
        found = (found or {}).get(part)
    return found if isinstance(found, int) else None


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()


def _decimal(value: Row | None) -> Decimal:
    return Decimal(value["decimal"]) if value else Decimal(0)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _seconds(cycle: Row) -> float:
    return float((cycle["duration"] or {}).get("seconds", 0.0))


def _datetime(value: Row | None) -> datetime | None:
    if not value:
        return None
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return datetime(*(value[part] for part in parts))  # noqa: DTZ001  Tryton's own clock, only compared with itself


def _moment(value: datetime) -> Row:
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}


def _start_of(value: Row | None, zone: tzinfo) -> int | None:
    if not value:
        return None
    day = date(value["year"], value["month"], value["day"])
    return from_datetime(datetime.combine(day, clock.min, tzinfo=zone))


def _end_of(value: Row | None, zone: tzinfo) -> int | None:
    """The day's last second, so that a page shows the very day that the planner wrote."""
    if not value:
        return None
    day = date(value["year"], value["month"], value["day"])
    return from_datetime(datetime.combine(day, clock(23, 59, 59), tzinfo=zone))
