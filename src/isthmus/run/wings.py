"""Finds the wings: every package of ours that offers `folds(plant, machine)`. Nothing is listed anywhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

import isthmus
from isthmus.model.fold import Fold, FoldsOf
from isthmus.model.plant import Machine, Plant
from isthmus.site.folding.graph import in_order


def wings() -> list[FoldsOf]:
    """The `folds` of every wing, by the name of its package."""
    packages = (found.name for found in pkgutil.iter_modules(isthmus.__path__) if found.ispkg)
    modules = (importlib.import_module(f"{isthmus.__name__}.{name}") for name in sorted(packages))
    return [module.folds for module in modules if callable(getattr(module, "folds", None))]


def folds_of(plant: Plant, machine: Machine) -> Sequence[Fold]:
    """All folds of one machine, each behind those whose facts it reads.

    Raises FoldsDisagree when two emit one kind, or folds read each other in a ring.
    """
    return in_order([fold for wing in wings() for fold in wing(plant, machine)])
