"""One file or folder per business system, found by itself. To add one, copy `tryton/`; edit nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from isthmus.enterprise.config import ErpSection


@cache
def kinds() -> Mapping[str, type[ErpSection]]:
    """The plant file's `kind` and the class behind it, for every business system."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {str(kind.__struct_config__.tag): kind for kind in sorted(_below(ErpSection), key=lambda k: k.__name__)}


def _below(cls: type[ErpSection]) -> list[type[ErpSection]]:
    return [found for sub in cls.__subclasses__() for found in (sub, *_below(sub))]
