"""Four small folds that together do what real ones do: samples in, facts of facts, corrections, shift edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from isthmus.model.calendar import Calendar, Shift, shift_at
from isthmus.model.fold import Fold, Item
from isthmus.model.plant import KpiPolicy, Machine, Plant
from isthmus.model.records import Record
from isthmus.model.records.people import QuantityCorrected, ReasonGiven
from isthmus.model.records.production import Counted, Elements, Indicator, StateChanged, StopExplained
from isthmus.model.records.site import Tick
from isthmus.model.samples import Samples
from isthmus.model.states import State

PATH = "acme/northgate/machining/line-a/cnc-01"
OTHER = "acme/northgate/machining/line-a/cnc-02"


class States:
    """A text tag that says the state."""

    name: ClassVar[str] = "production/states"
    reads: ClassVar[tuple[type[Record], ...]] = ()
    emits: ClassVar[tuple[type[Record], ...]] = (StateChanged,)

    class State(msgspec.Struct):
        now: str = ""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.tags = path, (f"{source}/state",)

    def step(self, state: States.State, item: Item) -> Iterable[Record]:
        assert isinstance(item, Samples)
        for series in item.series.values():
            for at, good, said in zip(
                series.time_ns.tolist(), series.good.tolist(), series.value.tolist(), strict=True
            ):
                assert item.start_ns <= at < item.end_ns
                value = said if good else "UNKNOWN"
                if value != state.now:
                    state.now = value
                    yield StateChanged(path=self.path, time_ns=at, state=State(value))

    def preview(self, state: States.State, now_ns: int) -> Iterable[Record]:
        if state.now:
            yield StateChanged(path=self.path, time_ns=now_ns, state=State(state.now))


class Counts:
    """A running counter, and people's corrections."""

    name: ClassVar[str] = "production/counts"
    reads: ClassVar[tuple[type[Record], ...]] = (QuantityCorrected,)
    emits: ClassVar[tuple[type[Record], ...]] = (Counted,)

    class State(msgspec.Struct):
        last: int | None = None

    def __init__(self, path: str, source: str) -> None:
        self.path, self.tags = path, (f"{source}/parts",)

    def step(self, state: Counts.State, item: Item) -> Iterable[Record]:
        if isinstance(item, QuantityCorrected):
            yield Counted(path=self.path, time_ns=item.time_ns, ordinal=1, good=item.good, why="corrected")
        elif isinstance(item, Samples):
            for series in item.series.values():
                good = series.good
                for at, value in zip(series.time_ns[good].tolist(), series.value[good].tolist(), strict=True):
                    if state.last is not None and value > state.last:
                        yield Counted(path=self.path, time_ns=at, good=value - state.last)
                    state.last = value

    def preview(self, state: Counts.State, now_ns: int) -> Iterable[Record]:
        del state, now_ns
        return ()


class Stops:
    """Each stretch that was not RUN, with the reason that somebody gave for its start."""

    name: ClassVar[str] = "production/stops"
    reads: ClassVar[tuple[type[Record], ...]] = (StateChanged, ReasonGiven)
    emits: ClassVar[tuple[type[Record], ...]] = (StopExplained,)

    class State(msgspec.Struct):
        since_ns: int = 0
        was: str = ""
        reason: str = ""

    def __init__(self, path: str) -> None:
        self.path, self.tags = path, ()

    def step(self, state: Stops.State, item: Item) -> Iterable[Record]:
        if isinstance(item, ReasonGiven):
            state.reason = item.reason
        elif isinstance(item, StateChanged):
            if state.was and state.was != State.RUN:
                yield StopExplained(
                    path=self.path,
                    time_ns=item.time_ns,
                    start_ns=state.since_ns,
                    state=State(state.was),
                    reason=state.reason,
                )
            state.since_ns, state.was, state.reason = item.time_ns, item.state, ""

    def preview(self, state: Stops.State, now_ns: int) -> Iterable[Record]:
        if state.was and state.was != State.RUN:
            yield StopExplained(path=self.path, time_ns=now_ns, start_ns=state.since_ns, state=State(state.was))


class Indicators:
    """What each shift made, and how long it ran."""

    name: ClassVar[str] = "production/indicators"
    reads: ClassVar[tuple[type[Record], ...]] = (StateChanged, Counted, Tick)
    emits: ClassVar[tuple[type[Record], ...]] = (Indicator,)

    class State(msgspec.Struct):
        start_ns: int = 0
        end_ns: int = 0
        shift: str = ""
        good: float = 0
        run_ns: int = 0
        since_ns: int = 0
        runs: bool = False

    def __init__(self, plant: Plant, path: str, policy: str = "test · 1") -> None:
        self.plant, self.path, self.policy, self.tags = plant, path, policy, ()

    def step(self, state: Indicators.State, item: Item) -> Iterable[Record]:
        if isinstance(item, Counted):
            state.good += item.good
            return
        assert isinstance(item, StateChanged | Tick)
        if state.runs:
            state.run_ns += item.time_ns - state.since_ns
        state.since_ns = item.time_ns
        if isinstance(item, StateChanged):
            state.runs = item.state is State.RUN
            return
        if item.time_ns < state.end_ns:
            return
        shift = shift_at(self.plant.calendars["main"], self.plant.zone, item.time_ns)
        if state.shift and (shift is None or shift.start_ns != state.start_ns):
            yield self._indicator(state, item.time_ns)
        if shift is not None and shift.start_ns != state.start_ns:
            state.start_ns, state.end_ns, state.shift = shift.start_ns, shift.end_ns, shift.name
            state.good, state.run_ns = 0, 0

    def preview(self, state: Indicators.State, now_ns: int) -> Iterable[Record]:
        if state.shift:
            yield self._indicator(state, now_ns)

    def _indicator(self, state: Indicators.State, now_ns: int) -> Indicator:
        run_ns = state.run_ns + (now_ns - state.since_ns if state.runs else 0)
        return Indicator(
            path=self.path,
            time_ns=now_ns,
            start_ns=state.start_ns,
            window="shift",
            name=state.shift,
            policy=self.policy,
            elements=Elements(apt_ns=run_ns),
            pbt_ns=now_ns - state.start_ns,
            good=state.good,
            scrap=0,
            rework=0,
            ideal_ns=0,
            good_ideal_ns=0,
            availability=None,
            effectiveness=None,
            quality=None,
            oee=None,
            coverage=None,
        )


def small_plant() -> Plant:
    """Two machines that work round the clock in three shifts."""
    shifts = (
        Shift(name="Early", start="06:00", end="14:00", days="Mon-Sun"),
        Shift(name="Late", start="14:00", end="22:00", days="Mon-Sun"),
        Shift(name="Night", start="22:00", end="06:00", days="Mon-Sun"),
    )
    machines = {path: Machine(path=path, name=path[-6:].upper(), calendar="main") for path in (PATH, OTHER)}
    return Plant(
        name="Northgate Works",
        path="acme/northgate",
        time_zone="UTC",
        currency="GBP",
        calendars={"main": Calendar(name="main", shifts=shifts)},
        machines=machines,
        products={},
        reasons={},
        kpi=KpiPolicy(),
    )


def folds_of(plant: Plant, path: str, source: str) -> list[Fold]:
    """All four, in an order that is not the one to fold in."""
    return [Indicators(plant, path), Stops(path), Counts(path, source), States(path, source)]
