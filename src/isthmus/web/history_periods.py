"""Questions by the plant's own days, weeks, months and shifts, which are not all equally long.

An operator's buckets have one length. Here it is asked of each period by itself, as one bucket: so the day
on which the clock changes has its 23 or 25 hours, and a month of meters is the month on the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from litestar.exceptions import ClientException

from isthmus.model.calendar import Calendar, shifts_between
from isthmus.model.plant import Plant
from isthmus.model.time import NS_PER_HOUR, Interval, from_datetime, to_datetime

Every = Literal["", "day", "week", "month", "year", "shift"]
MOST_PERIODS: Final = 1000
WHOLE_NS: Final = NS_PER_HOUR << 20
"""A bucket from 1970 on that no period leaves; whole hours, so that rollups answer it."""


def periods(plant: Plant, every: str, calendar: str, start_ns: int, end_ns: int) -> list[Interval]:
    """The periods that touch [start_ns, end_ns), whole, in order. Raises ClientException for none, and for too many."""
    if every == "shift":
        found = shifts_between(_calendar(plant, calendar), plant.zone, start_ns, _bounded(start_ns, end_ns))
        out = [Interval(each.start_ns, each.end_ns) for each in found]
    else:
        out = _of_days(every, plant.zone, start_ns, end_ns)
    if not out:
        raise ClientException(detail="No shift of that calendar touches what is asked.")
    if len(out) > MOST_PERIODS:
        raise ClientException(detail=f"That are more than {MOST_PERIODS} periods; ask for less, or for longer ones.")
    return out


def by_period(asked: Sequence[Interval], ask: Callable[[Interval], pa.Table]) -> pa.Table:
    """The answers to one bucket each, put together; `bucket_ns` is when the period began, in (tag, time) order."""
    found = []
    for each in asked:
        table = ask(each)
        begins = pa.array([each.start_ns] * table.num_rows, pa.int64())
        found.append(table.set_column(table.column_names.index("bucket_ns"), "bucket_ns", begins))
    return pa.concat_tables(found).sort_by([("tag", "ascending"), ("bucket_ns", "ascending")])


def with_windows(table: pa.Table, windows: Sequence[Interval]) -> pa.Table:
    """State durations with when each window begins and ends."""
    edges = {"start_ns": [each.start_ns for each in windows], "end_ns": [each.end_ns for each in windows]}
    for name, values in edges.items():
        table = table.append_column(name, pc.take(pa.array(values, pa.int64()), table["window"]))
    return table


def _calendar(plant: Plant, name: str) -> Calendar:
    if not name and len(plant.calendars) == 1:
        return next(iter(plant.calendars.values()))
    if name not in plant.calendars:
        raise ClientException(detail=f"Name a calendar of the plant file: calendar={' or '.join(plant.calendars)}")
    return plant.calendars[name]


def _bounded(start_ns: int, end_ns: int) -> int:
    """Not so much later that counting the periods takes long."""
    return min(end_ns, start_ns + (MOST_PERIODS + 7) * 24 * NS_PER_HOUR)


def _of_days(every: str, zone: ZoneInfo, start_ns: int, end_ns: int) -> list[Interval]:
    day = to_datetime(start_ns, zone).date()
    if every == "week":
        day -= timedelta(days=day.weekday())
    elif every in {"month", "year"}:
        day = day.replace(day=1, month=1 if every == "year" else day.month)
    out: list[Interval] = []
    while (begins := _midnight(day, zone)) < end_ns and len(out) <= MOST_PERIODS:
        day = _next(every, day)
        out.append(Interval(begins, _midnight(day, zone)))
    return out


def _next(every: str, day: date) -> date:
    if every in {"day", "week"}:
        return day + timedelta(days=1 if every == "day" else 7)
    if every == "year" or day.month == 12:  # noqa: PLR2004  December
        return date(day.year + 1, 1, 1)
    return day.replace(month=day.month + 1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return from_datetime(datetime.combine(day, time(), tzinfo=zone))
