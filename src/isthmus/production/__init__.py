"""What was made, and when it could be made (ISA-95 production operations)."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.model.fold import Fold
from isthmus.model.plant import Machine, Plant
from isthmus.production.counts import Counts
from isthmus.production.cycles import Cycles
from isthmus.production.indicators import Indicators
from isthmus.production.lots import LotsOf
from isthmus.production.runs import Runs
from isthmus.production.settlement import Settlement
from isthmus.production.states import States
from isthmus.production.stops import Stops


def folds(plant: Plant, machine: Machine) -> Sequence[Fold]:
    """The wing's folds for one machine, whose path is whole."""
    return (
        States(machine),
        Counts(machine),
        Cycles(machine),
        Runs(machine),
        LotsOf(machine),
        Stops(plant, machine),
        Settlement(plant, machine),
        Indicators(plant, machine),
    )
