"""How much may wait in memory to be sealed: whoever brings samples is slowed down before anything is refused."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Event
from typing import Final

HEAD_LIMIT: Final = 4
"""When sealing lags so far that this many heads are in memory, samples wait until it caught up."""
ROOM_S: Final = 10.0
"""How long they wait at most, before they are refused."""
EASE_FROM: Final = 0.6
"""From this share of what may wait in memory on, whoever brings samples is slowed down, the more the fuller it is."""
EASE_ROW_S: Final = 4e-6
"""By how much at most, for each sample: several times what sealing one takes."""
EASE_MOST_S: Final = 0.05


class Room:
    """What waits in the memory of a store; decision 192."""

    def __init__(self, folder: Path, seal_rows: int, waiting: Callable[[], int], sealed_some: Condition) -> None:
        self._folder, self._limit = folder, HEAD_LIMIT * seal_rows
        self._waiting, self._sealed_some = waiting, sealed_some

    def await_some(self, rows: int, wake: Event, closing: Event, *, sealing: bool) -> None:
        """Wait a while when sealing lags behind; raise OSError when it does not catch up.

        Each who brings samples waits a little as soon as it begins to lag, so that nobody waits long. With
        `sealing` another thread seals once it is woken.
        """
        with self._sealed_some:
            lag = self._waiting() / self._limit - EASE_FROM
            if lag >= 1 - EASE_FROM:
                wake.set()
                if not self._sealed_some.wait_for(lambda: self._waiting() < self._limit, ROOM_S if sealing else 0):
                    what = f"{self._folder}: samples are refused until what waits in memory is sealed"
                    raise OSError(errno.ENOSPC, what)
        if lag > 0 and sealing:
            closing.wait(min(lag / (1 - EASE_FROM) * rows * EASE_ROW_S, EASE_MOST_S))
