"""How many pieces a machine made, from its counters and from a person's corrections.

Where good pieces have no counter of their own they are the total without scrap and rework. A piece
that is scrapped after it was counted takes one good piece back; the total is right at every moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.model.fold import Item
from isthmus.model.plant import Counter, Machine
from isthmus.model.records import Record
from isthmus.model.records.people import QuantityCorrected
from isthmus.model.records.production import Counted
from isthmus.model.samples import Samples
from isthmus.production.counter import CounterState, made
from isthmus.production.signals import union


class CountsState(msgspec.Struct):
    """Where each counter stands, by what it counts."""

    counters: dict[str, CounterState] = {}
    begun: bool = False
    """True from the first stretch of samples on; a correction before it is of a time that is not folded."""


class Pieces(NamedTuple):
    """What was made and when; all of shape (moments,), times ascending and each once."""

    time_ns: NDArray[np.int64]
    good: NDArray[np.float64]
    scrap: NDArray[np.float64]
    rework: NDArray[np.float64]


def counters_of(machine: Machine) -> dict[str, Counter]:
    """A machine's counters by what they count: good, total, scrap, rework. A good counter needs no total."""
    every = {"good": machine.good, "total": machine.total, "scrap": machine.scrap, "rework": machine.rework}
    if machine.good is not None:
        del every["total"]
    return {what: counter for what, counter in every.items() if counter is not None}


def pieces(counters: Mapping[str, Counter], state: CountsState, samples: Samples) -> Pieces:
    """What all counters of a machine say was made in a stretch; brings `state` up to its end."""
    found = {}
    for what, counter in counters.items():
        series = samples.series.get(counter.tag)
        if series is not None and len(series.time_ns):
            found[what] = made(counter, state.counters.setdefault(what, CounterState()), series)
    times = union([time_ns for time_ns, _ in found.values()])
    count = {what: np.zeros(len(times)) for what in ("good", "total", "scrap", "rework")}
    for what, (time_ns, counts) in found.items():
        count[what][np.searchsorted(times, time_ns)] = counts
    if "total" in counters:
        count["good"] = count["total"] - count["scrap"] - count["rework"]
    return Pieces(times, count["good"], count["scrap"], count["rework"])


class Counts:
    """Samples of the counters and corrections in, one `Counted` for each moment at which pieces were made."""

    name: ClassVar[str] = "production/counts"
    reads: ClassVar[tuple[type[Record], ...]] = (QuantityCorrected,)
    emits: ClassVar[tuple[type[Record], ...]] = (Counted,)
    State: type[msgspec.Struct] = CountsState

    def __init__(self, machine: Machine) -> None:
        self._path = machine.path
        self._counters = counters_of(machine)
        self.tags: Sequence[str] = tuple(dict.fromkeys(counter.tag for counter in self._counters.values()))

    def step(self, state: CountsState, item: Item) -> Iterable[Record]:
        """Take one stretch of samples or one correction."""
        if isinstance(item, Samples):
            state.begun = True
            return self._counted(pieces(self._counters, state, item))
        if isinstance(item, QuantityCorrected) and (state.begun or not self.tags):
            return (
                Counted(
                    path=self._path,
                    time_ns=item.time_ns,
                    ordinal=item.ordinal + 1,
                    good=float(item.good),
                    scrap=float(item.scrap),
                    rework=float(item.rework),
                    why="corrected",
                    note=item.note,
                    order=item.order,
                ),
            )
        return ()

    def preview(self, state: CountsState, now_ns: int) -> Iterable[Record]:  # noqa: ARG002  the contract's names
        """Nothing is open: a count is a fact at once."""
        return ()

    def _counted(self, found: Pieces) -> list[Record]:
        events = all(counter.event for counter in self._counters.values())
        columns = (column.tolist() for column in found)
        return [
            Counted(
                path=self._path,
                time_ns=time_ns,
                good=good,
                scrap=scrap,
                rework=rework,
                why=_why(good, events=events),
                note="scrapped after it was counted" if good < 0 else "",
            )
            for time_ns, good, scrap, rework in zip(*columns, strict=True)
        ]


def _why(good: float, *, events: bool) -> Literal["counter", "event", "corrected"]:
    if good < 0:
        return "corrected"
    return "event" if events else "counter"
