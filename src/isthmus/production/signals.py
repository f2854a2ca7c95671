"""Several tags, each with its own times, laid side by side: the last value of each at every moment.

A value holds until the next sample of its tag. A Bad sample, a missing value and NaN are *not known*;
Uncertain is usable (OPC UA Part 4, 7.39).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.model.samples import Samples, Series

Value = bool | int | float | str


class Column(NamedTuple):
    """One signal at every moment; both of shape (moments,). `value` means something only where `known`."""

    value: NDArray[Any]
    known: NDArray[np.bool_]


def usable(series: Series) -> NDArray[np.bool_]:
    """Which samples carry a value that may be used, shape (samples,)."""
    good = series.good
    return good & ~np.isnan(series.value) if series.value.dtype.kind == "f" else good


def side_by_side(
    held: dict[str, Value | None], samples: Samples, tags: Mapping[str, str]
) -> tuple[NDArray[np.int64], dict[str, Column]]:
    """The moments at which any signal changed, shape (moments,), and each signal at them.

    `tags` says the tag behind each signal. `held` keeps the last value of each signal from one stretch
    to the next, None for one that is not known, and is brought up to the stretch's end.
    """
    changes: dict[str, tuple[NDArray[np.int64], Column]] = {}
    for name, tag in tags.items():
        series = samples.series.get(tag)
        if series is not None and len(series.time_ns):
            known = usable(series)
            keep = _changed(held.get(name), series.value, known)
            keep[0] |= name not in held
            if keep.any():
                changes[name] = series.time_ns[keep], Column(series.value[keep], known[keep])
    if not changes:
        return np.empty(0, np.int64), {}
    moments = union([times for times, _ in changes.values()])
    out = {}
    for name in tags:
        before = _constant(held.get(name))
        out[name] = _filled(moments, before, *changes[name]) if name in changes else _spread(before, len(moments))
        if name in changes:
            held[name] = last_value(changes[name][1])
    return moments, out


def union(times: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Several ascending columns of moments as one, ascending and each moment once."""
    if not times:
        return np.empty(0, np.int64)
    if len(times) == 1:
        return times[0]
    every = np.sort(np.concatenate(times), kind="stable")  # stable merges runs that are sorted already
    first = np.ones(len(every), np.bool_)
    first[1:] = every[1:] != every[:-1]
    return every[first]


def last_value(column: Column) -> Value | None:
    """The last value as a plain Python value, None where it is not known."""
    if not column.known[-1]:
        return None
    value: Any = column.value[-1]
    return value.item() if isinstance(value, np.generic) else value


def _changed(before: Value | None, value: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a signal differs from its sample before: only there can anything follow from it."""
    keep = np.empty(len(value), np.bool_)
    keep[0] = known[0] != (before is not None) or (known[0] and value[0] != before)
    keep[1:] = (known[1:] != known[:-1]) | (known[1:] & (value[1:] != value[:-1]).astype(np.bool_))
    return keep


def _constant(value: Value | None) -> Column:
    if isinstance(value, str):
        array = np.empty(1, object)
        array[0] = value
        return Column(array, np.ones(1, np.bool_))
    return Column(np.array([0 if value is None else value]), np.array([value is not None]))


def _spread(column: Column, moments: int) -> Column:
    return Column(np.repeat(column.value, moments), np.repeat(column.known, moments))


def _filled(moments: NDArray[np.int64], before: Column, times: NDArray[np.int64], column: Column) -> Column:
    at = np.searchsorted(times, moments, side="right")
    value = np.concatenate([before.value if before.known[0] else column.value[:1], column.value])
    return Column(value[at], np.concatenate([before.known, column.known])[at])
