"""What may be reported to the ERP of an order: that it began, and what came of it, at the end of its run or shift.

A run that has lasted longer than a minute gives a first part with nothing made, so that the ERP hears of the
start in time; a run that is shorter says it with its only part.
Each `RunSettled` holds the part since the one before, so that the sum of all parts is the run. What comes
in late revises the part that it belongs to. A person's correction of an order that runs no longer is a part
of its own, at the moment of the correction; its pieces belong to the last lot that the order made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from isthmus.model.fold import Item
from isthmus.model.plant import Machine, Plant
from isthmus.model.records import Record
from isthmus.model.records.production import (
    Counted,
    LotChanged,
    LotPart,
    RunEnded,
    RunSettled,
    RunStarted,
    StateChanged,
)
from isthmus.model.records.site import Tick
from isthmus.model.states import State
from isthmus.model.time import NS_PER_MINUTE
from isthmus.production.shifts import Shifts

CORRECTED = 1000
"""Ordinals of corrections begin here, behind those of runs that end at the same moment."""
BEGUN = 999
"""Ordinal of the part that only says that a run began."""
BEGUN_NS = NS_PER_MINUTE
"""How long a run must have lasted for that."""
REMEMBERED = 100
"""How many orders that ran are remembered, so that a correction names their operation."""


class Unsettled(msgspec.Struct):
    """The part of the run in progress that has not been reported."""

    start_ns: int
    order: str
    product: str = ""
    operation: str = ""
    sequence: int = 0
    first: bool = True
    good: float = 0.0
    scrap: float = 0.0
    rework: float = 0.0
    run_ns: int = 0
    setup_ns: int = 0
    lots: list[LotPart] = []


class SettlementState(msgspec.Struct):
    """The unreported part, and the machine's state since when."""

    part: Unsettled | None = None
    state: State = State.UNKNOWN
    since_ns: int = 0
    lots_of: str = ""
    """The order that `lot` was told of."""
    lot: LotPart | None = None
    past: list[Unsettled] = []
    """Orders that ran, the last to end at the end; only what names them is kept."""


class Settlement:
    """Runs, counts, states and shift edges in, `RunSettled` out."""

    name: ClassVar[str] = "production/settlement"
    reads: ClassVar[tuple[type[Record], ...]] = (
        Counted,
        LotChanged,
        RunStarted,
        RunEnded,
        StateChanged,
        Tick,
    )
    emits: ClassVar[tuple[type[Record], ...]] = (RunSettled,)
    State: type[msgspec.Struct] = SettlementState

    def __init__(self, plant: Plant, machine: Machine) -> None:
        self._path = machine.path
        self._shifts = Shifts(plant, machine)
        self.tags: Sequence[str] = ()

    def step(self, state: SettlementState, item: Item) -> Iterable[Record]:
        """Take one record."""
        match item:
            case Counted():
                return self._counted(state, item)
            case StateChanged():
                _accrue(state, item.time_ns)
                state.state = item.state
            case RunStarted():
                _accrue(state, item.time_ns)
                state.part = Unsettled(item.time_ns, item.order, item.product, item.operation, item.sequence)
                state.part.lots = _lots_of(state, item.order)
                _add(state.part, item.taken_on)
            case LotChanged():
                _other_lot(state, item)
            case RunEnded() if state.part:
                _accrue(state, item.time_ns)
                state.part.product = state.part.product or item.product
                part, state.part = state.part, None
                _add(part, -item.handed_on)
                _remember(state, part)
                return (self._settled(part, item.time_ns, item.ordinal, final=item.finished),)
            case Tick() if state.part:
                over = self._shift_over(state, state.part, item.time_ns) if self._shift_ends(item.time_ns) else ()
                return over or self._begun(state.part, item.time_ns)
            case _:
                pass
        return ()

    def preview(self, state: SettlementState, now_ns: int) -> Iterable[Record]:  # noqa: ARG002  the contract's names
        """Nothing: what is not settled is not offered for reporting."""
        return ()

    def _counted(self, state: SettlementState, item: Counted) -> Iterable[Record]:
        part = state.part
        if item.order and (part is None or part.order != item.order):
            known = next((one for one in state.past if one.order == item.order), Unsettled(0, item.order))
            corrected = msgspec.structs.replace(known, start_ns=item.time_ns, first=False, lots=[*known.lots])
            _add(corrected, item.good, item.scrap, item.rework)
            return (self._settled(corrected, item.time_ns, CORRECTED + item.ordinal, final=False),)
        if part is not None:
            _add(part, item.good, item.scrap, item.rework)
        return ()

    def _shift_ends(self, time_ns: int) -> bool:
        return any(shift.end_ns == time_ns for shift in self._shifts.between(time_ns - 1, time_ns))

    def _shift_over(self, state: SettlementState, part: Unsettled, time_ns: int) -> Sequence[Record]:
        _accrue(state, time_ns)
        if not (part.good or part.scrap or part.rework or part.run_ns or part.setup_ns):
            return ()
        state.part = Unsettled(time_ns, part.order, part.product, part.operation, part.sequence, first=False)
        state.part.lots = _lots_of(state, part.order)
        return (self._settled(part, time_ns, 0, final=False),)

    def _begun(self, part: Unsettled, time_ns: int) -> Iterable[Record]:
        if not part.first or time_ns - part.start_ns <= BEGUN_NS:
            return ()
        named = Unsettled(part.start_ns, part.order, part.product, part.operation, part.sequence)
        named.lots = [_named(lot) for lot in part.lots]
        part.first = False
        return (self._settled(named, time_ns, BEGUN, final=False),)

    def _settled(self, part: Unsettled, time_ns: int, ordinal: int, *, final: bool) -> RunSettled:
        return RunSettled(
            path=self._path,
            time_ns=time_ns,
            ordinal=ordinal,
            start_ns=part.start_ns,
            order=part.order,
            product=part.product,
            operation=part.operation,
            sequence=part.sequence,
            good=part.good,
            scrap=part.scrap,
            rework=part.rework,
            run_ns=part.run_ns,
            setup_ns=part.setup_ns,
            first=part.first,
            final=final,
            lots=_together(part.lots),
        )


def _add(part: Unsettled, good: float, scrap: float = 0.0, rework: float = 0.0) -> None:
    part.good += good
    part.scrap += scrap
    part.rework += rework
    if part.lots:
        last = part.lots[-1]
        part.lots[-1] = msgspec.structs.replace(
            last, good=last.good + good, scrap=last.scrap + scrap, rework=last.rework + rework
        )


def _lots_of(state: SettlementState, order: str) -> list[LotPart]:
    """What a part of an order begins with: the lot that was told last, where it is this order's."""
    return [state.lot] if state.lot is not None and state.lots_of == order else []


def _other_lot(state: SettlementState, item: LotChanged) -> None:
    state.lots_of, state.lot = item.order, LotPart(lot=item.lot, used=item.used)
    part = state.part
    if part is None or part.order != item.order:
        return
    if not part.lots and (part.good or part.scrap or part.rework):
        part.lots = [LotPart(good=part.good, scrap=part.scrap, rework=part.rework)]
    part.lots = [*part.lots, state.lot]


def _named(lot: LotPart) -> LotPart:
    return LotPart(lot=lot.lot, used=lot.used)


def _together(lots: Sequence[LotPart]) -> tuple[LotPart, ...]:
    """One entry for each lot with its component lots, in the order in which they came first."""
    out: dict[LotPart, LotPart] = {}
    for part in lots:
        so_far = out.get(_named(part), _named(part))
        out[_named(part)] = msgspec.structs.replace(
            so_far, good=so_far.good + part.good, scrap=so_far.scrap + part.scrap, rework=so_far.rework + part.rework
        )
    unnamed = LotPart()
    return () if set(out) <= {unnamed} else tuple(part for part in out.values() if part != unnamed)


def _remember(state: SettlementState, part: Unsettled) -> None:
    others = [one for one in state.past if one.order != part.order]
    named = Unsettled(0, part.order, part.product, part.operation, part.sequence)
    named.lots = [_named(part.lots[-1])] if part.lots else []
    state.past = [*others, named][-REMEMBERED:]


def _accrue(state: SettlementState, time_ns: int) -> None:
    part, passed = state.part, time_ns - state.since_ns
    state.since_ns = time_ns
    if part is not None and state.state is State.RUN:
        part.run_ns += passed
    elif part is not None and state.state is State.SETUP:
        part.setup_ns += passed
