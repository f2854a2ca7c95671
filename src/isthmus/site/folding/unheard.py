"""What a machine shows while its edge is silent: folded on as if its devices had been lost when they were last heard.

It is a course of its own beside the true one, for previews alone. Nothing of it is logged or kept: what
the edge read meanwhile comes later and makes the past right. Until then the shift so far counts the
silence as not observed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from isthmus.model import status as st
from isthmus.model.records import Record
from isthmus.model.records.production import StateChanged
from isthmus.model.samples import Series, ValueKind
from isthmus.model.states import State
from isthmus.model.time import NS_PER_HOUR
from isthmus.site.folding.course import Course
from isthmus.site.folding.merge import History, Want
from isthmus.site.folding.unit import Moment, Unit
from isthmus.site.site import Site

_MOST_NS: Final = 2 * NS_PER_HOUR
"""A silence that began before the states of so long ago is counted from the newest states on."""
_DTYPE: Final = {ValueKind.F64: np.float64, ValueKind.I64: np.int64, ValueKind.BOOL: np.bool_, ValueKind.STR: object}

Outside = Callable[[Moment, int], list[Record]]


class _Supposed(NamedTuple):
    """How far the silence of these sources was folded, and from when on it counts."""

    silent: Mapping[str, int]
    since_ns: int
    moment: Moment


class Unheard:
    """By work unit, what is supposed while its edge is silent. Belongs to the fold runner's thread."""

    def __init__(self, site: Site, history: History) -> None:
        self._site, self._history = site, history
        self._supposed: dict[str, _Supposed] = {}

    def silent(self, unit: Unit, now_ns: int) -> dict[str, int]:
        """The unit's sources whose edge is not heard, and since when."""
        found = {source: self._site.contact.silent_since(source, now_ns) for source in sorted(unit.sources)}
        silent = {source: since_ns for source, since_ns in found.items() if since_ns is not None}
        if not silent:
            self._supposed.pop(unit.path, None)
        return silent

    def previews(self, course: Course, silent: Mapping[str, int], end_ns: int, outside: Outside) -> list[Record]:
        """What is open in the unit at `end_ns`, supposing that nothing was seen since. Raises FoldIsWrong."""
        unit, held = course.unit, self._supposed.get(course.unit.path)
        if held is None or held.silent != silent or course.again or course.late:
            held = self._begun(course, silent, end_ns)
        start = held.moment
        series = self._history.read(Want(unit.tags, start.time_ns, end_ns, before=start.time_ns == course.origin_ns))
        if start.time_ns <= held.since_ns:
            series |= {tag: self._lost(tag, series.get(tag), held.since_ns) for tag in self._tags_of(unit, silent)}
        folded = unit.fold(start, end_ns, series, outside(start, end_ns))
        if end_ns > held.since_ns:
            self._supposed[unit.path] = held._replace(moment=unit.moment(end_ns, folded.states))
        return _unknown(unit, unit.previews(folded.states, end_ns), held.since_ns)

    def _begun(self, course: Course, silent: Mapping[str, int], end_ns: int) -> _Supposed:
        """From the states before the silence, behind the newest sample that came: a device's clock may be ahead."""
        unit = course.unit
        lasts = [self._site.namespace.last(tag) for tag in self._tags_of(unit, silent)]
        newest_ns = max((last.time_ns for last in lasts if last is not None and last.time_ns < end_ns), default=0)
        since_ns = max(min(silent.values()), newest_ns + 1)
        start = course.before(since_ns)
        if end_ns - start.time_ns > _MOST_NS:
            start = course.newest
        return _Supposed(dict(silent), max(since_ns, start.time_ns), start)

    def _tags_of(self, unit: Unit, silent: Mapping[str, int]) -> Sequence[str]:
        """The unit's tags behind the silence that were ever heard."""
        mine = (tag for tag in unit.tags if tag.partition("/")[0] in silent)
        return [tag for tag in mine if self._site.tags.find(tag) is not None]

    def _lost(self, tag: str, series: Series | None, since_ns: int) -> Series:
        """A tag's samples up to the silence, and one without a value at its beginning, as an edge tells a loss."""
        number = self._site.tags.find(tag)
        assert number is not None  # noqa: S101  only such tags are asked for
        loss = Series(
            np.array([since_ns], np.int64),
            np.array([st.BAD_NO_COMMUNICATION], np.uint32),
            np.zeros(1, _DTYPE.get(self._site.tags.info(number).kind, object)),
            np.zeros(1, np.bool_),
        )
        if series is None:
            return loss
        before = series.time_ns < since_ns
        return Series(
            np.concatenate([series.time_ns[before], loss.time_ns]),
            np.concatenate([series.status[before], loss.status]),
            np.concatenate([series.value[before], loss.value]),
            np.concatenate([series.has_value[before], loss.has_value]),
        )


def _unknown(unit: Unit, previews: Sequence[Record], since_ns: int) -> list[Record]:
    """The previews, with the present state as it is known: the last that was heard may be RUN, and nobody knows."""
    told = [one for one in previews if not isinstance(one, StateChanged) or one.time_ns < since_ns]
    why = "its edge is not heard"
    return [*told, StateChanged(path=unit.path, time_ns=since_ns, state=State.UNKNOWN, native=why)]
