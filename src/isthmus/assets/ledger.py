"""What a listening that goes on has said so far, and what of it the log lacks.

While a capture is still being heard, its facts grow: a conversation counts on, a device is seen again,
what was taken for one protocol proves to be another. The log is given what is new or otherwise at
once, what only grew once an hour of it, and takes back what did not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from isthmus.assets.record import over_both
from isthmus.model.records import Record
from isthmus.model.records.assets import AssetSeen, FlowSeen
from isthmus.model.time import NS_PER_S

Fact = AssetSeen | FlowSeen
MOST: Final = 200_000
"""Facts that are kept; further ones are counted in `lost`."""
_GROWS: Final = frozenset({"last_ns", "packets", "bytes", "revision", "gone"})
_GROWN_NS: Final = 3600 * NS_PER_S
F = TypeVar("F", bound=Record)


class Ledger:
    """Facts by their path: those of conversations that are over, and those that the log has."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._past: dict[str, Fact] = {}
        self._given: dict[str, Fact] = {}
        self.lost = 0
        """Facts more than are kept."""

    def over(self, facts: Iterable[Fact]) -> None:
        """These conversations are over; what comes of the same again is added to them."""
        for one in facts:
            before = self._past.get(one.path)
            if before is None and len(self._past) >= self._most:
                self.lost += 1
                continue
            self._past[one.path] = one if before is None else both(before, one)

    def due(self, going: Sequence[Fact], *, everything: bool = False) -> list[Fact]:
        """What the log must be given, with all that is `going` on now; `everything`: also what only grew."""
        now = dict(self._past)
        for one in going:
            before = now.get(one.path)
            now[one.path] = one if before is None else both(before, one)
        out: list[Fact] = []
        for path, one in now.items():
            given = self._given.get(path)
            if given is None:
                out.append(one)
            elif given.time_ns != one.time_ns:
                out += [*([] if given.gone else [_as(given, given.revision + 1, gone=True)]), one]
            elif given.gone or not _same(given, one, hourly=not everything):
                out.append(_as(one, given.revision + 1))
        out += [_as(one, one.revision + 1, gone=True) for path, one in self._given.items()
                if path not in now and not one.gone]  # fmt: skip
        return out

    def given(self, facts: Iterable[Fact]) -> None:
        """The log has these now."""
        for one in facts:
            self._given[one.path] = one


def both(one: Fact, other: Fact) -> Fact:
    """The same fact said twice, over both times."""
    if isinstance(one, AssetSeen) and isinstance(other, AssetSeen):
        return over_both(one, other)
    if isinstance(one, FlowSeen) and isinstance(other, FlowSeen):
        first = min(one, other, key=lambda each: (each.time_ns, each.frame))
        return _with(
            first,
            last_ns=max(one.last_ns, other.last_ns),
            packets=one.packets + other.packets,
            bytes=one.bytes + other.bytes,
            initiated=one.initiated or other.initiated,
        )
    msg = f"{one.path} was said of two kinds of fact"
    raise ValueError(msg)


def _same(given: Fact, one: Fact, *, hourly: bool) -> bool:
    """Whether the log need not be told; what only grew is told when `hourly` is over, else always."""
    names = one.__struct_fields__
    if any(getattr(given, name) != getattr(one, name) for name in names if name not in _GROWS):
        return False
    if hourly:
        return one.last_ns - given.last_ns < _GROWN_NS
    return all(getattr(given, name) == getattr(one, name) for name in names if name not in ("revision", "gone"))


def _as(one: Fact, revision: int, *, gone: bool = False) -> Fact:
    return _with(one, revision=revision, gone=gone)


def _with(one: F, **changes: object) -> F:
    return type(one)(**{**{name: getattr(one, name) for name in one.__struct_fields__}, **changes})
