"""What ran on a machine, from when to when, and what came of it (ISA-95 segment response).

The order comes from the machine's own order tag or from a person who puts it on and takes it off. A Bad
stretch ends nothing: the run goes on until the tag says otherwise. A piece that is counted at the very
moment at which the order changes was made for the order before; both are read from one block of registers.
After a silence many come at that moment: what is more than the order before lacked is the next one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec
import numpy as np

from isthmus.model.fold import Item
from isthmus.model.plant import Machine
from isthmus.model.records import Record
from isthmus.model.records.business import JobOrdered, Step
from isthmus.model.records.people import JobStarted, JobStopped, QuantityCorrected
from isthmus.model.records.production import RunEnded, RunStarted, StateChanged
from isthmus.model.samples import Samples, Series
from isthmus.model.states import State
from isthmus.production.counts import CountsState, Pieces, counters_of, pieces
from isthmus.production.signals import Value, usable

STANDING = (State.DOWN, State.IDLE, State.BLOCKED, State.STARVED)
"""States whose time a run reports as down: neither running, nor set-up, nor planned, nor off."""


class Ordered(msgspec.Struct, frozen=True):
    """What the ERP said of an order, as far as a run of it needs it."""

    product: str
    quantity: float
    steps: tuple[Step, ...] = ()


class Current(msgspec.Struct):
    """The run in progress."""

    order: str
    start_ns: int
    operation: str = ""
    good: float = 0.0
    scrap: float = 0.0
    rework: float = 0.0
    run_ns: int = 0
    setup_ns: int = 0
    down_ns: int = 0
    unobserved_ns: int = 0


class RunsState(msgspec.Struct):
    """The run in progress, the machine's state, its counters, and the orders that are open."""

    run: Current | None = None
    tag: str | None = None
    """What the order tag said last; None before its first good sample."""
    state: State = State.UNKNOWN
    since_ns: int = 0
    counts: CountsState = msgspec.field(default_factory=CountsState)
    orders: dict[str, Ordered] = {}
    made: dict[str, float] = {}
    """Good pieces of runs that are over, by order."""
    begun: bool = False
    """True from the first stretch of samples on; what a person put on before it starts with it."""
    waiting: JobStarted | None = None
    told_ns: int = -1
    told: int = 0
    """How many runs ended at `told_ns`: the ordinal of the next that does."""


class Runs:
    """The order tag, people's acts and counters in, `RunStarted` and `RunEnded` out."""

    name: ClassVar[str] = "production/runs"
    reads: ClassVar[tuple[type[Record], ...]] = (JobOrdered, JobStarted, JobStopped, StateChanged, QuantityCorrected)
    emits: ClassVar[tuple[type[Record], ...]] = (RunStarted, RunEnded)
    State: type[msgspec.Struct] = RunsState

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._counters = counters_of(machine)
        order = () if machine.order is None else (machine.order,)
        self.tags: Sequence[str] = tuple(dict.fromkeys([*order, *(one.tag for one in self._counters.values())]))

    def step(self, state: RunsState, item: Item) -> Iterable[Record]:
        """Take one stretch of samples or one record."""
        match item:
            case Samples():
                return [*self._begin(state, item.start_ns), *self._sampled(state, item)]
            case JobStarted() | JobStopped():
                return self._person(state, item)
            case StateChanged():
                _accrue(state, item.time_ns)
                state.state = item.state
            case QuantityCorrected():
                _correct(state, item)
            case JobOrdered():
                _know(state, item)
            case _:
                pass
        return ()

    def preview(self, state: RunsState, now_ns: int) -> Iterable[Record]:
        """The run so far, as if it ended now, unfinished."""
        if state.run is None:
            return ()
        so_far = msgspec.structs.replace(state, run=msgspec.structs.replace(state.run), made=dict(state.made))
        return (self._end(so_far, now_ns, finished=False),)

    def _sampled(self, state: RunsState, samples: Samples) -> Iterator[Record]:
        found = pieces(self._counters, state.counts, samples)
        counted = 0
        series = samples.series.get(self._machine.order) if self._machine.order else None
        for time_ns, order in said(series) if series is not None else ():
            if order == state.tag:
                continue
            state.tag = order
            if state.run is not None and state.run.order == order:
                continue
            until = int(found.time_ns.searchsorted(time_ns, side="right"))
            _count(state.run, found, counted, until)
            at_once = float(found.good[found.time_ns == time_ns].sum())
            counted, beyond = until, 0.0
            if state.run is not None:
                beyond = min(_beyond(state, state.run), at_once) if order else 0.0
                yield self._end(state, time_ns, finished=_complete(state, state.run), handed_on=beyond)
            if order:
                yield self._start(state, time_ns, order, "", "machine", taken_on=beyond)
        _count(state.run, found, counted, len(found.time_ns))

    def _begin(self, state: RunsState, start_ns: int) -> list[Record]:
        waiting, state.begun, state.waiting = state.waiting, True, None
        if waiting is None:
            return []
        return self._person_starts(state, msgspec.structs.replace(waiting, time_ns=max(waiting.time_ns, start_ns)))

    def _person(self, state: RunsState, said: JobStarted | JobStopped) -> list[Record]:
        if not state.begun and self.tags:
            state.waiting = said if isinstance(said, JobStarted) else None
            return []
        if isinstance(said, JobStarted):
            return self._person_starts(state, said)
        if state.run is None or state.run.order != said.order:
            return []
        return [self._end(state, said.time_ns, finished=said.finished)]

    def _person_starts(self, state: RunsState, said: JobStarted) -> list[Record]:
        out: list[Record] = []
        if state.run is not None:
            same = state.run.order == said.order and said.operation in ("", state.run.operation)
            if same:
                return out
            out.append(self._end(state, said.time_ns, finished=_complete(state, state.run)))
        out.append(self._start(state, said.time_ns, said.order, said.operation, said.by))
        return out

    def _start(  # noqa: PLR0913, PLR0917  what a run begins with
        self, state: RunsState, time_ns: int, order: str, operation: str, by: str, taken_on: float = 0.0
    ) -> RunStarted:
        _accrue(state, time_ns)
        known = state.orders.get(order)
        step = self._step_of(known, operation)
        state.run = Current(order=order, start_ns=time_ns, operation=step.operation, good=taken_on)
        return RunStarted(
            path=self._machine.path,
            time_ns=time_ns,
            ordinal=state.told if state.told_ns == time_ns else 0,
            order=order,
            product=known.product if known else "",
            operation=step.operation,
            sequence=step.sequence,
            by=by,
            taken_on=taken_on,
        )

    def _end(self, state: RunsState, time_ns: int, *, finished: bool, handed_on: float = 0.0) -> RunEnded:
        _accrue(state, time_ns)
        run = state.run or Current(order="", start_ns=time_ns)
        run.good -= handed_on
        known = state.orders.get(run.order)
        ordinal = state.told if state.told_ns == time_ns else 0
        state.told_ns, state.told = time_ns, ordinal + 1
        state.run = None
        state.made[run.order] = state.made.get(run.order, 0) + run.good
        return RunEnded(
            path=self._machine.path,
            time_ns=time_ns,
            ordinal=ordinal,
            start_ns=run.start_ns,
            order=run.order,
            product=known.product if known else "",
            operation=run.operation,
            sequence=self._step_of(known, run.operation).sequence,
            finished=finished,
            good=run.good,
            scrap=run.scrap,
            rework=run.rework,
            run_ns=run.run_ns,
            setup_ns=run.setup_ns,
            down_ns=run.down_ns,
            unobserved_ns=run.unobserved_ns,
            handed_on=handed_on,
        )

    def _step_of(self, known: Ordered | None, operation: str) -> Step:
        """The routing step that this machine does: as said, else by machine, else by its one operation."""
        steps = known.steps if known else ()
        wanted = operation or self._machine.operation or ""
        mine = [step for step in steps if step.machine == self._machine.path]
        named = [step for step in mine or steps if step.operation == wanted]
        only = steps if len(steps) == 1 and not operation else ()
        found = [*named, *([] if operation else mine), *only]
        return found[0] if found else Step(sequence=0, operation=wanted)


def said(series: Series) -> Iterator[tuple[int, str]]:
    """What an order or lot tag says at each usable sample that differs from the one before."""
    good = usable(series)
    times, values = series.time_ns[good], series.value[good]
    differs = np.ones(len(values), np.bool_)
    differs[1:] = values[1:] != values[:-1]
    for time_ns, value in zip(times[differs].tolist(), values[differs].tolist(), strict=True):
        yield time_ns, order_number(value)


def order_number(value: Value) -> str:
    """An order tag's value as an order's number; "" for an empty text or 0, which mean that none runs."""
    if isinstance(value, str):
        return value.strip()
    number = float(value)
    return "" if number == 0 else str(int(number)) if number.is_integer() else str(number)


def _know(state: RunsState, item: JobOrdered) -> None:
    if item.gone or item.state in ("finished", "cancelled"):
        if state.run is None or state.run.order != item.order:
            state.orders.pop(item.order, None)
            state.made.pop(item.order, None)
        return
    state.orders[item.order] = Ordered(item.product, item.quantity, item.steps)


def _correct(state: RunsState, item: QuantityCorrected) -> None:
    """A correction is of the order it names; of the one that runs when it names none."""
    if state.run is not None and item.order in ("", state.run.order):
        _add(state.run, item.good, item.scrap, item.rework)
    elif item.order:
        state.made[item.order] = state.made.get(item.order, 0.0) + item.good


def _complete(state: RunsState, run: Current) -> bool:
    """Whether the order's quantity is made, all its runs on this machine together."""
    return _over(state, run) >= 0


def _beyond(state: RunsState, run: Current) -> float:
    """How many good pieces more than the order's quantity are made; 0 where the quantity is not known."""
    return max(_over(state, run), 0.0)


def _over(state: RunsState, run: Current) -> float:
    """Good pieces above the order's quantity, below 0 while some lack or the quantity is not known."""
    known = state.orders.get(run.order)
    if known is None or known.quantity <= 0:
        return -1.0
    return state.made.get(run.order, 0) + run.good - known.quantity


def _accrue(state: RunsState, time_ns: int) -> None:
    """Give the time since the last look to the run in progress, by the machine's state."""
    run, passed = state.run, time_ns - state.since_ns
    state.since_ns = time_ns
    if run is None:
        return
    if state.state is State.RUN:
        run.run_ns += passed
    elif state.state is State.SETUP:
        run.setup_ns += passed
    elif state.state is State.UNKNOWN:
        run.unobserved_ns += passed
    elif state.state in STANDING:
        run.down_ns += passed


def _count(run: Current | None, found: Pieces, start: int, end: int) -> None:
    if run is not None:
        for good, scrap, rework in zip(*(column[start:end].tolist() for column in found[1:]), strict=True):
            _add(run, good, scrap, rework)


def _add(run: Current, good: float, scrap: float, rework: float) -> None:
    run.good += good
    run.scrap += scrap
    run.rework += rework
