"""docs/reference/records.md: every record kind with its emitter and its fields."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import textwrap
from functools import cache
from typing import Any, Literal, get_args, get_origin

import msgspec

from isthmus.model.records import Record, kinds
from manual import markdown

_ABOUT = (
    "Every fact that may travel. A fact is told apart by kind, path, time and ordinal; a later revision of the same "
    "replaces it, and one that is `gone` takes it back. Times are ns since 1970 UTC."
)


def page() -> str:
    """The fields that all share, then every kind."""
    parts = ["## In every record", _fields(Record, set())]
    shared = {field.name for field in msgspec.structs.fields(Record)}
    inner: dict[type[msgspec.Struct], None] = {}
    for name, kind in kinds().items():
        parts += [f"## {name}", markdown.cleaned(kind.__doc__), f"Emitted by `{kind.emitter}`."]
        parts += [_fields(kind, shared)] if len(msgspec.structs.fields(kind)) > len(shared) else []
        for field in msgspec.structs.fields(kind):
            inner |= dict.fromkeys(_within(field.type))
    for struct in sorted(inner, key=lambda each: each.__name__):
        parts += [f"## Within a record: {struct.__name__}", markdown.cleaned(struct.__doc__), _fields(struct, set())]
    return markdown.page("Records", _ABOUT, parts)


def _fields(cls: type[msgspec.Struct], left_out: set[str]) -> str:
    told = _told(cls)
    rows = [
        [f"`{field.encode_name}`", f"`{_type(field.type)}`", "yes" if field.required else "", told.get(field.name, "")]
        for field in msgspec.structs.fields(cls)
        if field.name not in left_out
    ]
    return markdown.table(["field", "type", "always", "meaning"], rows)


@cache
def _told(cls: type[msgspec.Struct]) -> dict[str, str]:
    """What stands as a string below each field, in the class and those it is made of."""
    out: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if each is msgspec.Struct or not issubclass(each, msgspec.Struct):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101  it is the source of a class
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                name = field.target.id if isinstance(field.target, ast.Name) else ""
                out[name] = inspect.cleandoc(str(text.value.value))
    return out


def _type(wanted: Any) -> str:  # noqa: ANN401  types are values here
    """A type as it is written, without the modules in front."""
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return " | ".join(str(member.value) for member in wanted)
    if isinstance(wanted, type) and not hasattr(wanted, "__origin__"):
        return wanted.__name__
    if get_origin(wanted) is Literal:
        return " | ".join(str(option) for option in get_args(wanted))
    text = re.sub(r"\b(?:[a-z_]+\.)+", "", inspect.formatannotation(wanted))
    return text.replace("NoneType", "None")


def _within(wanted: Any) -> list[type[msgspec.Struct]]:  # noqa: ANN401  types are values here
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return [wanted]
    return [found for each in getattr(wanted, "__args__", ()) for found in _within(each)]
