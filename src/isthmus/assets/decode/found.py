"""The decoders that are there, and which of them knows a message by its content."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import cast

from isthmus.assets.decode import protocols
from isthmus.assets.decode.said import Decoder


@cache
def decoders() -> tuple[Decoder, ...]:
    """Every file of `protocols/`, by name; those whose first letter is `_` are shared by several."""
    files = (path for folder in protocols.__path__ for path in Path(folder).glob("*.py"))
    names = sorted(path.stem for path in files if not path.name.startswith("_"))
    return tuple(cast("Decoder", importlib.import_module(f"{protocols.__name__}.{name}")) for name in names)


@cache
def hinted(transport: str, port: int) -> tuple[int, ...]:
    """Numbers of the decoders that a port hints at."""
    return tuple(n for n, one in enumerate(decoders()) if transport in one.OVER and port in one.PORTS)


@cache
def _alone(transport: str) -> tuple[int, ...]:
    return tuple(n for n, one in enumerate(decoders()) if transport in one.OVER and one.ALONE)


def recognise(transport: str, ports: tuple[int, int], payload: bytes) -> int:
    """Number of the decoder whose message begins here, -1 for none; hinted ones are asked first."""
    first = (*hinted(transport, ports[0]), *hinted(transport, ports[1]))
    for number in first:
        if decoders()[number].length(payload) > 0:
            return number
    for number in _alone(transport):
        if number not in first and decoders()[number].length(payload) > 0:
            return number
    return -1
