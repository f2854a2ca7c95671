"""Keeps what was said, each thing once: identities with their changes, uses with their counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from isthmus.assets.decode.said import Exposure, Identity, Said, Use

_MOST: Final = 100_000


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
        self.lost = 0
        self._last: dict[tuple[str, ...], int] = {}
        """By device and method the number of its newest identity."""
        self._again: dict[int, int] = {}
        """By an identity's number, when it was said again last."""
        self._uses: dict[tuple[str, str, int, str, str], _Count] = {}
        self._by_kind: dict[int, set[tuple[str, str, int, str, str]]] = {}
        self._owed: dict[int, tuple[int, int, int]] = {}
        self._exposures: dict[tuple[str, str, int, str], Exposure] = {}

    @property
    def identities(self) -> list[Identity]:
        """One for each thing said by a device and each change of it, in the order of the capture."""
        return [
            msgspec.structs.replace(one, last_ns=self._again[number]) if number in self._again else one
            for number, one in enumerate(self._identities)
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
        self._owed.clear()

    def move(self, moved: Callable[[int], int]) -> None:
        """Kinds have new numbers; those that `moved` calls -1 are forgotten, what they said stays."""
        self._settle()
        self._by_kind = {new: names for old, names in self._by_kind.items() if (new := moved(old)) >= 0}

    def count(self, kind: int, count: int, frame: int, time_ns: int) -> None:
        """So many packets of a kind were seen; what its first said counts for all."""
        before = self._owed.get(kind, (0, 0, 0))
        self._owed[kind] = (before[0] + count, frame, max(before[2], time_ns))

    def add(self, said: Iterable[Said], kind: int) -> None:
        """Keep what a message said; `kind` is -1 when it counts for itself alone."""
        for one in said:
            if isinstance(one, Identity):
                self._identity(one)
            elif isinstance(one, Use):
                self._use(one, kind)
            elif (name := (one.client, one.server, one.port, one.what)) not in self._exposures and self._room(
                self._exposures
            ):
                self._exposures[name] = one

    def _room(self, kept: dict[tuple[str, str, int, str], Exposure] | dict[tuple[str, ...], Identity]) -> bool:
        if len(kept) < _MOST:
            return True
        self.lost += 1
        return False

    def _identity(self, one: Identity) -> None:
        name = (one.address, one.mac, one.child, one.method)
        number = self._last.get(name)
        if number is not None:
            before = self._identities[number]
            same = msgspec.structs.replace(one, packet_frame=before.packet_frame, time_ns=before.time_ns)
            if same == before:
                self._again[number] = max(self._again.get(number, before.time_ns), one.time_ns)
                return
        if len(self._identities) >= _MOST:
            self.lost += 1
            return
        self._last[name] = len(self._identities)
        self._identities.append(one)

    def _use(self, one: Use, kind: int) -> None:
        name = (one.client, one.server, one.port, one.service, one.function)
        held = self._uses.get(name)
        if held is None:
            if len(self._uses) >= _MOST:
                self.lost += 1
                return
            held = self._uses[name] = _Count(one)
        if kind < 0:
            held.add(1, one.packet_frame, one.time_ns)
        else:
            self._by_kind.setdefault(kind, set()).add(name)
