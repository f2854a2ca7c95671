"""Where things stand: the ISA-95 equipment hierarchy (IEC 62264-1, 5.3) written as a path.

    enterprise / site / area / work centre / work unit        acme/northgate/machining/line-a/cnc-01

A path names a role, not a thing: the asset that fills it today is another record.
What is not equipment (an order, a source, a conduit) is named behind a `#`:

    acme/northgate#order/1047        acme/northgate#source/cnc-01
"""

from __future__ import annotations

import re
from typing import Final

LEVELS: Final = ("enterprise", "site", "area", "work centre", "work unit")
_PART: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")


def check_path(path: str) -> str:
    """Return `path` when every part is lower-case letters, digits, `-`, `_` or `.`.

    Raises ValueError with the part that is wrong.
    """
    parts = path.split("/")
    if len(parts) > len(LEVELS):
        msg = f"{path!r} has {len(parts)} levels; at most {len(LEVELS)}: {' / '.join(LEVELS)}"
        raise ValueError(msg)
    for part in parts:
        if not _PART.match(part):
            msg = f"{part!r} in {path!r} may have only small letters, digits, '-', '_' and '.'"
            raise ValueError(msg)
    return path


def parent(path: str) -> str:
    """The path one level up, "" above the enterprise.

    >>> parent("acme/northgate/machining")
    'acme/northgate'
    """
    return path.partition("#")[0].rpartition("/")[0]


def level(path: str) -> str:
    """The ISA-95 name of the path's level.

    >>> level("acme/northgate/machining/line-a/cnc-01")
    'work unit'
    """
    return LEVELS[path.partition("#")[0].count("/")]


def beside(plant: str, what: str, name: str) -> str:
    """The path of a thing that is not equipment.

    >>> beside("acme/northgate", "order", "1047")
    'acme/northgate#order/1047'
    """
    return f"{plant}#{what}/{name}"


def named(path: str, what: str) -> str | None:
    """The name behind `#what/`, or None when the path is of another sort.

    >>> named("acme/northgate#order/1047", "order")
    '1047'
    """
    _, mark, rest = path.partition("#")
    kind, slash, name = rest.partition("/")
    return name if mark and slash and kind == what else None
