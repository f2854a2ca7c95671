"""One file per kind of bus, found by itself. To add one, copy `nats.py`; edit nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from isthmus.site.publish.bus import BusSection


@cache
def kinds() -> Mapping[str, type[BusSection]]:
    """The plant file's `kind` and the class behind it, for every bus."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {str(kind.__struct_config__.tag): kind for kind in sorted(_below(BusSection), key=lambda k: k.__name__)}


def _below(cls: type[BusSection]) -> list[type[BusSection]]:
    return [found for sub in cls.__subclasses__() for found in (sub, *_below(sub))]
