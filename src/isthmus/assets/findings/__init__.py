"""What should not be so, one finding per cause: `find` asks every rule of this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from isthmus.assets.findings.look import Look
from isthmus.model.records.assets import AssetFinding

__all__ = ["Look", "find"]
_WEIGHT = {"high": 0, "medium": 1, "low": 2, "note": 3}


def find(look: Look) -> list[AssetFinding]:
    """Everything found, the worst first. A file of this folder with a `RULES` tuple is asked by itself."""
    out: dict[str, AssetFinding] = {}
    for module in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        rules: Sequence[Look.Rule] = getattr(importlib.import_module(f"{__name__}.{module}"), "RULES", ())
        for rule in rules:
            out.update({finding.path: finding for finding in rule(look)})
    return sorted(out.values(), key=lambda one: (_WEIGHT[one.severity], one.what, one.path))
