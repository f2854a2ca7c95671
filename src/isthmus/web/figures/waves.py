"""Bursts of fast signals for pages: one burst as a line, the steps from one to the next, how strong they were."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.model import status as st
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S
from isthmus.model.waveforms import readings
from isthmus.web.house import House

MOST_READINGS: Final = 4_000_000
"""Readings that are looked at for one answer."""
_SPANS: Final = (NS_PER_HOUR, NS_PER_DAY, 30 * NS_PER_DAY, 3660 * NS_PER_DAY)


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """One burst, thinned to the extremes of each stretch so that it looks the same."""

    tag: str
    unit: str
    time_ns: int
    status: int
    status_words: str
    interval_ns: float
    rate_hz: float
    readings: int
    rms: float | None
    """Root of the mean square of the readings; None without any."""
    peak: float | None
    """The largest reading without its sign."""
    x_s: list[float]
    """Since the first reading."""
    value: list[float]


class Strength(msgspec.Struct, frozen=True, kw_only=True):
    """How strong one burst was."""

    time_ns: int
    status: int
    readings: int
    rate_hz: float
    rms: float | None
    peak: float | None


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """A burst's place among its tag's, by the time of the first reading; None where there is no other."""

    at_ns: int
    before_ns: int | None
    after_ns: int | None
    newest_ns: int


def newest_before(house: House, tag: int, before_ns: int) -> int | None:
    """When the last burst before a moment began, at most ten years back."""
    for span in _SPANS:
        found = house.site.historian.burst_times(tag, before_ns - span, before_ns)
        if len(found):
            return int(found[-1])
    return None


def first_from(house: House, tag: int, from_ns: int) -> int | None:
    """When the first burst at or after a moment began."""
    now = house.clock() + NS_PER_HOUR
    for span in _SPANS:
        found = house.site.historian.burst_times(tag, from_ns, min(from_ns + span, now))
        if len(found):
            return int(found[0])
    return None


def steps(house: House, tag: int, at_ns: int | None) -> Steps | None:
    """The burst that began last at or before `at_ns`, or the newest, and its neighbours; None when there is none."""
    newest = newest_before(house, tag, house.clock() + NS_PER_HOUR)
    if newest is None:
        return None
    at = newest if at_ns is None else newest_before(house, tag, at_ns + 1)
    if at is None:
        at = first_from(house, tag, at_ns or 0) or newest
    return Steps(
        at_ns=at, before_ns=newest_before(house, tag, at), after_ns=first_from(house, tag, at + 1), newest_ns=newest
    )


def wave(house: House, tag: int, at_ns: int, points: int) -> Wave | None:
    """The burst that began at `at_ns`, None when there is none."""
    table = house.site.historian.bursts([tag], at_ns, at_ns + 1)
    if not table.num_rows:
        return None
    info = house.site.tags.info(tag)
    interval = float(table["interval_ns"][0].as_py())
    values = readings(table["value"][0])
    place = _extremes(values, points)
    status = int(table["status"][0].as_py())
    rms, peak = _strong(values)
    return Wave(
        tag=info.name,
        unit=info.unit,
        time_ns=at_ns,
        status=status,
        status_words=st.words(status),
        interval_ns=interval,
        rate_hz=NS_PER_S / interval if interval else 0.0,
        readings=len(values),
        rms=rms,
        peak=peak,
        x_s=(place * (interval / NS_PER_S)).tolist(),
        value=values[place].astype(np.float64).tolist(),
    )


def strengths(house: House, tag: int, start_ns: int, end_ns: int) -> tuple[list[Strength], bool]:
    """How strong each burst of a stretch was; True when only its last part is told, as it has too many readings."""
    times = house.site.historian.burst_times(tag, start_ns, end_ns)
    if not len(times):
        return [], False
    newest = house.site.historian.bursts([tag], int(times[-1]), int(times[-1]) + 1)
    most = max(MOST_READINGS // max(len(readings(newest["value"][0])), 1), 1)
    begin = int(times[-most:][0])
    table = house.site.historian.bursts([tag], begin, end_ns)
    out = []
    for time_ns, status, interval, row in zip(
        table["time_ns"].to_pylist(),
        table["status"].to_pylist(),
        table["interval_ns"].to_pylist(),
        table["value"],
        strict=True,
    ):
        values = readings(row)
        rms, peak = _strong(values)
        rate = NS_PER_S / interval if interval else 0.0
        out.append(Strength(time_ns=time_ns, status=status, readings=len(values), rate_hz=rate, rms=rms, peak=peak))
    return out, len(times) > most


def _strong(values: NDArray[np.float32]) -> tuple[float | None, float | None]:
    """Root of the mean square, and the largest without its sign."""
    exact = values[np.isfinite(values)].astype(np.float64)
    if not len(exact):
        return None, None
    return float(np.sqrt(np.mean(exact * exact))), float(np.max(np.abs(exact)))


def _extremes(values: NDArray[np.float32], points: int) -> NDArray[np.int64]:
    """Places of the smallest and the largest reading of each of points / 2 stretches; all where there are few."""
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= points:
        return finite
    parts = np.array_split(finite, points // 2)
    low = [part[np.argmin(values[part])] for part in parts]
    high = [part[np.argmax(values[part])] for part in parts]
    return np.unique(np.array([low, high]))
