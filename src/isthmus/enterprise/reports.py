"""Which reports an order needs: what is settled of it, against what has already been put in its line.

Pure: the same settled parts and the same line give the same changes. What the ERP has is told as
far as possible as totals (quantities), else as parts that only grow (time). Everything counts as told
that stands in the line, whatever became of it, but for what was withdrawn: a report that a person
dropped is not made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from isthmus.enterprise.erp import (
    AnyCommand,
    FinishOrder,
    LotQuantity,
    ReportLot,
    ReportQuantity,
    ReportTime,
    StartOrder,
    TakeBackStart,
)
from isthmus.model.plant import Machine
from isthmus.model.records.business import JobOrdered, Step
from isthmus.model.records.production import LotPart
from isthmus.model.time import NS_PER_MS

WORTH_S: Final = 1.0
"""A later change of a part's time that is smaller is not worth a report; it is kept for the next."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One settled part of a run, as it stands after the latest revision."""

    path: str
    time_ns: int
    ordinal: int
    operation: str
    sequence: int
    good: float
    scrap: float
    busy_ns: int
    final: bool
    lots: tuple[LotPart, ...] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One report in an order's line. `unsent` while nothing of it can have reached the ERP."""

    key: str
    command: AnyCommand
    state: str
    unsent: bool
    withdrawn: bool


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be put at the end of the line, and the keys that are to be taken out of it."""

    add: tuple[AnyCommand, ...]
    withdraw: tuple[str, ...]


def changes(
    number: str, order: JobOrdered | None, parts: Sequence[Part], told: Sequence[Told], machines: Mapping[str, Machine]
) -> Changes:
    """What the order's line needs. `parts` in the order of time."""
    book = _Book(number, order.steps if order else (), parts, told, machines)
    book.lots_in()
    book.start()
    for part in parts:
        book.time(part)
    book.moved_away()
    book.quantity()
    book.finish()
    book.take_back_start()
    return Changes(add=tuple(book.add), withdraw=tuple(book.withdraw))


def waits_for(order: JobOrdered | None, parts: Sequence[Part]) -> str:
    """Why an order may not be finished yet in the ERP, "" when it may.

    A finished order takes no more reports, and another machine's part may still be on its way; nor can the
    lot be told afterwards, where the ERP demands one.
    """
    steps = order.steps if order else ()
    ended = {_step(part, steps) for part in parts if part.final}
    begun = {_step(part, steps) for part in parts} - ended
    missing = [step for step in steps if step in begun or (step.machine and step not in ended)]
    reports = ", ".join(f"step {step.sequence} {step.operation}" for step in missing)
    if reports:
        return f"the report of {reports}"
    ending = _ending(parts, steps)
    unnamed = any(part.good and not all(lot.lot for lot in part.lots or (LotPart(),) if lot.good) for part in ending)
    return f"somebody to say which lot of {order.product} was made" if order and order.lot_tracked and unnamed else ""


def lot_missing(order: JobOrdered | None, parts: Sequence[Part]) -> str:
    """Why an order may not be started yet in the ERP, "" when it may: material goes out of stock with its lot."""
    known = {used.material for part in parts for lot in part.lots for used in lot.used}
    tracked = [one.material for one in order.materials if one.lot_tracked] if order else []
    missing = ", ".join(material for material in tracked if material not in known)
    return f"somebody to say which lot of {missing} is used" if missing else ""


class _Book:
    def __init__(
        self,
        number: str,
        steps: Sequence[Step],
        parts: Sequence[Part],
        told: Sequence[Told],
        machines: Mapping[str, Machine],
    ) -> None:
        self.number = number
        self.steps = steps
        self.parts = parts
        self.told = told
        self.machines = machines
        self.add: list[AnyCommand] = []
        self.withdraw: list[str] = []

    def lots_in(self) -> None:
        """The component lots, each once; told before the start, by which the ERP takes material from stock."""
        used = dict.fromkeys(one for part in self.parts for lot in part.lots for one in lot.used)
        wanted = {(one.material, one.lot): None for one in used}
        for item in self._line(ReportLot):
            if isinstance(item.command, ReportLot):
                lot = item.command.material, item.command.lot
                if lot in wanted:
                    del wanted[lot]
                elif item.unsent:
                    self.withdraw.append(item.key)
        for material, name in wanted:
            key = self._key("lot", _source(self.number, material, name))
            self.add.append(ReportLot(key=key, order=self.number, material=material, lot=name, direction="in"))

    def start(self) -> None:
        if not self.parts:
            return
        backs = self._taken_back(self._line(TakeBackStart))
        if len(self._line(StartOrder)) <= len(backs):
            self.add.append(StartOrder(key=self._key("start", ""), order=self.number))

    def time(self, part: Part) -> None:
        source = _source(self.number, part.path, part.time_ns, part.ordinal)
        step = _step(part, self.steps)
        machine = self.machines.get(part.path)
        self._time(
            source,
            wanted=round(part.busy_ns / NS_PER_MS) / 1000,
            like=ReportTime(
                key="",
                order=self.number,
                sequence=step.sequence if step else part.sequence,
                operation=step.operation if step else part.operation,
                work_centre=(machine.erp_work_centre or "") if machine else "",
                seconds=0,
            ),
        )

    def moved_away(self) -> None:
        """Parts that were told under this order and now belong to another, or to none."""
        here = {_source(self.number, part.path, part.time_ns, part.ordinal) for part in self.parts}
        for item in list(self._line(ReportTime)):
            source = item.key.split("-")[1]
            if source not in here and isinstance(item.command, ReportTime):
                here.add(source)
                self._time(source, wanted=0.0, like=item.command)

    def quantity(self) -> None:
        ending = _ending(self.parts, self.steps)
        good, scrap = sum(part.good for part in ending), sum(part.scrap for part in self.parts)
        line = self._line(ReportQuantity)
        if not line and not ending and not scrap:
            return
        lots = _by_lot(ending, self.parts)
        if line and _totals(line[-1]) == (good, scrap, lots):
            return
        line = self._taken_back(line)
        if not line or _totals(line[-1]) != (good, scrap, lots):
            key = self._key("quantity", "")
            self.add.append(ReportQuantity(key=key, order=self.number, good=good, scrap=scrap, lots=lots))

    def finish(self) -> None:
        last = max((step.sequence for step in self.steps), default=None)
        over = any(part.final and (last is None or self._sequence(part) == last) for part in self.parts)
        line = self._line(FinishOrder)
        if over and not line:
            self.add.append(FinishOrder(key=self._key("finish", ""), order=self.number))
        elif not over:
            self._taken_back(line)

    def take_back_start(self) -> None:
        """The start of an order of which no run stands any more: withdrawn, or where it was sent, a person's to undo."""
        if self.parts:
            return
        told, backs = self._taken_back(self._line(StartOrder)), self._line(TakeBackStart)
        starts = [item for item in told if item.state not in ("parked", "rejected")]
        if len(starts) > len(backs):
            self.add.append(TakeBackStart(key=self._key("unstart", ""), order=self.number))

    def _time(self, source: str, wanted: float, like: ReportTime) -> None:
        line = [item for item in self._line(ReportTime) if item.key.split("-")[1] == source]
        if abs(wanted - _seconds(line)) < (WORTH_S if line else 0.001):
            return
        line = self._taken_back(line)
        more = round(wanted - _seconds(line), 3)
        if abs(more) >= (WORTH_S if line else 0.001):
            self.add.append(msgspec.structs.replace(like, key=self._key("time", source), seconds=more, number=1))

    def _taken_back(self, line: Sequence[Told]) -> list[Told]:
        """The line without what never reached the ERP; that is withdrawn."""
        self.withdraw += [item.key for item in line if item.unsent]
        return [item for item in line if not item.unsent]

    def _line(self, kind: type[AnyCommand]) -> list[Told]:
        gone = set(self.withdraw)
        return [
            item for item in self.told if isinstance(item.command, kind) and not item.withdrawn and item.key not in gone
        ]

    def _key(self, verb: str, source: str) -> str:
        """The same for the same thing: what it is of, and how many of it came before."""
        head = f"{verb}-{source or _hash(self.number)}-"
        before = sum(1 for item in self.told if item.key.startswith(head))
        return head + str(before + 1 + sum(1 for command in self.add if command.key.startswith(head)))

    def _sequence(self, part: Part) -> int:
        return _sequence(part, self.steps)


def _sequence(part: Part, steps: Sequence[Step]) -> int:
    step = _step(part, steps)
    return step.sequence if step else part.sequence


def _ending(parts: Sequence[Part], steps: Sequence[Step]) -> list[Part]:
    """The parts of the last operation, whose good pieces are the order's."""
    last = max((step.sequence for step in steps), default=None)
    return [part for part in parts if _says_more(part) and (last is None or _sequence(part, steps) == last)]


def _by_lot(ending: Sequence[Part], parts: Sequence[Part]) -> tuple[LotQuantity, ...]:
    """Good pieces of the last operation and scrap of all, by lot; none where no lot of them is known."""
    unsaid = ""
    made: dict[str, list[float]] = {}
    for part in parts:
        of_last = part in ending
        for lot in part.lots or (LotPart(good=part.good, scrap=part.scrap),):
            if (lot.good and of_last) or lot.scrap:
                cell = made.setdefault(lot.lot, [0.0, 0.0])
                cell[0] += lot.good if of_last else 0
                cell[1] += lot.scrap
    if set(made) <= {unsaid}:
        return ()
    return tuple(LotQuantity(lot=lot, good=good, scrap=scrap) for lot, (good, scrap) in made.items() if good or scrap)


def _says_more(part: Part) -> bool:
    """False for a part that only says that a run began."""
    return bool(part.good or part.scrap or part.busy_ns or part.final)


def _step(part: Part, steps: Sequence[Step]) -> Step | None:
    """The routing step of a part: by its number, its operation, its machine, or because there is one only."""
    for fits in (
        [step for step in steps if part.sequence and step.sequence == part.sequence],
        [step for step in steps if part.operation and step.operation == part.operation],
        [step for step in steps if step.machine == part.path],
        list(steps),
    ):
        if len(fits) == 1:
            return fits[0]
    return None


def _totals(item: Told) -> tuple[float, float, tuple[LotQuantity, ...]]:
    assert isinstance(item.command, ReportQuantity)  # noqa: S101  taken from the line of its kind
    return item.command.good, item.command.scrap, item.command.lots


def _seconds(line: Sequence[Told]) -> float:
    return sum(item.command.seconds for item in line if isinstance(item.command, ReportTime))


def _source(*parts: str | int) -> str:
    return _hash("\x00".join(map(str, parts)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
