"""What can be read of a plant file that has mistakes, so that one mistake does not hide the others."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from isthmus.plantfile.lines import Place
from isthmus.plantfile.shape import element, from_toml, is_struct, plain, tagged, values

T = TypeVar("T")


class Draft:
    """The elements of each table, with the place where each stands.

    Where a value cannot be used, a stand-in of its type is in its place, so that the rest of its element is
    checked; what is then wrong with a stand-in is nobody's mistake.
    """

    def __init__(
        self, raw: Mapping[str, Any], found: Mapping[str, Sequence[tuple[Place, Any]]], blind: set[Place]
    ) -> None:
        self._raw, self._found, self._blind = raw, found, blind

    def each(self, table: str, cls: type[T]) -> list[tuple[Place, T]]:
        """Every usable element of a table and its place."""
        return [(place, item) for place, item in self._found.get(table, ()) if isinstance(item, cls)]

    def one(self, table: str, cls: type[T]) -> T | None:
        """A table that stands once, or None when it is absent or unusable."""
        return next((item for _, item in self.each(table, cls)), None)

    def names(self, table: str, key: str) -> list[str]:
        """Every name that the file gives in a table, those of unusable elements too."""
        elements = self._raw.get(table, [])
        return [str(item[key]) for item in elements if isinstance(item, Mapping) and key in item]

    def stands_in(self, place: Place) -> bool:
        """Whether what stands there, or what it stands within, is not what the file says."""
        return any(place[: len(blind)] == blind for blind in self._blind)


def draft_of(raw: Mapping[str, Any], type_of: Callable[[str, int], Any]) -> Draft:
    """Convert every element by itself, value by value where it has mistakes."""
    found: dict[str, list[tuple[Place, Any]]] = {}
    blind: set[Place] = set()
    for table, content in raw.items():
        elements = content if isinstance(content, list) else [content]
        for index, item in enumerate(elements):
            place: Place = (table, index) if isinstance(content, list) else (table,)
            wanted = type_of(table, index)
            if wanted is None or not isinstance(item, Mapping):
                continue
            made = _loosely(item, wanted, place, blind)
            if made is not None:
                found.setdefault(table, []).append((place, made))
    return Draft(raw, found, blind)


def _loosely(value: Any, wanted: Any, place: Place, blind: set[Place]) -> Any:  # noqa: ANN401  types are values here
    """`value` as a `wanted`, with stand-ins for what cannot be used; None where nothing can stand in."""
    try:
        return from_toml(value, wanted)
    except msgspec.ValidationError:
        pass
    bare, _ = plain(wanted)
    if is_struct(bare) and isinstance(value, Mapping):
        return _struct(value, tagged(bare, value), place, blind)
    if (inner := element(bare)) is not None and isinstance(value, list):
        items = [_loosely(item, inner, (*place, index), blind) for index, item in enumerate(value)]
        return tuple(item for item in items if item is not None)
    if (inner := values(bare)) is not None and isinstance(value, Mapping):
        kept = {key: _loosely(item, inner, (*place, key), blind) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None}
    blind.add(place)
    return _stand_in(bare)


def _struct(value: Mapping[str, Any], cls: type[msgspec.Struct], place: Place, blind: set[Place]) -> Any:  # noqa: ANN401
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(cls):
        at = (*place, field.encode_name)
        if field.encode_name in value:
            made = _loosely(value[field.encode_name], field.type, at, blind)
            if made is not None or not field.required:
                given |= {} if made is None or (at in blind and not field.required) else {field.name: made}
                continue
        if field.required:
            blind.add(at)
            made = _stand_in(plain(field.type)[0])
            if made is None:
                return None
            given[field.name] = made
    return _unjudged(cls)(**given)


@cache
def _unjudged(cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The same section that does not judge its fields together: that has been told, or is of a stand-in."""
    made: type[msgspec.Struct] = types.new_class(
        cls.__name__,
        (cls,),
        {"frozen": True, "kw_only": True},
        lambda body: body.update(__post_init__=lambda _self: None, __module__=cls.__module__),
    )
    return made


def _stand_in(bare: Any) -> Any:  # noqa: ANN401  types are values here
    """Some value of a type; None where none is known. Nobody looks at it but for not being there."""
    if typing.get_origin(bare) is typing.Literal:
        return typing.get_args(bare)[0]
    if isinstance(bare, type) and issubclass(bare, Enum):
        return next(iter(bare))
    if element(bare) is not None:
        return ()
    if values(bare) is not None:
        return {}
    return {str: "", int: 1, float: 1.0, bool: False, date: date.min, Decimal: Decimal(0), Path: Path()}.get(bare)
