"""The log folded into SQLite tables: one file per set of tables, found by itself; see site/records/view.py."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from isthmus.site.records.view import View

_PARTS = ("name", "reads", "schema", "apply")


def found() -> list[View]:
    """One of each view in this folder: every class that has a name, reads, a schema and `apply`."""
    out: list[View] = []
    for module in pkgutil.iter_modules(__path__):
        members: dict[str, Any] = vars(importlib.import_module(f"{__name__}.{module.name}"))
        for member in members.values():
            own = isinstance(member, type) and member.__module__ == f"{__name__}.{module.name}"
            if own and all(hasattr(member, part) for part in _PARTS):
                out.append(member())
    return sorted(out, key=lambda view: view.name)
