"""Compares what the ERP has of an order with what it confirmed to us, and tells every difference."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec

from isthmus.enterprise.erp import AnyCommand, Erp, OrderBooked, ReportQuantity, ReportTime
from isthmus.enterprise.link import Clock, OfSite
from isthmus.model.equipment import beside
from isthmus.model.records import Record
from isthmus.model.records.business import ErpDiffers
from isthmus.model.time import NS_PER_DAY

What = Literal["good", "scrap", "machine time", "reports", "machine cost"]

_COMMAND: Final[msgspec.json.Decoder[AnyCommand]] = msgspec.json.Decoder(AnyCommand)
_NEAR: Final[dict[What, Decimal]] = {
    "good": Decimal(0),
    "scrap": Decimal(0),
    "machine time": Decimal("0.01"),
    "reports": Decimal(0),
    "machine cost": Decimal("0.01"),
}


class Confirmed(NamedTuple):
    """What the ERP has confirmed of one order. `cost` is None where a machine has no rate here."""

    good: float | None
    scrap: float | None
    seconds: float
    reports: int
    cost: Decimal | None


class Compare:
    """The reconciliation: run daily by the door, or by a person."""

    def __init__(self, site: OfSite, erp: Erp, clock: Clock) -> None:
        self._site = site
        self._erp = erp
        self._clock = clock

    def run(self, days: float = 31) -> int:
        """Compare each order that was reported on in the last `days`; how many figures differ.

        An order with a report on its way is left for the next time. Raises ErpAway.
        """
        rows = self._site.views.query(
            "SELECT order_number FROM outbox_items WHERE gone = 0 GROUP BY order_number HAVING max(time_ns) >= ? "
            "AND sum(state IN ('pending', 'sending', 'unknown')) = 0 AND sum(state = 'confirmed') > 0",
            (self._clock() - int(days * NS_PER_DAY),),
        )
        return sum(self._order(row["order_number"]) for row in rows)

    def _order(self, number: str) -> int:
        booked = self._erp.booked(number)
        if booked is None:
            return 0
        figures = _figures(self._confirmed(number), booked)
        path = beside(self._site.plant.path, "order", number)
        standing = {
            (record.what, record.ours, record.theirs): record
            for record in (
                msgspec.json.decode(row["body"], type=ErpDiffers)
                for row in self._site.views.query(
                    "SELECT body FROM facts WHERE kind = 'ErpDiffers' AND path = ? AND gone = 0", (path,)
                )
            )
        }
        new: list[Record] = [
            ErpDiffers(
                path=path, time_ns=self._clock(), ordinal=place, order=number, what=what, ours=ours, theirs=theirs
            )
            for place, (what, ours, theirs) in enumerate(figures)
            if (what, ours, theirs) not in standing
        ]
        over: list[Record] = [
            msgspec.structs.replace(record, revision=record.revision + 1, gone=True)
            for told, record in standing.items()
            if told not in figures
        ]
        if new or over:
            self._site.append([*over, *new])
        return len(figures)

    def _confirmed(self, number: str) -> Confirmed:
        rows = self._site.views.query(
            "SELECT body FROM outbox_items WHERE order_number = ? AND state = 'confirmed' AND gone = 0 ORDER BY sequence",
            (number,),
        )
        commands = [_COMMAND.decode(row["body"]) for row in rows]
        quantities = [command for command in commands if isinstance(command, ReportQuantity)]
        times = [command for command in commands if isinstance(command, ReportTime)]
        rates = {m.erp_work_centre: m.cost_per_hour for m in self._site.plant.machines.values() if m.erp_work_centre}
        known = all(rates.get(time.work_centre) is not None for time in times)
        return Confirmed(
            good=quantities[-1].good if quantities else None,
            scrap=quantities[-1].scrap if quantities else None,
            seconds=sum(time.seconds for time in times),
            reports=len(times),
            cost=sum((_cost(time, rates[time.work_centre]) for time in times), Decimal(0)) if known else None,
        )


def _cost(time: ReportTime, rate: Decimal | None) -> Decimal:
    return Decimal(str(time.seconds)) / 3600 * (rate or Decimal(0))


def _figures(ours: Confirmed, theirs: OrderBooked) -> list[tuple[What, str, str]]:
    pairs: list[tuple[What, Decimal | float | None, Decimal | float]] = [
        ("good", ours.good, theirs.good),
        ("scrap", ours.scrap, theirs.scrap),
        ("machine time", ours.seconds, theirs.seconds),
        ("reports", ours.reports, theirs.reports),
        ("machine cost", ours.cost, Decimal(theirs.time_cost)),
    ]
    out: list[tuple[What, str, str]] = []
    for what, mine, other in pairs:
        if mine is None:
            continue
        near = _NEAR[what] + Decimal("0.0001") * ours.reports if what == "machine cost" else _NEAR[what]
        if abs(Decimal(str(mine)) - Decimal(str(other))) > near:
            out.append((what, _text(mine), _text(other)))
    return out


def _text(value: Decimal | float) -> str:
    if isinstance(value, Decimal):
        return str(value.quantize(Decimal("0.01")))
    return f"{value:g}" if abs(value) < 1e6 else str(value)  # noqa: PLR2004  beyond it g would round
