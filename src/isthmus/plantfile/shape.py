"""Compares what a TOML table holds with what its section may hold, and says every difference.

msgspec stops at the first mistake; a person wants them all. This walks the section's fields and
converts each value by itself, so that one wrong value hides no other.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from isthmus.plantfile.lines import Place


class Fault(NamedTuple):
    """One difference, where it stands, and how to mend it."""

    place: Place
    what: str
    mend: str = ""


def from_toml(value: object, wanted: Any) -> Any:  # noqa: ANN401  types are values here
    """`value`, as TOML gives it, as a `wanted`. Raises msgspec.ValidationError."""
    return msgspec.convert(value, wanted, dec_hook=_beyond_toml)


def _beyond_toml(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    msg = f"Expected `{wanted.__name__}`, got `{type(value).__name__}`"
    raise ValueError(msg)


def faults_in(value: object, wanted: Any, place: Place) -> Iterator[Fault]:  # noqa: ANN401  types are values here
    """Every way in which `value`, as TOML gives it, is not a `wanted`."""
    bare, limits = plain(wanted)
    if is_struct(bare) and isinstance(value, Mapping):
        cls = tagged(bare, value)
        found = list(_in_table(value, cls, place))
        yield from found or _whole(value, cls, place)
    elif (inner := element(bare)) is not None and isinstance(value, Sequence) and not isinstance(value, str):
        least = max((limit.min_length or 0 for limit in limits), default=0)
        if len(value) < least:
            yield Fault(place, f"{_last(place)} has {len(value)} and must have {least} or more", description(wanted))
        for index, item in enumerate(value):
            yield from faults_in(item, inner, (*place, index))
    elif (inner := values(bare)) is not None and isinstance(value, Mapping):
        for key, item in value.items():
            yield from faults_in(item, inner, (*place, key))
    else:
        try:
            from_toml(value, wanted)
        except msgspec.ValidationError:
            yield Fault(place, f"{_last(place)} = {_shown(value)} must be {wish(wanted)}")


def element_type(wanted: Any) -> Any:  # noqa: ANN401  types are values here
    """The type of one element of a list type; the type itself where it is no list."""
    bare, _ = plain(wanted)
    return element(bare) or bare


def nearest(word: str, known: Sequence[str]) -> str:
    """A mend that names the nearest known word, or all of them when none is near.

    >>> nearest("calender", ["calendar", "name"])
    'did you mean calendar?'
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(known)}" if known else ""


def _in_table(value: Mapping[str, object], cls: type[msgspec.Struct], place: Place) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    tag = cls.__struct_config__.tag_field
    known = [*([tag] if tag else []), *fields]
    for key, item in value.items():
        if key == tag:
            continue
        if key not in fields:
            yield Fault((*place, key), f"unknown key {key}", nearest(key, known))
        else:
            yield from faults_in(item, fields[key].type, (*place, key))
    for name, field in fields.items():
        if field.required and name not in value:
            yield Fault(place, f"{name} is missing", f"{name}: {description(field.type) or wish(field.type)}")


def _whole(value: Mapping[str, object], cls: type[msgspec.Struct], place: Place) -> Iterator[Fault]:
    """What a section says of its fields together, once each by itself is right."""
    try:
        from_toml(value, cls)
    except msgspec.ValidationError as error:
        yield Fault(place, str(error).partition(" - at `")[0])


def tagged(cls: Any, value: Mapping[str, object]) -> type[msgspec.Struct]:  # noqa: ANN401  types are values here
    """The struct itself, or of a union the one that the table's tag names."""
    options: list[type[msgspec.Struct]] = [option for option in _options(cls) if is_struct(option)]
    for option in options:
        config = option.__struct_config__
        if config.tag_field and value.get(config.tag_field) == config.tag:
            return option
    return options[0]


def plain(wanted: Any) -> tuple[Any, list[msgspec.Meta]]:  # noqa: ANN401  types are values here
    """The type without Annotated and without `| None`, and its limits."""
    limits: list[msgspec.Meta] = []
    while typing.get_origin(wanted) is Annotated:
        limits += [extra for extra in typing.get_args(wanted)[1:] if isinstance(extra, msgspec.Meta)]
        wanted = typing.get_args(wanted)[0]
    options = _options(wanted)
    if len(options) == 1 and options[0] is not wanted:
        inner, more = plain(options[0])
        return inner, limits + more
    return wanted, limits


def _options(wanted: Any) -> list[Any]:  # noqa: ANN401  types are values here
    if typing.get_origin(wanted) in (types.UnionType, typing.Union):
        return [option for option in typing.get_args(wanted) if option is not type(None)]
    return [wanted]


def is_struct(wanted: Any) -> bool:  # noqa: ANN401  types are values here
    """Whether a type is a section, or one of several."""
    return all(isinstance(option, type) and issubclass(option, msgspec.Struct) for option in _options(wanted))


def element(wanted: Any) -> Any:  # noqa: ANN401  types are values here
    """The type of a list's elements; None for what is no list."""
    args = typing.get_args(wanted)
    return args[0] if typing.get_origin(wanted) in (tuple, list) and args else None


def values(wanted: Any) -> Any:  # noqa: ANN401  types are values here
    """The type of the values of a table of free names; None for anything else."""
    args = typing.get_args(wanted)
    origin = typing.get_origin(wanted)
    return args[1] if isinstance(origin, type) and issubclass(origin, Mapping) and args else None


def _last(place: Place) -> str:
    """The last name in a place; a number is the place in a list, counted from 1."""
    names = [str(part) if isinstance(part, str) else f"[{part + 1}]" for part in place]
    tail = names[-1]
    return names[-2] + tail if tail.startswith("[") and len(names) > 1 else tail


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, Sequence) else str(value)


_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "the name of a file or folder",
    date: "a day, 2027-01-31",
    Decimal: "an amount",
}


def wish(wanted: Any) -> str:  # noqa: ANN401  types are values here
    """What a value must be, in a plant engineer's words."""
    described = [limit.description for limit in plain(wanted)[1] if limit.pattern and limit.description]
    return ", ".join([words(wanted), *described])


def words(wanted: Any) -> str:  # noqa: ANN401  types are values here
    """What sort of value it is, with its limits: "a whole number, 1 or more"."""
    bare, limits = plain(wanted)
    if typing.get_origin(bare) is typing.Literal:
        return "one of " + ", ".join(_shown(option) for option in typing.get_args(bare) if option is not None)
    if isinstance(bare, type) and issubclass(bare, str) and hasattr(bare, "__members__"):
        return "one of " + ", ".join(f'"{member.value}"' for member in bare)  # type: ignore[attr-defined]
    if is_struct(bare):
        return "a table"
    if element(bare) is not None:
        return "a list"
    if values(bare) is not None:
        return "a table"
    out = [_WORDS.get(bare, getattr(bare, "__name__", str(bare)).lower())]
    for limit in limits:
        out += _limit_words(limit)
    return ", ".join(out)


def _limit_words(limit: msgspec.Meta) -> list[str]:
    out = []
    if limit.ge is not None and limit.le is not None:
        out.append(f"from {limit.ge} to {limit.le}")
    elif limit.ge is not None:
        out.append(f"{limit.ge} or more")
    elif limit.le is not None:
        out.append(f"{limit.le} or less")
    if limit.gt is not None:
        out.append(f"more than {limit.gt}")
    if limit.min_length:
        out.append("not empty")
    return out


def description(wanted: Any) -> str:  # noqa: ANN401  types are values here
    """What a field says of itself, else what its type says, else ""."""
    return next((limit.description for limit in reversed(plain(wanted)[1]) if limit.description), "")
