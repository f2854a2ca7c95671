"""What all records share: a path, a time, a key that says which fact it is, and a revision."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, NamedTuple, Union

import msgspec


class Key(NamedTuple):
    """Which fact a record is. A later revision of the same key replaces it."""

    kind: str
    path: str
    time_ns: int
    ordinal: int


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=True, omit_defaults=True):
    """A fact about one path at one time."""

    emitter: ClassVar[str] = ""
    """The one place that emits this kind: room and file."""

    path: str
    """ISA-95 path of the equipment, or `plant#what/name` for what is not equipment."""
    time_ns: int
    """When it became true, ns since 1970 UTC; for a fact about an interval, the interval's end."""
    ordinal: int = 0
    """Tells apart facts of one kind, path and time."""
    revision: int = 0
    """0 when first said; higher when said again after late or corrected data."""
    gone: bool = False
    """True when this revision says that the fact is no longer so."""

    @property
    def key(self) -> Key:
        """Which fact this is."""
        return Key(type(self).__name__, self.path, self.time_ns, self.ordinal)


def _below(cls: type[Record]) -> list[type[Record]]:
    return [cls, *(kind for sub in cls.__subclasses__() for kind in _below(sub))]


@cache
def kinds() -> Mapping[str, type[Record]]:
    """Every kind by its name, found in the modules of this folder."""
    import isthmus.model.records as folder  # noqa: PLC0415  the folder imports this file

    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")
    found = (kind for kind in _below(Record)[1:] if kind.emitter)
    return {kind.__name__: kind for kind in sorted(found, key=lambda kind: kind.__name__)}


@cache
def _decoder() -> msgspec.msgpack.Decoder[Any]:
    union: Any = Union[tuple(kinds().values())]  # noqa: UP007  made at run time
    return msgspec.msgpack.Decoder(Sequence[union])


def encode(records: Sequence[Record]) -> bytes:
    """Records as msgpack: an array of maps, each with its `kind`."""
    return msgspec.msgpack.encode(records)


def decode(payload: bytes) -> list[Record]:
    """The records that `encode` wrote. Raises msgspec.ValidationError for a kind nobody knows."""
    return list(_decoder().decode(payload))
