"""docs/reference/plant-file.md: every table and field of the plant file, from the sections' own classes."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from isthmus.model.states import Element, State
from isthmus.plantfile import KINDED, Sections
from isthmus.plantfile.shape import description, element, plain, values, words
from manual import markdown

_ABOUT = (
    "The plant file says everything that Isthmus knows of a plant. `isthmus check` reports every mistake in it "
    "with its line; an unknown key is a mistake. `isthmus check --schema` gives the same as JSON Schema, for editors."
)
_COMMON = "Fields of every kind, in the same table:"


def page() -> str:
    """Every table in the order of the file."""
    tables = {field.encode_name: field for field in msgspec.structs.fields(Sections)}
    parts = [_index(tables)]
    for name, field in tables.items():
        parts += _table(name, field)
    return markdown.page("The plant file", _ABOUT, parts)


def _index(tables: dict[str, Any]) -> str:
    rows = []
    for name, field in tables.items():
        heading = _bracketed(name, field)
        rows.append([f"[`{heading}`](#{markdown.anchor(heading)})", _said(_struct(field.type)).partition("\n")[0]])
    return markdown.table(["table", "what it says"], rows)


def _table(name: str, field: Any) -> Iterator[str]:  # noqa: ANN401  msgspec's own field
    cls, heading = _struct(field.type), _bracketed(name, field)
    yield f"## {heading}"
    yield _said(cls)
    if name not in KINDED:
        yield from _fields(cls, heading, set(), "###")
        return
    yield _COMMON
    yield _rows(cls)
    for kind, section in KINDED[name]().items():
        yield from _kind(name, heading, kind, section, cls)


def _kind(
    table: str, heading: str, kind: str, section: type[msgspec.Struct], common: type[msgspec.Struct]
) -> Iterator[str]:
    """One protocol or business system: its manual, and the fields that it adds."""
    own = f'{heading} kind = "{kind}"'
    yield f"### {own}"
    if table == "source":
        yield markdown.cleaned(importlib.import_module(section.__module__).__doc__)
    yield markdown.cleaned(section.__doc__)
    shared = {field.name for field in msgspec.structs.fields(common)}
    yield from _fields(section, own, shared, "####")


def _fields(
    cls: type[msgspec.Struct],
    heading: str,
    left_out: set[str],
    level: str,
    told: set[type[msgspec.Struct]] | None = None,
) -> Iterator[str]:
    """The fields of a table, then those of each table within it; a table that comes again is told once."""
    told = set() if told is None else told
    yield _rows(cls, left_out)
    inner: dict[type[msgspec.Struct], list[str]] = {}
    for field in msgspec.structs.fields(cls):
        struct = _struct_or_none(field.type)
        if field.name not in left_out and struct is not None and struct not in told:
            inner.setdefault(struct, []).append(field.encode_name)
    told |= inner.keys()
    for struct, names in inner.items():
        yield f"{level} {', '.join(names)} of {heading}"
        yield markdown.cleaned(struct.__doc__)
        yield from _fields(struct, f"{names[0]} of {heading}", set(), level, told)


def _rows(cls: type[msgspec.Struct], left_out: set[str] | None = None) -> str:
    rows = [
        [f"`{field.encode_name}`", _sort(field.type), _default(field), description(field.type)]
        for field in msgspec.structs.fields(cls)
        if field.name not in (left_out or set())
    ]
    return markdown.table(["key", "value", "default", "meaning"], rows)


def _sort(wanted: Any) -> str:  # noqa: ANN401  types are values here
    """What may stand there, in words, with its limits."""
    bare, _ = plain(wanted)
    inner, named = element(bare), values(bare)
    if inner is not None:
        return "list of tables" if _struct_or_none(inner) else f"list of {_several(inner)}"
    if named is not None:
        return f"table of names, each {_sort(named)}"
    out = words(wanted)
    return out.replace('"', "") if out.startswith("one of") else out


def _several(wanted: Any) -> str:  # noqa: ANN401  types are values here
    return {"text": "texts", "a whole number": "whole numbers"}.get(words(wanted), words(wanted))


def _default(field: Any) -> str:  # noqa: ANN401  msgspec's own field
    if field.required:
        return "**required**"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if isinstance(value, msgspec.Struct):
        return "its own defaults"
    if value is None or value in ((), {}):
        return "none" if value is None else "empty"
    return f"`{_as_toml(value)}`"


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, date):
        return value.isoformat()
    return f'"{value.as_posix() if isinstance(value, Path) else value}"'


def _bracketed(name: str, field: Any) -> str:  # noqa: ANN401  msgspec's own field
    several = typing.get_origin(plain(field.type)[0]) is tuple
    return f"[[{name}]]" if several else f"[{name}]"


def _struct(wanted: Any) -> type[msgspec.Struct]:  # noqa: ANN401  types are values here
    found = _struct_or_none(wanted)
    assert found is not None  # noqa: S101  every table of the plant file is a struct
    return found


def _struct_or_none(wanted: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401  types are values here
    bare, _ = plain(wanted)
    inner = element(bare)
    if inner is not None:
        return _struct_or_none(inner)
    is_struct = isinstance(bare, type) and issubclass(bare, msgspec.Struct)
    return bare if is_struct and bare not in (State, Element) else None


def _said(cls: type[msgspec.Struct]) -> str:
    """A section's docstring without the name in front, which is the heading."""
    doc = markdown.cleaned(cls.__doc__)
    text = doc.partition(": ")[2] if doc.startswith("`[") else doc
    return text[:1].upper() + text[1:]
