"""What can be read of a plant file that has mistakes, so that one mistake does not hide the others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from isthmus.plantfile.lines import Place
from isthmus.plantfile.shape import Fault, from_toml

T = TypeVar("T")


class Draft:
    """The elements of each table that could be converted, with the place where each stands."""

    def __init__(self, raw: Mapping[str, Any], found: Mapping[str, Sequence[tuple[Place, Any]]]) -> None:
        self._raw, self._found = raw, found

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


def draft_of(raw: Mapping[str, Any], faults: Sequence[Fault], type_of: Callable[[str, int], Any]) -> Draft:
    """Convert every element by itself, without the values that are already known to be wrong."""
    pruned = copy.deepcopy(dict(raw))
    for fault in sorted(faults, key=lambda fault: [str(part) for part in fault.place], reverse=True):
        _prune(pruned, fault.place)
    found: dict[str, list[tuple[Place, Any]]] = {}
    for table, content in pruned.items():
        elements = content if isinstance(content, list) else [content]
        for index, element in enumerate(elements):
            place: Place = (table, index) if isinstance(content, list) else (table,)
            wanted = type_of(table, index)
            if wanted is None:
                continue
            try:
                found.setdefault(table, []).append((place, from_toml(element, wanted)))
            except msgspec.ValidationError:
                continue  # what is wrong with it has been said already
    return Draft(raw, found)


def _prune(tree: Any, place: Place) -> None:  # noqa: ANN401  a TOML tree holds anything
    """Take one value out; an element of a list stays, so that the others keep their places."""
    for part in place[:-1]:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return
    if len(place) > 1 and isinstance(tree, dict):
        tree.pop(place[-1], None)
