"""What was used of late, within a bound of memory: the longest unused is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def bytes(self) -> int:
        """In bytes."""
        ...


Kept = TypeVar("Kept", bound=Sized)


class Recent(Generic[Kept]):
    """By a key that begins with a segment's path. Any thread may ask."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[tuple[Any, ...], Kept] = OrderedDict()
        self._bytes, self._lock = 0, Lock()

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return key in self._kept

    def get(self, key: tuple[Any, ...]) -> Kept | None:
        """What is kept under a key, or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: tuple[Any, ...], value: Kept) -> None:
        """Keep a value, unless one is there already."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = value
                self._bytes += value.bytes
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].bytes

    def drop(self, path: str) -> None:
        """Forget what belongs to a segment."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == path]:
                self._bytes -= self._kept.pop(key).bytes
