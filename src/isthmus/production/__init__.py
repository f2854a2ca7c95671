"""What was made, and when it could be made (ISA-95 production operations)."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.model.fold import Fold
from isthmus.model.plant import Machine, Plant
from isthmus.production.counts import Counts
from isthmus.production.states import States


def folds(plant: Plant, machine: Machine) -> Sequence[Fold]:  # noqa: ARG001
    """The wing's folds for one machine, whose path is whole."""
    return (States(machine), Counts(machine))
