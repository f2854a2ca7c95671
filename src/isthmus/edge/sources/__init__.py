"""One file per protocol, found by itself. To add one, copy `modbus.py`; edit nothing else.

Heavy libraries are imported inside the functions that use them, so that reading the plant file
loads none of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from isthmus.edge.source import SourceSection


@cache
def kinds() -> Mapping[str, type[SourceSection]]:
    """The plant file's `kind` and the class behind it, for every protocol."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {str(kind.__struct_config__.tag): kind for kind in sorted(_below(SourceSection), key=lambda k: k.__name__)}


def _below(cls: type[SourceSection]) -> list[type[SourceSection]]:
    return [found for sub in cls.__subclasses__() for found in (sub, *_below(sub))]
