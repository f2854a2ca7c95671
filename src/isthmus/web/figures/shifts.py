"""Which stretch of time a page speaks of: the shift in progress, the last one, or one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from isthmus.model.calendar import Calendar, ShiftInstance, shift_at, shifts_between
from isthmus.model.plant import Machine, Plant
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, Interval, from_datetime

_BACK_DAYS = 14
_YEARS: Final = range(1971, 2262)
"""What a time in ns can say, with room for a day on either side."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One shift of one machine, whole, and how much of it has passed."""

    name: str
    """"" where the calendar has no shift."""
    key: str
    """date/name, by which an address asks for it; "" for a stretch that is no shift."""
    start_ns: int
    end_ns: int
    now_ns: int
    """The moment up to which it is told: now, or the shift's end."""
    planned: tuple[Interval, ...]
    """Planned busy time within it, from the calendar."""
    current: bool

    @property
    def so_far_ns(self) -> int:
        """How much of it has passed."""
        return self.now_ns - self.start_ns

    @property
    def planned_so_far_ns(self) -> int:
        """How much planned busy time has passed."""
        passed = Interval(self.start_ns, self.now_ns)
        parts = (stretch.overlap(passed) for stretch in self.planned)
        return sum(part.length_ns for part in parts if part)


def current(plant: Plant, machine: Machine, now_ns: int) -> Window:
    """The shift in progress; else the last one that ended; else the last eight hours."""
    found = _at(plant.calendar_of(machine), plant.zone, now_ns // NS_PER_MINUTE)
    if found is None:
        start = now_ns - 8 * NS_PER_HOUR
        return Window(name="", key="", start_ns=start, end_ns=now_ns, now_ns=now_ns, planned=(), current=True)
    return _window(found, now_ns)


def asked(plant: Plant, machine: Machine, now_ns: int, key: str) -> Window | None:
    """The shift that `key` (date/name) names, or None when there is no such shift or it lies ahead."""
    day, _, name = key.partition("/")
    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        return None
    if wanted.year not in _YEARS:
        return None
    midnight = from_datetime(datetime.combine(wanted, time(), tzinfo=plant.zone))
    near = shifts_between(plant.calendar_of(machine), plant.zone, midnight - NS_PER_DAY, midnight + 2 * NS_PER_DAY)
    for shift in near:
        if shift.day == wanted and shift.name == name and shift.start_ns <= now_ns:
            return _window(shift, now_ns)
    return None


SPANS: Final[Mapping[str, int]] = {"shift": 0, "60": 60, "10": 10, "3": 3}
"""What a strip may show: the whole shift, or the last minutes of it."""


def zoomed(window: Window, minutes: int) -> Window:
    """The last `minutes` of a shift in progress, for a strip; the shift itself for 0 or when it is over."""
    if not minutes or not window.current:
        return window
    start = window.now_ns - minutes * NS_PER_MINUTE
    return msgspec.structs.replace(window, start_ns=start, end_ns=window.now_ns)


def fitting(window: Window, known_since_ns: int | None) -> str:
    """The span that a strip shows by itself: what is known, when that is but the end of a long shift."""
    if not window.current or known_since_ns is None:
        return "shift"
    known = window.now_ns - known_since_ns
    for span in ("3", "10", "60"):
        minutes = SPANS[span]
        if known <= minutes * NS_PER_MINUTE and window.end_ns - window.start_ns > 4 * minutes * NS_PER_MINUTE:
            return span
    return "shift"


def on_day(plant: Plant, machine: Machine, now_ns: int, day: str) -> list[Window]:
    """The shifts that began on a day (ISO date), for the shift picker; none for no date."""
    try:
        wanted = date.fromisoformat(day)
    except ValueError:
        return []
    shifts = {shift.name for shift in plant.calendar_of(machine).shifts}
    shifts |= {shift.name for special in plant.calendar_of(machine).exceptions for shift in special.shifts}
    found = (asked(plant, machine, now_ns, f"{wanted.isoformat()}/{name}") for name in shifts)
    return sorted((window for window in found if window), key=lambda window: window.start_ns)


def neighbours(plant: Plant, machine: Machine, window: Window, now_ns: int) -> tuple[Window | None, Window | None]:
    """The shift before and the shift after, None where there is none or it lies ahead."""
    span = _BACK_DAYS * NS_PER_DAY
    near = shifts_between(plant.calendar_of(machine), plant.zone, window.start_ns - span, window.end_ns + span)
    before = [shift for shift in near if shift.start_ns < window.start_ns]
    after = [shift for shift in near if window.start_ns < shift.start_ns <= now_ns]
    return (
        _window(before[-1], now_ns) if before else None,
        _window(after[0], now_ns) if after else None,
    )


@lru_cache(maxsize=256)
def _at(calendar: Calendar, zone: ZoneInfo, minute: int) -> ShiftInstance | None:
    """The shift in progress in a minute since 1970, or the last before it. Shifts begin and end on whole minutes."""
    at = minute * NS_PER_MINUTE
    found = shift_at(calendar, zone, at)
    if found is None:
        before = shifts_between(calendar, zone, at - _BACK_DAYS * NS_PER_DAY, at)
        found = before[-1] if before else None
    return found


@lru_cache(maxsize=256)
def touching(calendar: Calendar, zone: ZoneInfo, start_ns: int, end_hour: int) -> tuple[ShiftInstance, ...]:
    """The shifts from a moment to the end of an hour since 1970: asked every second, worked out once an hour."""
    return tuple(shifts_between(calendar, zone, start_ns, end_hour * NS_PER_HOUR))


def _window(shift: ShiftInstance, now_ns: int) -> Window:
    return Window(
        name=shift.name,
        key=f"{shift.day.isoformat()}/{shift.name}",
        start_ns=shift.start_ns,
        end_ns=shift.end_ns,
        now_ns=max(shift.start_ns, min(now_ns, shift.end_ns)),
        planned=shift.planned,
        current=shift.start_ns <= now_ns < shift.end_ns,
    )
