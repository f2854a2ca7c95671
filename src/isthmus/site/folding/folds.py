"""The fold runner: gives each work unit's folds what happened, in order, and logs what follows from it.

Late samples, late records and corrections lead back to the last moment before them, and forward again;
what differs is logged as a revision. One unit's trouble or backlog never holds another: each turn folds
one bounded stretch of each unit. See docs/architecture.md "Folds".
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from isthmus.model.errors import DatabaseAway
from isthmus.model.rarely import Rarely
from isthmus.model.records import Key, Record
from isthmus.model.records.people import SampleCorrected
from isthmus.model.records.site import Recomputed
from isthmus.model.samples import Series
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S, iso
from isthmus.site.folding.checkpoints import Checkpoints
from isthmus.site.folding.course import Course
from isthmus.site.folding.merge import History, Want
from isthmus.site.folding.progress import Progress, target
from isthmus.site.folding.unheard import Unheard
from isthmus.site.folding.unit import FoldIsWrong, Moment, Unit, differences
from isthmus.site.intake.handed_history import Brought
from isthmus.site.intake.ingest import Arrived
from isthmus.site.site import Site
from isthmus.site.views import facts

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.2
_PREVIEW_NS: Final = NS_PER_S
_PREVIEW_MOST_NS: Final = 2 * NS_PER_HOUR
"""A unit that is further behind than this is not previewed: it would cost more than it tells."""
_REST: Final = 4
"""After folding again a unit rests this many times as long as it took, before late data leads it back once more."""
_REST_MOST_NS: Final = 60 * NS_PER_S
_REMEMBER_EVERY: Final = 1000


class FoldRunner:
    """Runs the folds of every work unit of a site. `arrived` may come from any thread."""

    def __init__(
        self,
        site: Site,
        *,
        lateness_s: float,
        keep_days: int | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._site, self._now_ns = site, now_ns
        self._lateness_ns = int(lateness_s * NS_PER_S)
        self._keep_ns = None if keep_days is None else keep_days * NS_PER_DAY
        self._checkpoints = Checkpoints(site.folder / "checkpoints.sqlite")
        self._progress: defaultdict[str, Progress] = defaultdict(lambda: Progress(self._lateness_ns))
        self._courses: list[Course] = []
        self._by_source: defaultdict[str, list[Course]] = defaultdict(list)
        self._history = History(site.historian, site.tags)
        self._unheard = Unheard(site, self._history)
        self._again: dict[str, _Again] = {}
        self._rests_until: dict[str, int] = {}
        self._position = self._stored_position = self._checkpoints.position
        self._previewed_ns = 0
        self._rarely = Rarely()
        self.stopped: dict[str, str] = site.stopped
        """By work unit, why its figures stand still."""
        for path, folds in site.folds.items():
            self._add(Unit(site.plant, site.plant.machines[path], folds))

    def arrived(self, arrived: Arrived) -> None:
        """Samples are on disk. What is late is marked, on disk, before this returns."""
        if not len(arrived.time_ns):
            return
        now = self._now_ns()
        self._progress[arrived.source].note(arrived.epoch, int(arrived.time_ns.max()), now)
        first = int(arrived.time_ns.min())
        for course in self._by_source[arrived.source]:
            if first >= course.done_ns:
                continue
            numbers = [number for tag in course.unit.tags for number in self._history.numbers(tag)]
            late = arrived.time_ns[np.isin(arrived.tag, numbers) & (arrived.time_ns < course.done_ns)]
            if len(late):
                # What an edge found when it began, it did not see happen: that is no reason to begin earlier.
                late = np.maximum(late, min(course.origin_ns, arrived.epoch))
                self._mark(
                    course, int(late.min()), int(late.max()), f"late samples of {arrived.source}", now, samples=True
                )

    def brought(self, brought: Brought) -> None:
        """Samples of the past are on disk, that no source is waited for. What is late is marked as in `arrived`."""
        if not len(brought.time_ns):
            return
        now, first = self._now_ns(), int(brought.time_ns.min())
        for course in self._courses:
            if first >= course.done_ns:
                continue
            numbers = [number for tag in course.unit.tags for number in self._history.numbers(tag)]
            late = brought.time_ns[np.isin(brought.tag, numbers) & (brought.time_ns < course.done_ns)]
            if len(late):
                late = np.maximum(late, course.origin_ns)
                self._mark(course, int(late.min()), int(late.max()), "a past brought along", now, samples=True)

    def run(self, stop: threading.Event) -> None:
        """Fold until told to stop. The one loop that goes on after a failure."""
        while not stop.is_set():
            more = False
            try:
                more = self.turn()
                if self._now_ns() - self._previewed_ns >= _PREVIEW_NS:
                    self._previewed_ns = self._now_ns()
                    self.preview()
            except (OSError, sqlite3.OperationalError, DatabaseAway) as error:  # full disk, locked file
                times = self._rarely.due("folding waits", time.monotonic())
                if times is not None:
                    _log.error("folding waits: %s; it is tried again each second (%d times so far)", error, times)
                stop.wait(1)
            if not more:
                stop.wait(_PAUSE_S)
        self._remember(every=1)

    def turn(self) -> bool:
        """Fold at most one bounded stretch of each unit; True while there is more to do at once."""
        self._look_for_late_records()
        steps = [step for course in self._courses if (step := self._begin(course)) is not None]
        wants = [_want(step.course, step.moment, step.end_ns) for step in steps]
        done = [
            step
            for step, series in zip(steps, self._history.read_all(wants), strict=True)
            if self._guarded(step.course, partial(self._fold, step, series))
        ]
        changed = [record for step in done for record in step.changed]
        if changed:
            self._site.append(changed)
        for step in done:
            self._finish(step)
        return any(step.course.cursor.time_ns < step.target_ns - NS_PER_S for step in done)

    def preview(self) -> None:
        """Show what is still open in each unit, as if it ended now."""
        now = self._now_ns()
        near = [
            course
            for course in self._courses
            if course.unit.path not in self.stopped and now - course.newest.time_ns <= _PREVIEW_MOST_NS
        ]
        silent = {course.unit.path: self._unheard.silent(course.unit, now) for course in near}
        for course in near:
            if silent[course.unit.path]:
                self._guarded(course, partial(self._preview_unheard, course, silent[course.unit.path], now))
        shown = [(course, course.newest) for course in near if not silent[course.unit.path]]
        wants = [_want(course, moment, max(now, moment.time_ns)) for course, moment in shown]
        for (course, moment), want, series in zip(shown, wants, self._history.read_all(wants), strict=True):
            self._guarded(course, partial(self._preview, course, moment, want.end_ns, series))
        unseen = {course.unit.path: since for course in self._courses if (since := course.unseen_ns) is not None}
        for path in self._site.redoing.keys() - unseen.keys():
            del self._site.redoing[path]
        self._site.redoing.update(unseen)

    def close(self) -> None:
        """Close what it keeps on disk."""
        self._checkpoints.close()

    def _add(self, unit: Unit) -> None:
        oldest = 0 if self._keep_ns is None else self._now_ns() - self._keep_ns
        course = Course(unit, self._checkpoints, self._now_ns(), oldest)
        self._courses.append(course)
        for source in unit.sources:
            self._by_source[source].append(course)

    def _guarded(self, course: Course, work: Callable[[], None]) -> bool:
        """Do one unit's work. A fold that fails is a bug: its unit stops, with a sentence, and no other."""
        try:
            work()
        except FoldIsWrong as error:
            path = course.unit.path
            self.stopped[path] = f"figures of {path} stand still at {iso(course.cursor.time_ns)}: {error}"
            _log.exception("%s; other machines go on", self.stopped[path])
            kinds = [kind.__name__ for kind in course.unit.emits]
            self._site.namespace.put_previews(path, kinds, [])  # nothing that stands still may look live
            return False
        return True

    def _begin(self, course: Course) -> _Step | None:
        unit, now = course.unit, self._now_ns()
        resting = course.late and 0 < self._rests_until.get(unit.path, 0) - now < _REST_MOST_NS
        if resting or unit.path in self.stopped:
            return None
        until = target([self._progress[source] for source in unit.sources], now, self._lateness_ns)
        stretch = course.begin(until)
        if stretch is None:
            return None
        if course.again:
            self._again.setdefault(unit.path, _Again(stretch[0].time_ns, now))
        return _Step(course, *stretch, until)

    def _fold(self, step: _Step, series: Mapping[str, Series]) -> None:
        unit, moment, end = step.course.unit, step.moment, step.end_ns
        folded = unit.fold(moment, end, series, self._outside(step.course, moment, end))
        step.changed = differences(folded.facts, self._logged(unit, moment.time_ns, end))
        step.reached = unit.moment(end, folded.states)

    def _finish(self, step: _Step) -> None:
        """The step's facts are on disk."""
        again = self._again.get(step.course.unit.path)
        if again is not None:
            again.changed += len(step.changed)
        if step.reached is not None and step.course.finish(step.reached) and again is not None:
            self._told_again(step.course, again, self._now_ns())

    def _told_again(self, course: Course, again: _Again, now: int) -> None:
        path = course.unit.path
        del self._again[path]
        ended = self._now_ns()
        self._rests_until[path] = ended + _REST * (ended - again.since_ns)
        why, course.why = course.why, ""
        if again.changed:
            told = Recomputed(
                path=path, time_ns=now, start_ns=again.start_ns, facts_changed=again.changed, why=why or "late data"
            )
            self._site.append([told])

    def _preview(self, course: Course, moment: Moment, end: int, series: Mapping[str, Series]) -> None:
        unit = course.unit
        folded = unit.fold(moment, end, series, self._outside(course, moment, end))
        self._show(unit, unit.previews(folded.states, end))

    def _preview_unheard(self, course: Course, silent: Mapping[str, int], now: int) -> None:
        self._show(course.unit, self._unheard.previews(course, silent, now, partial(self._outside, course)))

    def _show(self, unit: Unit, previews: Sequence[Record]) -> None:
        self._site.namespace.put_previews(unit.path, [kind.__name__ for kind in unit.emits], previews)

    def _outside(self, course: Course, moment: Moment, end_ns: int) -> list[Record]:
        """What people, doors and edges said that holds from within the stretch; at the origin also what was known."""
        unit = course.unit
        if not unit.reads:
            return []
        found = facts.between(self._site.views, unit.reads, moment.time_ns, end_ns)
        if moment.time_ns == course.origin_ns:
            found += facts.newest_before(self._site.views, unit.reads, moment.time_ns)
        return [record for record in found if not record.gone and unit.concerns(record)]

    def _logged(self, unit: Unit, start_ns: int, end_ns: int) -> dict[Key, Record]:
        found = facts.between(self._site.views, unit.emits, start_ns, end_ns, path=unit.path)
        return {record.key: record for record in found}

    def _look_for_late_records(self) -> None:
        """Read what the log gained; what holds from behind a unit's frontier is late."""
        now, spans = self._now_ns(), dict[tuple[int, str], tuple[int, int]]()
        for position, record in self._site.log.read(self._position):
            for number, course in enumerate(self._courses):
                if record.time_ns < course.done_ns and _concerns(course.unit, record):
                    moment, why = max(record.time_ns, course.origin_ns), f"{type(record).__name__} said afterwards"
                    first, last = spans.get((number, why), (moment, moment))
                    spans[number, why] = (min(first, moment), max(last, moment))
            self._position = position
        # Thousands of samples may be put right at once: one mark on disk for all, before the log counts as read.
        for (number, why), (first, last) in spans.items():
            self._mark(self._courses[number], first, last, why, now)
        self._remember(every=_REMEMBER_EVERY)

    def _remember(self, every: int) -> None:
        """Store how far the log was looked at. Looking twice costs only time."""
        if self._position - self._stored_position >= every:
            self._checkpoints.position = self._stored_position = self._position

    def _mark(  # noqa: PLR0913  what came late, from when to when, and why
        self, course: Course, first_ns: int, last_ns: int, why: str, now: int, *, samples: bool = False
    ) -> None:
        """Late data of before history begins cannot be folded: what came with it then is gone."""
        oldest = 0 if self._keep_ns is None else now - self._keep_ns
        if last_ns >= oldest:
            course.mark(max(first_ns, oldest), last_ns, why, samples=samples)


def _concerns(unit: Unit, record: Record) -> bool:
    """Whether a record changes what a unit's folds are given: it is given to them, or puts one of their samples right."""
    return unit.concerns(record) or (isinstance(record, SampleCorrected) and record.tag in unit.tags)


def _want(course: Course, moment: Moment, end_ns: int) -> Want:
    """At its origin a unit is also told what was in force: a state that nobody changed since last week."""
    return Want(course.unit.tags, moment.time_ns, end_ns, before=moment.time_ns == course.origin_ns)


class _Step:
    """One unit's part of a turn: a stretch to fold, and what came of it."""

    def __init__(self, course: Course, moment: Moment, end_ns: int, target_ns: int) -> None:
        self.course, self.moment, self.end_ns, self.target_ns = course, moment, end_ns, target_ns
        self.changed: list[Record] = []
        self.reached: Moment | None = None


class _Again:
    """Folding again, in progress."""

    def __init__(self, start_ns: int, since_ns: int) -> None:
        self.start_ns, self.since_ns = start_ns, since_ns
        self.changed = 0
