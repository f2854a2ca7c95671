"""One file per sort of question that numpy answers, found by itself: what screens ask is answered without SQL.

The answers are those of the operator's text (see operators/), to the column and the last digit that a
sum of doubles has; tests/conformance/test_historian.py holds both against the reference. A file gives
`answer(operator, asked, use)`, or None where the text is the better way: too many rows for memory, or
values that only SQL writes as words.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pyarrow as pa

from isthmus.model.query import Operator
from isthmus.site.historian.sealed.rollup import Use
from isthmus.site.historian.sealed.view import Asked

Answer = Callable[[Any, Asked, Use | None], pa.Table | None]


@cache
def answers() -> Mapping[type[Operator], Answer]:
    """What is answered here, by operator."""
    found = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    return {operator: module.answer for module in found for operator in getattr(module, "OPERATORS", ())}
