"""The arithmetic of one running counter: what its numbers say was made, and what they do not.

A counter is declared with its width, its reset rule and whether it keeps its number over a restart
of its controller (`model.plant.Counter`). From one good sample to the next it

* goes up by at most `max_step`: so many were made, also over an outage, told at the first good sample;
* stands still, or falls back by one and comes up again: a repeat; nothing was made;
* wraps: it fell by nearly its whole width; what is missing to the width was made too;
* resets: it fell as its rule allows; what it shows since 0 was made (`zero`), or it counts on (`any`);
* shows 0 after an outage though it persists, and then stands where it stood or above: a controller that
  started up; what it lacks to its old number was made before and is not counted twice;
* leaps, or falls as its rule does not allow: a fault. Nothing was made; the number is believed as the
  new start when a later sample counts on from it, and forgotten when one returns to where it was.

The first sample ever is where counting starts from.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.model.plant import Counter
from isthmus.model.samples import Series
from isthmus.production.signals import usable


class CounterState(msgspec.Struct):
    """Where a counter stands. None before its first good sample."""

    last: int | float | None = None
    """The number up to which everything is counted."""
    suspect: int | float | None = None
    """A number after a leap, until a later sample counts on from it."""
    before: int | float | None = None
    """Where a persistent counter stood that shows 0 after an outage, until it shows another number."""
    gap: bool = False
    """True when a Bad sample came since the last good one: the controller may have restarted."""


def made(counter: Counter, state: CounterState, series: Series) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """When something was made and how many pieces, both of shape (steps,); no step is 0.

    Counting in whole counts and multiplying once keeps the result free of the order of batches.
    """
    good = usable(series)
    values = series.value[good]
    gap = _after_gap(state, good)
    counts = _events(counter, values) if counter.event else _steps(counter, state, values, gap)
    moved = counts != 0
    return series.time_ns[good][moved], counts[moved] * counter.per_count


def _events(counter: Counter, values: NDArray[np.generic]) -> NDArray[np.float64]:
    if values.dtype == object:
        return np.zeros(len(values))
    worth = values.astype(np.float64)
    return np.where((worth > 0) & (worth <= counter.max_step), worth, 0.0)


def _after_gap(state: CounterState, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each good sample whether a Bad one stands before it; brings `state.gap` up to date."""
    if not len(good):
        return good
    after = np.empty(len(good), np.bool_)
    after[0] = state.gap
    after[1:] = ~good[:-1]
    state.gap = not good[-1]
    return after[good]


def _steps(
    counter: Counter, state: CounterState, values: NDArray[np.generic], gap: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Counts made at each value, shape (values,): whole columns where all goes up, one by one where not."""
    if values.dtype == object:
        return np.zeros(len(values))
    numbers = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    counts = np.zeros(len(numbers))
    rise = np.diff(numbers)
    odd = np.flatnonzero((rise < 0) | (rise > counter.max_step)) + 1
    at = 0
    while at < len(numbers):
        value = numbers[at].item()
        counts[at] = _step(counter, state, value, after_gap=bool(gap[at]))
        at += 1
        if state.suspect is None and state.before is None and state.last == value:
            nearest = np.searchsorted(odd, at)
            until = int(odd[nearest]) if nearest < len(odd) else len(numbers)
            if until > at:
                counts[at:until] = rise[at - 1 : until - 1]
                state.last = numbers[until - 1].item()
                at = until
    return counts


def _step(counter: Counter, state: CounterState, value: float, *, after_gap: bool) -> float:
    """What one number says was made since the one before; brings `state` up to date."""
    if state.last is None:
        state.last = value
        return 0
    if state.before is not None and value != 0:
        last, state.before = state.before, None
        state.last = last if 0 <= value - last <= counter.max_step else state.last
    rise = value - state.last
    if 0 <= rise <= counter.max_step:
        state.last, state.suspect = value, None
        return rise
    if value == state.suspect:
        return 0
    if state.suspect is not None and 0 < value - state.suspect <= counter.max_step:
        rise = value - state.suspect
        state.last, state.suspect = value, None
        return rise
    fallen = _fallen(counter, state.last, value, after_gap=after_gap) if rise < 0 else None
    if fallen is None:
        state.suspect = value
        return 0
    counts, shown = fallen
    if after_gap and counter.persists and not (value or counts or shown):
        state.before = state.last
    state.last, state.suspect = shown, None
    return counts


def _fallen(counter: Counter, last: float, value: float, *, after_gap: bool) -> tuple[float, float] | None:
    """Counts made and the new number behind a fall, or None when the counter's rule does not allow it."""
    resets = counter.reset != "never"
    if counter.width is not None:
        wrapped = value - last + 2**counter.width
        most = 2 ** (counter.width - 2) if resets else 2**counter.width - 2
        if 0 < wrapped <= min(most, counter.max_step):
            return wrapped, value
    restarted = after_gap and not counter.persists
    if last - value <= 1 and not restarted and not (value == 0 and resets):
        return 0, last
    if value < 0 or value > counter.max_step:
        return (0, value) if counter.reset == "any" else None
    if counter.reset == "zero" or restarted:
        return value, value
    return (0, value) if counter.reset == "any" else None
