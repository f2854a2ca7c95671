"""What the tests of the business door share: a small plant, a site of real stores, an ERP on paper."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from isthmus.enterprise.config import ErpSection
from isthmus.enterprise.erp import (
    AnyCommand,
    Capabilities,
    FinishOrder,
    OrderBooked,
    Pulled,
    PullKind,
    Receipt,
    ReportQuantity,
    ReportTime,
)
from isthmus.model.errors import ErpAway
from isthmus.model.plant import KpiPolicy, Machine, Plant
from isthmus.model.records import Record
from isthmus.model.records.business import ErpItem, JobOrdered, Step
from isthmus.model.records.production import RunSettled
from isthmus.model.time import NS_PER_S
from isthmus.site import views as folder_of_views
from isthmus.site.records.database import Database
from isthmus.site.records.records_log import RecordsLog
from isthmus.site.records.views_db import Views

R = TypeVar("R", bound=Record)

PATH = "acme/northgate"
CNC_1, CNC_2, ASM = (f"{PATH}/machining/line-a/{name}" for name in ("cnc-01", "cnc-02", "asm-01"))


def machine(path: str, name: str, rate: str) -> Machine:
    return Machine(path=path, name=name, calendar="always", erp_work_centre=name, cost_per_hour=Decimal(rate))


PLANT = Plant(
    name="Northgate Works",
    path=PATH,
    time_zone="Europe/London",
    currency="GBP",
    calendars={},
    machines={
        CNC_1: machine(CNC_1, "CNC-01", "60"),
        CNC_2: machine(CNC_2, "CNC-02", "55"),
        ASM: machine(ASM, "ASM-01", "30"),
    },
    products={},
    reasons={},
    kpi=KpiPolicy(),
)


class OneSite:
    """Log and views as the site has them, without history."""

    def __init__(self, folder: Path, plant: Plant = PLANT, database: Database | None = None) -> None:
        self.plant = plant
        self.log = RecordsLog(folder / "log")
        self.views = Views(database or folder / "views.sqlite", folder_of_views.found())
        self.views.catch_up(self.log)
        self.before_append: Callable[[Sequence[Record]], None] = lambda _records: None
        self.after_append: Callable[[Sequence[Record]], None] = lambda _records: None

    def append(self, records: Sequence[Record]) -> int:
        self.before_append(records)
        position = self.log.append(records)
        self.views.catch_up(self.log)
        self.after_append(records)
        return position

    def all(self, kind: type[R]) -> list[R]:
        return [record for _, record in self.log.read(0) if isinstance(record, kind)]

    def items(self, order: str) -> list[ErpItem]:
        """The reports of an order, each as it stands now, in the line's order; without what was withdrawn."""
        latest = {item.path: item for item in self.all(ErpItem) if item.order == order}
        return sorted((item for item in latest.values() if not item.gone), key=lambda item: item.sequence)

    def close(self) -> None:
        self.log.close()
        self.views.close()


_clock = itertools.count(1_795_000_000 * NS_PER_S, NS_PER_S)


def now() -> int:
    """A clock that goes on by a second at each look."""
    return next(_clock)


def settled(  # noqa: PLR0913  the fields of a settled part
    order: str,
    path: str,
    sequence: int,
    seconds: float,
    *,
    good: float = 0,
    scrap: float = 0,
    final: bool = False,
    at_ns: int | None = None,
    revision: int = 0,
    gone: bool = False,
) -> RunSettled:
    return RunSettled(
        path=path,
        time_ns=now() if at_ns is None else at_ns,
        start_ns=0,
        order=order,
        sequence=sequence,
        good=good,
        scrap=scrap,
        run_ns=int(seconds * NS_PER_S),
        final=final,
        revision=revision,
        gone=gone,
    )


def two_steps(order: str) -> JobOrdered:
    return JobOrdered(
        path=f"{PATH}#order/{order}",
        time_ns=now(),
        order=order,
        product="BR-100",
        quantity=10,
        steps=(
            Step(sequence=10, operation="Mill", work_centre="CNC-01", machine=CNC_1),
            Step(sequence=20, operation="Assemble", work_centre="ASM-01", machine=ASM),
        ),
    )


class PaperSection(ErpSection, frozen=True, kw_only=True, tag="paper"):
    """The ERP on paper needs nothing."""


class PaperErp:
    """An ERP that writes down what it is told and fails when it is told to."""

    def __init__(self, *, corrects_downwards: bool = False) -> None:
        self.told: list[AnyCommand] = []
        self.found = 0
        self.corrects_downwards = corrects_downwards
        self.commands: tuple[str, ...] = ("start", "time", "quantity", "finish")
        self.fail: Iterator[Callable[[AnyCommand], Exception | None]] = iter(())
        """For each push: an error before anything is written, or None."""
        self.lose: set[int] = set()
        """The pushes, counted from 0, whose reply is lost after all was written."""
        self.down = False
        self.pushes = 0

    def capabilities(self) -> Capabilities:
        return Capabilities(
            pulls=("orders",),
            commands=self.commands,
            corrects_downwards=self.corrects_downwards,
        )

    def pull(self, kind: PullKind, cursor: str) -> Pulled:
        self._answer()
        assert kind == "orders"
        return Pulled([], cursor)

    def push(self, command: AnyCommand) -> Receipt:
        self._answer()
        count, self.pushes = self.pushes, self.pushes + 1
        error = next(self.fail, lambda _command: None)(command)
        if error is not None:
            raise error
        self.told.append(command)
        if count in self.lose:
            msg = "no answer"
            raise ErpAway(msg)
        return Receipt(reference=str(len(self.told)))

    def find(self, command: AnyCommand) -> Receipt | None:
        self._answer()
        self.found += 1
        return next((Receipt(reference="found") for told in self.told if told.key == command.key), None)

    def booked(self, order: str) -> OrderBooked | None:
        self._answer()
        mine = [command for command in self.told if command.order == order]
        times = [command for command in mine if isinstance(command, ReportTime)]
        quantity = [command for command in mine if isinstance(command, ReportQuantity)][-1:]
        return OrderBooked(
            order=order,
            state="finished" if any(isinstance(command, FinishOrder) for command in mine) else "running",
            good=quantity[0].good if quantity else 0,
            scrap=quantity[0].scrap if quantity else 0,
            seconds=sum(command.seconds for command in times),
            reports=len(times),
            time_cost="0",
            cost="0",
        )

    def close(self) -> None:
        self.down = True

    def _answer(self) -> None:
        if self.down:
            msg = "the ERP is away"
            raise ErpAway(msg)
