"""How far each work unit is folded, on disk: its states at shift starts, and what came late and waits.

checkpoint   states of all folds of a unit when everything before `time_ns` was folded
unit         since when a unit is folded, and what its states look like
late         the stretch in which late data changed what was folded; gone when it is folded again
known        the position in the log up to which records were looked at for lateness
"""

from __future__ import annotations

import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from isthmus.model.time import NS_PER_DAY
from isthmus.site.folding.unit import Moment

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS checkpoint (
        path TEXT, time_ns INTEGER, states BLOB, PRIMARY KEY (path, time_ns)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS unit (path TEXT PRIMARY KEY, origin_ns INTEGER, shape TEXT) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS late (path TEXT PRIMARY KEY, first_ns INTEGER, last_ns INTEGER) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS known (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER);
"""
_BUSY_S: Final = 10.0


_THINNED: Final = ((14 * NS_PER_DAY, NS_PER_DAY), (120 * NS_PER_DAY, 28 * NS_PER_DAY))
"""(older than, one for each): two weeks whole, then one a day, after four months one in four weeks."""


def superfluous(times: Sequence[int], now_ns: int) -> list[int]:
    """Which of these moments, ascending, need not be kept at `now_ns`: the older, the sparser. Never the first."""
    out: list[int] = []
    for older, newer in zip(_THINNED, (*_THINNED[1:], None), strict=True):
        upto = now_ns - older[0]
        since = now_ns - newer[0] if newer else times[0] if times else 0
        within = times[bisect_left(times, since) : bisect_left(times, upto)]
        out += [at for before, at in pairwise(within) if at // older[1] == before // older[1]]
    return sorted({*out} - {*times[:1]})


class Late(NamedTuple):
    """Late data lies within [first_ns, last_ns]."""

    first_ns: int
    last_ns: int

    def widened(self, other: Late | None) -> Late:
        """Both stretches, and what lies between."""
        return self if other is None else Late(min(self.first_ns, other.first_ns), max(self.last_ns, other.last_ns))


def kept_before(file: Path, path: str, shape: str, time_ns: int) -> Moment | None:
    """The newest states of a unit at or before a moment, for reading alone; None where there are none of this shape."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as db:
        query = (
            "SELECT time_ns, states FROM checkpoint JOIN unit USING (path) "
            "WHERE path = ? AND shape = ? AND time_ns <= ? ORDER BY time_ns DESC LIMIT 1"
        )
        row = db.execute(query, (path, shape, time_ns)).fetchone()
    return Moment(row[0], tuple(msgspec.msgpack.decode(row[1], type=list[bytes]))) if row else None


def begun(file: Path, path: str) -> int | None:
    """Since when a unit is folded, for reading alone; None when it never was."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as db:
        row = db.execute("SELECT origin_ns FROM unit WHERE path = ?", (path,)).fetchone()
    return int(row[0]) if row else None


class Checkpoints:
    """`checkpoints.sqlite`. Any thread may call; what is written is on disk when a method returns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def origin(self, path: str, shape: str) -> int | None:
        """Since when a unit is folded, None when it never was.

        When its folds' states look different now, its checkpoints are dropped: it is folded anew from there.
        """
        with self._lock:
            row = self._db.execute("SELECT origin_ns, shape FROM unit WHERE path = ?", (path,)).fetchone()
            if row and row[1] != shape:
                self._db.execute("DELETE FROM checkpoint WHERE path = ?", (path,))
                self._db.execute("UPDATE unit SET shape = ? WHERE path = ?", (shape, path))
            return row[0] if row else None

    def begin(self, path: str, origin_ns: int, shape: str) -> None:
        """A unit is folded from `origin_ns` on."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO unit VALUES (?, ?, ?)", (path, origin_ns, shape))

    def times(self, path: str) -> list[int]:
        """The moments of which there are states, ascending."""
        with self._lock:
            rows = self._db.execute("SELECT time_ns FROM checkpoint WHERE path = ? ORDER BY time_ns", (path,))
            return [row[0] for row in rows]

    def load(self, path: str, time_ns: int) -> Moment:
        """The states at a moment of `times`."""
        with self._lock:
            query = "SELECT states FROM checkpoint WHERE path = ? AND time_ns = ?"
            states = self._db.execute(query, (path, time_ns)).fetchone()[0]
        return Moment(time_ns, tuple(msgspec.msgpack.decode(states, type=list[bytes])))

    def save(self, path: str, moment: Moment) -> None:
        """Keep the states at a moment, in place of those that were kept for it."""
        states = msgspec.msgpack.encode(moment.states)
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)", (path, moment.time_ns, states))

    def drop(self, path: str, times: Iterable[int]) -> None:
        """Keep the states at these moments no longer."""
        with self._lock:
            self._db.execute("BEGIN")
            self._db.executemany("DELETE FROM checkpoint WHERE path = ? AND time_ns = ?", ((path, at) for at in times))
            self._db.execute("COMMIT")

    def late(self, path: str) -> Late | None:
        """What came late and is not folded in yet."""
        with self._lock:
            row = self._db.execute("SELECT first_ns, last_ns FROM late WHERE path = ?", (path,)).fetchone()
        return Late(*row) if row else None

    def set_late(self, path: str, late: Late | None) -> None:
        """Replace what is known to have come late; None when all of it is folded in."""
        with self._lock:
            if late is None:
                self._db.execute("DELETE FROM late WHERE path = ?", (path,))
            else:
                self._db.execute("INSERT OR REPLACE INTO late VALUES (?, ?, ?)", (path, *late))

    @property
    def position(self) -> int:
        """The position in the log up to which records were looked at."""
        with self._lock:
            row = self._db.execute("SELECT position FROM known").fetchone()
        return int(row[0]) if row else 0

    @position.setter
    def position(self, position: int) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO known VALUES (1, ?)", (position,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
