"""What can be asked of history: frozen questions, the same for every engine.

Every answer is an Arrow table. Intervals are half-open; buckets are aligned to 1970-01-01T00:00Z
(to `origin_ns` where the operator has one). Bad samples carry no value into any sum.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.model.time import Interval


class _Operator(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Last(_Operator, frozen=True, kw_only=True):
    """The newest sample of each tag before `end`: tag, time_ns, status, f64, i64, str."""


class Raw(_Operator, frozen=True, kw_only=True):
    """Every sample, in (tag, time) order: tag, time_ns, status, f64, i64, str.

    `before` adds, for each tag, the sample that was in force at `start` (the last one before it).
    """

    before: bool = False


class Aggregate(_Operator, frozen=True, kw_only=True):
    """Minimum, maximum, mean and count by bucket: tag, bucket_ns, n, n_good, min, max, mean, first, last."""

    bucket_ns: int


class TimeWeightedMean(_Operator, frozen=True, kw_only=True):
    """Mean by bucket, weighted by how long each value held: tag, bucket_ns, mean, good_ns.

    The value before the bucket is carried over its edge; stretches with a Bad status weigh nothing.
    """

    bucket_ns: int
    origin_ns: int = 0


class StateDurations(_Operator, frozen=True, kw_only=True):
    """How long each value held in each window: tag, window, value (str), duration_ns.

    The value in force at a window's start is carried into it. A Bad stretch has value null.
    """

    windows: tuple[Interval, ...]


class AsOf(_Operator, frozen=True, kw_only=True):
    """For each asked moment the sample then in force: tag, at_ns, time_ns, status, f64, i64, str."""

    at_ns: tuple[int, ...]


class Decimate(_Operator, frozen=True, kw_only=True):
    """At most `points` points a tag that look like all of them: tag, time_ns, value.

    `minmax` keeps both extremes of each stretch; `lttb` the largest triangles (Steinarsson 2013).
    """

    points: int = 600
    method: Literal["minmax", "lttb"] = "minmax"


class CounterDelta(_Operator, frozen=True, kw_only=True):
    """How far a running counter moved by bucket, resets and wraps counted on: tag, bucket_ns, delta.

    `width` is the counter's bits; 0 when it never wraps.
    """

    bucket_ns: int
    width: int = 0


class Integral(_Operator, frozen=True, kw_only=True):
    """The integral over time by bucket, value times seconds: tag, bucket_ns, integral, good_ns."""

    bucket_ns: int


class Coverage(_Operator, frozen=True, kw_only=True):
    """How much of each bucket was observed with a value that is not Bad: tag, bucket_ns, good_ns, bad_ns, n."""

    bucket_ns: int


class Gaps(_Operator, frozen=True, kw_only=True):
    """Stretches in which a tag had no usable value for longer than `longer_ns`: tag, start_ns, end_ns."""

    longer_ns: int


class TopReasons(_Operator, frozen=True, kw_only=True):
    """The values of a text tag by the time they held, longest first: value, duration_ns, n."""

    limit: int = 10


Operator = (
    Last
    | Raw
    | Aggregate
    | TimeWeightedMean
    | StateDurations
    | AsOf
    | Decimate
    | CounterDelta
    | Integral
    | Coverage
    | Gaps
    | TopReasons
)
