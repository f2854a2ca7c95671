"""One file per protocol: the frames that may be sent, as bytes, each with the clause that says it only reads."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import cast

from isthmus.edge.identify.talk import Asking


@cache
def askings() -> Mapping[str, Asking]:
    """Every protocol by its name in the plant file."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return {one.NAME: one for one in (cast("Asking", module) for module in modules)}
