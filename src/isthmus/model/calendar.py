"""When the plant means to work: shifts, breaks and exceptions, as intervals of UTC.

Shifts are written in the plant's own wall time; on the two nights when clocks change a shift from
22:00 to 06:00 is seven or nine hours long, and is so here. Planned busy time (ISO 22400-2, PBT)
comes from this page, never from a machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec

from isthmus.model.time import Interval, from_datetime, to_datetime

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOCK: Final = re.compile(r"([01]\d|2[0-4]):([0-5]\d)\Z")


class Shift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shift of a calendar, in wall time. An end at or before the start is on the next day."""

    name: Annotated[str, msgspec.Meta(description="as people say it: Early, Night", min_length=1)]
    start: Annotated[str, msgspec.Meta(description="wall time HH:MM")]
    end: Annotated[str, msgspec.Meta(description="wall time HH:MM; at or before start means the next day")]
    days: Annotated[str, msgspec.Meta(description="days on which it starts: Mon-Fri, or Mon,Wed,Sat")] = "Mon-Fri"
    breaks: Annotated[
        tuple[str, ...], msgspec.Meta(description="planned breaks HH:MM-HH:MM, outside planned busy time")
    ] = ()


class DayException(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"on": "date"}):
    """A day that differs: closed, or with other shifts than usual."""

    on: Annotated[date, msgspec.Meta(description="the day on which the shifts would start")]
    note: Annotated[str, msgspec.Meta(description="why, for people")] = ""
    shifts: Annotated[tuple[Shift, ...], msgspec.Meta(description="the shifts of that day; none means closed")] = ()


class Calendar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named weekly pattern of shifts with its exceptions (ISA-95 work calendar)."""

    name: Annotated[str, msgspec.Meta(description="the name that machines refer to", min_length=1)]
    shifts: Annotated[tuple[Shift, ...], msgspec.Meta(description="the usual shifts")] = ()
    exceptions: Annotated[tuple[DayException, ...], msgspec.Meta(description="days that differ")] = ()


class ShiftInstance(msgspec.Struct, frozen=True):
    """One shift on one day, in UTC. `breaks` are sorted, within it and do not overlap."""

    name: str
    day: date
    start_ns: int
    end_ns: int
    breaks: tuple[Interval, ...] = ()

    @property
    def planned(self) -> tuple[Interval, ...]:
        """The planned busy time of the shift: the shift without its breaks."""
        out: list[Interval] = []
        at = self.start_ns
        for start, end in self.breaks:
            if start > at:
                out.append(Interval(at, start))
            at = max(at, end)
        if at < self.end_ns:
            out.append(Interval(at, self.end_ns))
        return tuple(out)

    @property
    def planned_ns(self) -> int:
        """PBT of the whole shift, in ns."""
        return sum(stretch.length_ns for stretch in self.planned)


def parse_days(text: str) -> frozenset[int]:
    """Days of the week as numbers, Monday 0.

    >>> sorted(parse_days("Fri-Sun, Wed"))
    [2, 4, 5, 6]

    Raises ValueError naming the word that is no day.
    """
    out: set[int] = set()
    for word in re.split(r"\s*,\s*", text.strip()):
        first, dash, last = (part.strip().title() for part in word.partition("-"))
        for day in (first, last) if dash else (first,):
            if day not in DAYS:
                msg = f"{day!r} is no day; write {', '.join(DAYS)}"
                raise ValueError(msg)
        begin = DAYS.index(first)
        length = (DAYS.index(last) - begin) % 7 if dash else 0
        out.update((begin + step) % 7 for step in range(length + 1))
    return frozenset(out)


def parse_clock(text: str) -> tuple[int, int]:
    """HH:MM as hours and minutes; 24:00 is the end of the day. Raises ValueError."""
    match = _CLOCK.match(text.strip())
    if not match or (match[1] == "24" and match[2] != "00"):
        msg = f"{text!r} is no time of day; write HH:MM, for example 06:00"
        raise ValueError(msg)
    return int(match[1]), int(match[2])


def mistakes_in(calendar: Calendar) -> Iterator[str]:
    """Every sentence that is wrong in a calendar; nothing when it is fit for use."""
    shifts = [*calendar.shifts, *(shift for exception in calendar.exceptions for shift in exception.shifts)]
    readable = True
    for shift in shifts:
        try:
            parse_days(shift.days)
            parse_clock(shift.start)
            parse_clock(shift.end)
            for pause in shift.breaks:
                begin, dash, end = pause.partition("-")
                if not dash:
                    msg = f"write the break {pause!r} as HH:MM-HH:MM"
                    raise ValueError(msg)  # noqa: TRY301  told like every other mistake of the shift
                parse_clock(begin)
                parse_clock(end)
        except ValueError as error:
            readable = False
            yield f"shift {shift.name}: {error}"
        else:
            seen = len(_instance(shift, date(2024, 1, 1), ZoneInfo("UTC")).breaks)
            if seen < len(shift.breaks):
                yield f"a break of shift {shift.name} lies outside {shift.start}-{shift.end}, so nobody would take it"
    if readable:
        yield from _overlaps(calendar)


def _overlaps(calendar: Calendar) -> Iterator[str]:
    """Shifts that run at the same time: in the usual week, and around each day that differs.

    By the wall clock, as the file says it; what a clock change does to a night is nobody's mistake.
    """
    monday = date(2024, 1, 1)
    week = [monday + timedelta(days=day) for day in range(8)]
    yield from _clashes(calendar, {}, week)
    special = {exception.on: exception.shifts for exception in calendar.exceptions}
    for on in sorted(special):
        yield from _clashes(calendar, special, [on + timedelta(days=step) for step in (-1, 0, 1)], on)


def _clashes(
    calendar: Calendar, special: Mapping[date, tuple[Shift, ...]], days: Sequence[date], only: date | None = None
) -> Iterator[str]:
    instances = [_instance(shift, day, ZoneInfo("UTC")) for day in days for shift in _shifts_on(calendar, special, day)]
    told: set[tuple[str, str]] = set()
    for index, one in enumerate(instances):
        for other in instances[index + 1 :]:
            both = Interval(one.start_ns, one.end_ns).overlap(Interval(other.start_ns, other.end_ns))
            if both is None or (one.name, other.name) in told or (only and only not in (one.day, other.day)):
                continue
            told.add((one.name, other.name))
            start, end = (to_datetime(moment, ZoneInfo("UTC")) for moment in both)
            when = only.isoformat() if only else DAYS[start.weekday()]
            pair = f"shifts {one.name} and {other.name}" if one.name != other.name else f"two shifts {one.name}"
            yield f"{pair} overlap: {when} {start:%H:%M}-{end:%H:%M} lies in both"


def _shifts_on(calendar: Calendar, special: Mapping[date, tuple[Shift, ...]], day: date) -> Iterable[Shift]:
    usual = (shift for shift in calendar.shifts if day.weekday() in parse_days(shift.days))
    return special.get(day, usual)


def _wall(day: date, clock: str, zone: ZoneInfo) -> int:
    hours, minutes = parse_clock(clock)
    moment = datetime.combine(day + timedelta(days=hours // 24), time(hours % 24, minutes), tzinfo=zone)
    return from_datetime(moment)


def _instance(shift: Shift, day: date, zone: ZoneInfo) -> ShiftInstance:
    overnight = parse_clock(shift.end) <= parse_clock(shift.start)
    start_ns = _wall(day, shift.start, zone)
    end_ns = _wall(day + timedelta(days=overnight), shift.end, zone)
    breaks = []
    for pause in shift.breaks:
        begin, _, end = pause.partition("-")
        on_next_day = overnight and parse_clock(begin) < parse_clock(shift.start)
        wraps = parse_clock(end) <= parse_clock(begin)
        start = _wall(day + timedelta(days=on_next_day), begin, zone)
        stop = _wall(day + timedelta(days=on_next_day + wraps), end, zone)
        inside = Interval(start, stop).overlap(Interval(start_ns, end_ns))
        if inside:
            breaks.append(inside)
    return ShiftInstance(shift.name, day, start_ns, end_ns, tuple(sorted(breaks)))


def shifts_between(calendar: Calendar, zone: ZoneInfo, start_ns: int, end_ns: int) -> list[ShiftInstance]:
    """Every shift that touches [start_ns, end_ns), in order of start, whole (not cut to the stretch)."""
    if start_ns >= end_ns:
        return []
    special = {exception.on: exception.shifts for exception in calendar.exceptions}
    day = to_datetime(start_ns, zone).date() - timedelta(days=2)
    last = to_datetime(end_ns - 1, zone).date()
    out = []
    while day <= last:
        for shift in _shifts_on(calendar, special, day):
            instance = _instance(shift, day, zone)
            if instance.start_ns < end_ns and instance.end_ns > start_ns:
                out.append(instance)
        day += timedelta(days=1)
    return sorted(out, key=lambda instance: instance.start_ns)


def shift_at(calendar: Calendar, zone: ZoneInfo, time_ns: int) -> ShiftInstance | None:
    """The shift in progress at a moment (the later one where two overlap), or None."""
    current = shifts_between(calendar, zone, time_ns, time_ns + 1)
    return current[-1] if current else None
