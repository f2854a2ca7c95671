"""Keeps what was said, each thing once: identities with their changes, uses with their counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from isthmus.assets.decode.said import Exposure, Identity, Said, Use

_MOST: Final = 100_000

T = TypeVar("T", Identity, Use, Exposure)


class _Count:
    """A use and how often it was seen."""

    def __init__(self, use: Use) -> None:
        self.use, self.count, self.last_frame, self.last_ns = use, 0, use.packet_frame, use.time_ns

    def add(self, count: int, frame: int, time_ns: int) -> None:
        self.count += count
        self.last_frame, self.last_ns = max(self.last_frame, frame), max(self.last_ns, time_ns)


class Sayings:
    """All that decoders said of one capture."""

    def __init__(self) -> None:
        self._identities: list[Identity] = []
        self._said_ns: list[int] = []
        self._identities_by_kind: dict[int, set[int]] = {}
        self.lost = 0
        self._last: dict[tuple[str, ...], int] = {}
        self._uses: dict[tuple[str, str, int, str, str], _Count] = {}
        self._by_kind: dict[int, set[tuple[str, str, int, str, str]]] = {}
        self._owed: dict[int, tuple[int, int, int]] = {}
        self._exposures: dict[tuple[str, str, int, str], Exposure] = {}

    @property
    def identities(self) -> list[Identity]:
        """One for each thing that a device said and each change of it."""
        self._settle()
        return [
            msgspec.structs.replace(one, last_ns=last) if last > one.time_ns else one
            for one, last in zip(self._identities, self._said_ns, strict=True)
        ]

    @property
    def uses(self) -> list[Use]:
        """One per client, server, port, service and function."""
        self._settle()
        return [
            msgspec.structs.replace(one.use, count=max(one.count, 1), last_frame=one.last_frame, last_ns=one.last_ns)
            for one in self._uses.values()
        ]

    @property
    def exposures(self) -> list[Exposure]:
        """One per client, server, port and what."""
        return list(self._exposures.values())

    def _settle(self) -> None:
        for kind, owed in self._owed.items():
            for name in self._by_kind.get(kind, ()):
                self._uses[name].add(*owed)
            for number in self._identities_by_kind.get(kind, ()):
                self._said_ns[number] = max(self._said_ns[number], owed[2])
        self._owed.clear()

    def move(self, moved: Callable[[int], int]) -> None:
        """Kinds have new numbers; those that `moved` calls -1 are forgotten, what they said stays."""
        self._settle()
        self._by_kind = {new: names for old, names in self._by_kind.items() if (new := moved(old)) >= 0}
        self._identities_by_kind = {
            new: numbers for old, numbers in self._identities_by_kind.items() if (new := moved(old)) >= 0
        }

    def count(self, kind: int, count: int, frame: int, time_ns: int) -> None:
        """So many packets of a kind were seen; what its first said counts for all."""
        before = self._owed.get(kind, (0, 0, 0))
        self._owed[kind] = (before[0] + count, frame, max(before[2], time_ns))

    def add(self, said: Iterable[Said], kind: int, again: tuple[int, int] = (0, 0)) -> None:
        """Keep what a message said; `kind` is -1 when it counts for itself alone.

        `again` is the frame and the time where the message that said it came once more in the same words; (0, 0)
        where they are its own.
        """
        for one in said:
            if isinstance(one, Identity):
                self._identity(one, kind, again)
            elif isinstance(one, Use):
                self._use(one, kind, again)
            elif (name := (one.client, one.server, one.port, one.what)) not in self._exposures and self._room(
                self._exposures
            ):
                self._exposures[name] = _moved(one, again)

    def _room(self, kept: dict[tuple[str, str, int, str], Exposure]) -> bool:
        if len(kept) < _MOST:
            return True
        self.lost += 1
        return False

    def _identity(self, one: Identity, kind: int, again: tuple[int, int]) -> None:
        name = (one.address, one.mac, one.child, one.method)
        number = self._last.get(name, -1)
        before = self._identities[number] if number >= 0 else None
        if before is None or not (before is one or _alike(before, one)):
            if len(self._identities) >= _MOST:
                self.lost += 1
                return
            number = self._last[name] = len(self._identities)
            self._identities.append(_moved(one, again))
            self._said_ns.append(0)
        self._said_ns[number] = max(self._said_ns[number], again[1] or one.time_ns)
        if kind >= 0:
            self._identities_by_kind.setdefault(kind, set()).add(number)

    def _use(self, one: Use, kind: int, again: tuple[int, int]) -> None:
        name = (one.client, one.server, one.port, one.service, one.function)
        held = self._uses.get(name)
        if held is None:
            if len(self._uses) >= _MOST:
                self.lost += 1
                return
            held = self._uses[name] = _Count(_moved(one, again))
        if kind < 0:
            held.add(1, *(again if again[0] else (one.packet_frame, one.time_ns)))
        else:
            self._by_kind.setdefault(kind, set()).add(name)


def _moved(one: T, again: tuple[int, int]) -> T:
    """The same, said at another time."""
    return msgspec.structs.replace(one, packet_frame=again[0], time_ns=again[1]) if again[0] else one


def _alike(one: Identity, other: Identity) -> bool:
    """Whether they say the same of the same, whenever that was."""
    return msgspec.structs.replace(other, packet_frame=one.packet_frame, time_ns=one.time_ns) == one
