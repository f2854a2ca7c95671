"""What a wing is: pure folds over one work unit's samples and records, in source-time order.

A fold has no clock, no I/O, no random and knows no other wing. The same items in the same order give
the same facts, live or replayed, in one part or in many:

    facts(step(state, a + b)) == facts(step(state, a)) + facts(step(state, b))

It may be run again over a stretch it has already seen, because samples came late or a person
corrected something; the runner compares the facts and writes revisions. So a fold must

* keep everything it remembers in its state, which is a msgspec struct that the runner stores;
* stamp each fact with a `time_ns` inside the stretch being folded, never before it: a fact about an
  interval is stamped with the interval's end and says its start in a field;
* give the same `ordinal` to the same fact in every run (0 unless it emits two of a kind at one moment).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from isthmus.model.plant import Machine, Plant
from isthmus.model.records import Record
from isthmus.model.samples import Samples

Item = Samples | Record


class Fold(Protocol):
    """A fold of one work unit. Made by its wing's `folds(plant, path)`."""

    name: ClassVar[str]
    """Room and file: production/states."""
    reads: ClassVar[tuple[type[Record], ...]]
    """The record kinds it is given: those with the work unit's path, and those of no work unit."""
    emits: ClassVar[tuple[type[Record], ...]]
    """The kinds that it, and nobody else, emits."""

    @property
    def tags(self) -> Sequence[str]:
        """The tags whose samples it is given; none for a fold over records alone."""
        ...

    @property
    def State(self) -> type[msgspec.Struct]:  # noqa: N802  it is a class
        """What it remembers: a mutable msgspec struct, all of whose fields have defaults."""
        ...

    def step(self, state: Any, item: Item) -> Iterable[Record]:  # noqa: ANN401  each fold has its own state
        """Take one item, change `state`, return the facts that follow from it.

        Samples come as one stretch [start_ns, end_ns) between two records that the fold reads.
        At equal times samples come before records, and records by (time_ns, kind, path, ordinal).
        """
        ...

    def preview(self, state: Any, now_ns: int) -> Iterable[Record]:  # noqa: ANN401  as above
        """What is still open, told as if it ended at `now_ns`; must not change `state`.

        Shown live (the shift so far, the stop in progress, the run so far), never logged.
        """
        ...


class FoldsOf(Protocol):
    """What each wing offers: its folds for one machine, in any order."""

    def __call__(self, plant: Plant, machine: Machine) -> Sequence[Fold]:
        """Make the folds of a work unit; `machine.path` is whole."""
        ...
