"""Room at the site's door: how many connections stand open, of whom, and how many bytes of bodies are in memory.

Who showed no certificate, or is still shaking hands, is a stranger. Strangers have few places, and the
oldest of them makes room for the newest; each certificate has a few of its own. So nobody's idle
connections keep an edge out, and an edge that comes back is not kept out by its own dead ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

MOST_STRANGERS: Final = 64
MOST_OF_ONE: Final = 6
"""Connections of one certificate; an edge uses two, and a new start may find the old ones half open."""
MOST_CONNECTIONS: Final = 1024
MOST_BYTES: Final = 160 * 1024 * 1024
MOST_BYTES_OF_ONE: Final = 72 * 1024 * 1024
"""One lone frame of the largest size, and a body of the usual one."""
_STRANGER: Final = ""


class Places:
    """Tasks that serve a connection each, oldest first, and whom they serve. Belongs to the event loop."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Task[None], str] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, task: asyncio.Task[None]) -> None:
        """A connection of nobody yet; the oldest of such, or this one, ends where there are too many."""
        self._open[task] = _STRANGER
        task.add_done_callback(lambda done: self._open.pop(done, None))
        self._bound(_STRANGER, MOST_STRANGERS)
        if len(self._open) > MOST_CONNECTIONS:
            next(one for one, name in self._open.items() if name == _STRANGER).cancel()

    def name(self, task: asyncio.Task[None], peer: str) -> None:
        """Whose connection it is, as its certificate says."""
        if self._open.pop(task, None) is not None:
            self._open[task] = peer
            self._bound(peer, MOST_OF_ONE)

    def of(self, peer: str) -> int:
        """How many connections one peer has; "" asks for strangers."""
        return sum(name == peer for name in self._open.values())

    async def clear(self) -> None:
        """End them all."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _bound(self, peer: str, most: int) -> None:
        tasks = [task for task, name in self._open.items() if name == peer and not task.cancelling()]
        for task in tasks[: max(len(tasks) - most, 0)]:
            task.cancel()


class Room:
    """Bytes of bodies that are read or wait their turn. Belongs to the event loop."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def take(self, peer: str, size: int) -> bool:
        """Room for so many more bytes of one peer; False when there is none."""
        if self._held[peer] + size > MOST_BYTES_OF_ONE or self._held.total() + size > MOST_BYTES:
            return False
        self._held[peer] += size
        return True

    def give(self, peer: str, size: int) -> None:
        """They are no longer in memory."""
        self._held[peer] -= size
        if not self._held[peer]:
            del self._held[peer]
