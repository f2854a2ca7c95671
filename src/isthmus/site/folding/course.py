"""How far one work unit is folded: its moments, and where it goes next.

    oldest ... moment ... moment ... cursor ... moment ... newest
                                     folded anew up to here; what stands behind it is from before

Live, the cursor is the newest moment. When data comes late the cursor goes back to the last moment
before it, and forward again until the states are what they were at a later moment and no late data
lies behind; then it jumps to the newest.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from typing import Final

from isthmus.model.calendar import shifts_between
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.folding.checkpoints import Checkpoints, Late, superfluous
from isthmus.site.folding.unit import Moment, Unit

_GRID_NS: Final = 15 * NS_PER_MINUTE
"""Moments are kept in memory this often, so that a sample late by seconds costs minutes, not a shift."""
_MEMORY_NS: Final = 12 * NS_PER_HOUR
_STRETCH_NS: Final = 2 * NS_PER_HOUR
"""The longest stretch of one step where no moments are kept in memory; bounds the work of a step."""
_SHORTEST_NS: Final = NS_PER_S // 2


class Course:
    """One unit's way through time. `mark` may come from any thread; the rest from the runner's.

    A unit that was never folded begins with the shift of `now_ns`. `oldest_ns` is where history begins.
    """

    def __init__(self, unit: Unit, checkpoints: Checkpoints, now_ns: int, oldest_ns: int = 0) -> None:
        self.unit = unit
        self._checkpoints = checkpoints
        self._lock = threading.Lock()
        self._recent: dict[int, Moment] = {}
        self._edge = (0, 0)
        """Cached: from a moment, where the next shift edge or midnight stands."""
        shape = unit.shape
        found = checkpoints.origin(unit.path, shape)
        self.origin_ns = self._start_before(now_ns) if found is None else max(found, oldest_ns)
        if found is None:
            checkpoints.begin(unit.path, self.origin_ns, shape)
        self._times = checkpoints.times(unit.path)
        if not self._times or self._times[0] > self.origin_ns:
            self._insert(unit.fresh(self.origin_ns), keep=True)
        self.cursor = self._moment(self._times[-1])
        self._done_ns = self.cursor.time_ns
        self._late = checkpoints.late(unit.path)
        """Marked and not acted on yet."""
        self._dirty: Late | None = None
        """Being folded again: no shortcut is taken before its end."""
        self._unseen = self._late is not None
        """Whether samples came late that the states do not hold yet."""
        self.why = ""
        """What came late, in words, while something is folded again."""

    @property
    def newest(self) -> Moment:
        """The newest states, of before where something is being folded again."""
        return self._moment(self._times[-1])

    def before(self, time_ns: int) -> Moment:
        """The newest states at or before a moment, or the oldest there are."""
        with self._lock:
            return self._moment(self._times[max(bisect_right(self._times, time_ns) - 1, 0)])

    @property
    def again(self) -> bool:
        """True while something is folded again."""
        return self._dirty is not None

    @property
    def late(self) -> bool:
        """True when late data waits to be folded in."""
        return self._late is not None

    @property
    def unseen_ns(self) -> int | None:
        """From when on the newest states lack late samples that reach back for long; None where they lack none."""
        with self._lock:
            first = min((late.first_ns for late in (self._late, self._dirty) if late is not None), default=None)
            if first is None or not self._unseen or self._times[-1] - first < NS_PER_HOUR:
                return None
            return self._late.first_ns if self._late is not None else self.cursor.time_ns

    @property
    def done_ns(self) -> int:
        """Everything before was folded once, or is being folded now; what comes there is late."""
        return self._done_ns

    def mark(self, first_ns: int, last_ns: int, why: str, *, samples: bool = False) -> bool:
        """Data came within [first_ns, last_ns]; on disk when this returns. False when none of it is late."""
        with self._lock:
            if first_ns >= self._done_ns:
                return False
            late = Late(first_ns, min(last_ns, self._done_ns)).widened(self._late)
            self.why, self._unseen = self.why or why, self._unseen or samples
            if late != self._late:
                self._checkpoints.set_late(self.unit.path, late.widened(self._dirty))
                self._late = late
        return True

    def begin(self, target_ns: int) -> tuple[Moment, int] | None:
        """The next stretch to fold: from a moment, up to a time; None when there is nothing to do."""
        with self._lock:
            if self._late is not None:
                self._go_back(self._late)
            at = self.cursor.time_ns
            end = min(target_ns, self._boundary(at))
            later = bisect_right(self._times, at)
            if later < len(self._times):
                end = min(end, self._times[later])
            shortest = 1 if self.again or end == self._boundary(at) else _SHORTEST_NS
            if end - at < shortest:
                return None
            self._done_ns = max(self._done_ns, end)
            return self.cursor, end

    def finish(self, moment: Moment) -> bool:
        """The stretch up to `moment` is folded and logged. True when folding again ended with this."""
        with self._lock:
            before = self.cursor
            old = self._moment(moment.time_ns) if moment.time_ns in self._times else None
            if not self._kept(before.time_ns):
                self._drop(before.time_ns)
            self._insert(moment, keep=self._is_edge(moment.time_ns))
            self.cursor = moment
            self._forget(moment.time_ns)
            ended = self.again and self._arrived(moment, old)
            if not self.again and moment.time_ns % NS_PER_DAY == 0:
                self._thin(moment.time_ns)
            return ended

    def _arrived(self, moment: Moment, old: Moment | None) -> bool:
        """Whether the rest stands as it is: the states are what they were and nothing late lies behind."""
        dirty = self._dirty
        same = old is not None and old.states == moment.states and dirty is not None and moment.time_ns > dirty.last_ns
        if not same and moment.time_ns < self._times[-1]:
            return False
        self.cursor = self._moment(self._times[-1])
        self._dirty = None
        self._unseen = self._unseen and self._late is not None
        self._checkpoints.set_late(self.unit.path, self._late)
        return True

    def _go_back(self, late: Late) -> None:
        self._late = None
        self._dirty = late.widened(self._dirty)
        if late.first_ns >= self.cursor.time_ns:
            return
        index = bisect_right(self._times, late.first_ns) - 1
        if index < 0:
            self.origin_ns = self._start_before(late.first_ns)
            self._checkpoints.begin(self.unit.path, self.origin_ns, self.unit.shape)
            self._insert(self.unit.fresh(self.origin_ns), keep=True)
            index = 0
        self.cursor = self._moment(self._times[index])

    def _moment(self, time_ns: int) -> Moment:
        return self._recent.get(time_ns) or self._checkpoints.load(self.unit.path, time_ns)

    def _insert(self, moment: Moment, *, keep: bool) -> None:
        if moment.time_ns not in self._times:
            insort(self._times, moment.time_ns)
        self._recent[moment.time_ns] = moment
        if keep:
            self._checkpoints.save(self.unit.path, moment)

    def _drop(self, time_ns: int) -> None:
        if time_ns in self._recent and time_ns != self.origin_ns:
            del self._recent[time_ns]
            self._times.pop(bisect_left(self._times, time_ns))

    def _forget(self, now_ns: int) -> None:
        """Let moments of the memory go that are old; those on disk stay."""
        for time_ns in [one for one in self._recent if one < min(now_ns, self._times[-1]) - _MEMORY_NS]:
            if self._is_edge(time_ns) or time_ns == self.origin_ns:
                del self._recent[time_ns]
            else:
                self._drop(time_ns)

    def _thin(self, now_ns: int) -> None:
        """Once a day: of what lies long behind, fewer moments. Later corrections there fold a little more again."""
        gone = set(superfluous(self._times, now_ns))
        if gone:
            self._checkpoints.drop(self.unit.path, gone)
            self._times = [time_ns for time_ns in self._times if time_ns not in gone]
            self._recent = {time_ns: moment for time_ns, moment in self._recent.items() if time_ns not in gone}

    def _kept(self, time_ns: int) -> bool:
        return time_ns % _GRID_NS == 0 or self._is_edge(time_ns)

    def _is_edge(self, time_ns: int) -> bool:
        return self._next_edge(time_ns - 1) == time_ns

    def _boundary(self, time_ns: int) -> int:
        """Where a step from `time_ns` has to end at the latest."""
        fine = time_ns >= self._done_ns - _MEMORY_NS
        width = _GRID_NS if fine else _STRETCH_NS
        return min((time_ns // width + 1) * width, self._next_edge(time_ns))

    def _next_edge(self, time_ns: int) -> int:
        """The next shift start or midnight (UTC) behind a moment: where states are kept on disk."""
        since, edge = self._edge
        if not since <= time_ns < edge:
            edge = (time_ns // NS_PER_DAY + 1) * NS_PER_DAY
            calendar = self.unit.plant.calendar_of(self.unit.machine)
            shifts = shifts_between(calendar, self.unit.plant.zone, time_ns, edge + 1)
            edge = min([edge, *(shift.start_ns for shift in shifts if shift.start_ns > time_ns)])
            self._edge = (time_ns, edge)
        return edge

    def _start_before(self, time_ns: int) -> int:
        """The last shift start at or before a moment; where there is none that day, the midnight (UTC) before."""
        calendar = self.unit.plant.calendar_of(self.unit.machine)
        shifts = shifts_between(calendar, self.unit.plant.zone, time_ns - NS_PER_DAY, time_ns + 1)
        midnight = time_ns // NS_PER_DAY * NS_PER_DAY
        return max((shift.start_ns for shift in shifts if shift.start_ns <= time_ns), default=midnight)
