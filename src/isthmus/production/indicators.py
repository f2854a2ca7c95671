"""The ISO 22400-2 indicators of each shift and of each run, as their windows end.

A pure sum over records: states, orders and sayings give the elements (`elements.py`, the one function),
counts and ideal cycles give the rest. A stop that is open at a window's end is judged by its length so
far. When a reason or a sample comes late the runner folds again, and the same key carries a new revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec

from isthmus.model.fold import Item
from isthmus.model.plant import Machine, Plant
from isthmus.model.records import Record
from isthmus.model.records.business import JobOrdered
from isthmus.model.records.people import ReasonGiven
from isthmus.model.records.production import Counted, Elements, Indicator, RunEnded, RunStarted, StateChanged
from isthmus.model.records.site import Tick
from isthmus.model.samples import Samples
from isthmus.model.states import State
from isthmus.model.time import Interval
from isthmus.production.elements import Judgement, add, elements
from isthmus.production.ideal import Ideals
from isthmus.production.reasons import Saying, codes, saying, still_holding
from isthmus.production.shifts import Shifts
from isthmus.production.spans import Span, Timeline
from isthmus.production.windows import Window, indicator

REMEMBERED = 100
"""How many orders that ran are remembered, so that a correction is rated by its own product."""


class IndicatorsState(msgspec.Struct):
    """The windows in progress, and the spans since the machine last began to run, which they do not hold yet."""

    timeline: Timeline = msgspec.field(default_factory=Timeline)
    sayings: list[Saying] = []
    windows: list[Window] = []
    edge_ns: int | None = None
    """The next start or end of a shift; None before the first tick."""
    order: str = ""
    product: str = ""
    past: list[tuple[str, str]] = []
    """The orders that ran last and their products, so that a correction has its own ideal cycle."""


class Indicators:
    """What production found out, in; one `Indicator` for each shift and each run, out."""

    name: ClassVar[str] = "production/indicators"
    reads: ClassVar[tuple[type[Record], ...]] = (
        StateChanged,
        Counted,
        RunStarted,
        RunEnded,
        ReasonGiven,
        JobOrdered,
        Tick,
    )
    emits: ClassVar[tuple[type[Record], ...]] = (Indicator,)
    State: type[msgspec.Struct] = IndicatorsState

    def __init__(self, plant: Plant, machine: Machine) -> None:
        self._path = machine.path
        self._policy = plant.kpi
        self._judgement = Judgement(plant.kpi, plant.reasons, codes(plant, machine), machine.state.elements)
        self._shifts = Shifts(plant, machine)
        self._ideals = Ideals(plant, machine)
        self.tags: Sequence[str] = ()

    def step(self, state: IndicatorsState, item: Item) -> Iterable[Record]:
        """Take one record."""
        if isinstance(item, Samples):
            return ()
        if isinstance(item, JobOrdered):
            if item.order == state.order and not item.gone:
                state.product = state.product or item.product
            return ()
        if isinstance(item, Tick):
            self._begin(state, item.time_ns)
            return list(self._edges(state, item.time_ns))
        return list(self._take(state, item))

    def preview(self, state: IndicatorsState, now_ns: int) -> Iterable[Record]:
        """The shift so far and the run so far, as if they ended now."""
        return [self._indicator(state, one, now_ns, 0) for one in state.windows if one.start_ns < now_ns]

    def _take(self, state: IndicatorsState, item: Record) -> Iterator[Record]:
        stood = state.timeline.state is not State.RUN
        match item:
            case Counted():
                self._count(state, item)
            case ReasonGiven():
                state.sayings.append(saying(item))
            case RunStarted():
                state.order, state.product = item.order, item.product
                state.windows.append(Window(kind="run", name=item.order, start_ns=item.time_ns))
            case RunEnded():
                over = [one for one in state.windows if one.kind == "run" and one.name == item.order]
                yield from self._close(state, over, item.time_ns, 2 * item.ordinal + 1)
                _remember(state, item.order)
            case _:
                pass
        state.timeline.take(item)
        if stood and state.timeline.state is State.RUN:
            self._flush(state, item.time_ns)

    def _count(self, state: IndicatorsState, item: Counted) -> None:
        """Pieces count in the shift, and in the run of the order that they were made for."""
        here = item.order in ("", state.order)
        product = state.product if here else dict(state.past).get(item.order, state.product)
        ideal_ns = self._ideals.of(product, item.time_ns)
        for window in state.windows:
            if here or window.kind == "shift":
                window.count(item, ideal_ns, self._policy)

    def _begin(self, state: IndicatorsState, time_ns: int) -> None:
        if state.edge_ns is not None:
            return
        self._open(state, time_ns)
        state.timeline.begin(min([time_ns, *(window.start_ns for window in state.windows)]))
        state.edge_ns = self._shifts.next_edge(time_ns)

    def _open(self, state: IndicatorsState, time_ns: int, *, starting: bool = False) -> None:
        for shift in self._shifts.between(time_ns, time_ns + 1):
            if not starting or shift.start_ns == time_ns:
                window = Window("shift", shift.name, shift.start_ns, shift.end_ns, planned=list(shift.planned))
                state.windows.append(window)

    def _edges(self, state: IndicatorsState, until_ns: int) -> Iterator[Record]:
        """Close the shifts that end by `until_ns` and open those that start; a tick stands at every edge."""
        while state.edge_ns is not None and state.edge_ns <= until_ns:
            edge_ns = state.edge_ns
            over = [one for one in state.windows if one.end_ns is not None and one.end_ns <= edge_ns]
            yield from self._close(state, over, edge_ns, 0)
            self._open(state, edge_ns, starting=True)
            state.edge_ns = self._shifts.next_edge(edge_ns)

    def _close(self, state: IndicatorsState, over: list[Window], end_ns: int, ordinal: int) -> Iterator[Record]:
        state.windows = [window for window in state.windows if window not in over]
        for index, window in enumerate(over):
            if window.start_ns < end_ns:
                yield self._indicator(state, window, end_ns, ordinal + 2 * index)

    def _indicator(self, state: IndicatorsState, window: Window, end_ns: int, ordinal: int) -> Indicator:
        found = add(window.elements, self._unheld(state.timeline.until(end_ns), state.sayings, window, end_ns))
        return indicator(window, found, path=self._path, end_ns=end_ns, policy=self._policy, ordinal=ordinal)

    def _flush(self, state: IndicatorsState, time_ns: int) -> None:
        """A stop is over and its length known: give the spans up to it to the windows."""
        spans = state.timeline.closed
        for window in state.windows:
            window.elements = add(window.elements, self._unheld(spans, state.sayings, window, time_ns))
        state.timeline.closed = []
        state.sayings = still_holding(state.sayings, time_ns)

    def _unheld(self, spans: list[Span], sayings: list[Saying], window: Window, end_ns: int) -> Elements:
        """The elements of what a window does not hold yet, up to `end_ns`."""
        if not spans:
            return Elements()
        start_ns = max(window.start_ns, spans[0].start_ns)
        if start_ns >= end_ns:
            return Elements()
        planned = self._shifts.planned(start_ns, end_ns) if window.planned is None else window.planned
        return elements(spans, planned, Interval(start_ns, end_ns), sayings, self._judgement)


def _remember(state: IndicatorsState, order: str) -> None:
    """The run of an order is over."""
    if order == state.order:
        others = [one for one in state.past if one[0] != order]
        state.past = [*others, (order, state.product)][-REMEMBERED:]
        state.order = state.product = ""
