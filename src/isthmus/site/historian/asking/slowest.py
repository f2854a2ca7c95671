"""The questions that took longest, kept by the store for whoever wonders why a page is slow.

<history>/slowest.json    an array of `Slow`, the slowest first; written now and then, and lost without harm
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.model.query import Operator
from isthmus.model.time import NS_PER_DAY

NAME: Final = "slowest.json"
KEPT: Final = 32
FROM_S: Final = 0.02
"""What is answered sooner is not kept."""
_FOR_NS: Final = 7 * NS_PER_DAY


class Slow(msgspec.Struct, frozen=True):
    """One question and how long it took."""

    seconds: float
    asked_ns: int
    question: Operator
    tags: tuple[int, ...]
    """The first ten of them."""
    tag_count: int
    start_ns: int
    end_ns: int


class Slowest:
    """The slowest questions of the last seven days. Any thread may note."""

    def __init__(self, folder: Path) -> None:
        self._path, self._lock = folder / NAME, Lock()
        self._found = read(folder)
        self._changed = False

    @contextmanager
    def timed(self, question: Operator, tags: NDArray[np.int32], start_ns: int, end_ns: int) -> Iterator[None]:
        """Measure what is done within."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            if seconds >= FROM_S:
                self._note(
                    Slow(seconds, time.time_ns(), question, tuple(tags[:10].tolist()), len(tags), start_ns, end_ns)
                )

    def save(self) -> None:
        """Write what is new. A disk that refuses costs the list, not the work."""
        with self._lock:
            if not self._changed:
                return
            data, self._changed = msgspec.json.encode(self._found), False
        part = self._path.with_suffix(".tmp")
        try:
            part.write_bytes(data)
            part.replace(self._path)
        except OSError:
            part.unlink(missing_ok=True)

    def _note(self, slow: Slow) -> None:
        with self._lock:
            since = slow.asked_ns - _FOR_NS
            kept = [each for each in (*self._found, slow) if each.asked_ns >= since]
            self._found = sorted(kept, key=lambda each: -each.seconds)[:KEPT]
            self._changed |= slow in self._found


def read(folder: Path) -> list[Slow]:
    """What was kept in a history's folder, the slowest first; nothing where it cannot be read."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=list[Slow])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []
