"""What can be asked of history: frozen questions, the same for every engine.

Every answer is an Arrow table. Intervals are half-open; buckets are aligned to 1970-01-01T00:00Z
(to `origin_ns` where the operator has one) and named by their start, which may lie before the
question's. Tags come in order of their ids, and within a tag all in order of time.

A sample is *usable* when it has a value, its status is not Bad and it is not NaN; no other carries
into any figure. Truths count as 0 and 1. Each value holds until the next sample of its tag, of
whatever status; the last one holds to the end of what is asked. What was in force at the start of a
question is carried into it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from isthmus.model.time import NS_PER_DAY, Interval

COUNTED_BACK_NS: Final = 366 * NS_PER_DAY
"""How far before a question the last usable reading of a counter is looked for."""


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
    """Minimum, maximum, mean and count by bucket: tag, bucket_ns, n, n_good, min, max, mean, first, last.

    `n` counts every sample, `n_good` the usable ones; the figures are null where no usable one is a
    number. Buckets without a sample are absent.
    """

    bucket_ns: int


class TimeWeightedMean(_Operator, frozen=True, kw_only=True):
    """Mean by bucket, weighted by how long each value held: tag, bucket_ns, mean, good_ns.

    Stretches without a usable number weigh nothing; a bucket without any is absent.
    """

    bucket_ns: int
    origin_ns: int = 0


class StateDurations(_Operator, frozen=True, kw_only=True):
    """How long each value held in each window: tag, window, value (str), duration_ns.

    `window` counts from 0. Windows are cut to what is asked; whole numbers are written without a
    decimal point. A stretch that is not usable has value null; what came before a tag's first sample
    is no stretch at all.
    """

    windows: tuple[Interval, ...]


class AsOf(_Operator, frozen=True, kw_only=True):
    """For each asked moment the sample then in force: tag, at_ns, time_ns, status, f64, i64, str.

    The moments alone count, not the question's start and end. A moment before a tag's first sample
    has no row.
    """

    at_ns: tuple[int, ...]


class Decimate(_Operator, frozen=True, kw_only=True):
    """At most `points` points a tag that look like all of them: tag, time_ns, value.

    Usable numbers only, each a sample that was. `minmax` keeps both extremes of each stretch; `lttb`
    the largest triangles (Steinarsson 2013) among four times as many extremes. Stretches of four
    minutes and more are whole minutes, of four hours and more whole hours. A tag with no more than
    `points` comes whole; fewer than four are never made of more.
    """

    points: int = 600
    method: Literal["minmax", "lttb"] = "minmax"


class CounterDelta(_Operator, frozen=True, kw_only=True):
    """How far a running counter moved by bucket, resets and wraps counted on: tag, bucket_ns, delta.

    `width` is the counter's bits; 0 when it never wraps. A step back is a wrap when the step across it
    is shorter than half the counter's range, and else a reset to 0. A step counts where it ends: also
    one from before `start`, and where what was in force at `start` is not usable, from the last usable
    number before it, up to 366 days back. So the answers of days add up to that of their month.
    """

    bucket_ns: int
    width: int = 0


class Integral(_Operator, frozen=True, kw_only=True):
    """The integral over time by bucket, value times seconds: tag, bucket_ns, integral, good_ns.

    Stretches without a usable number weigh nothing; a bucket without any is absent.
    """

    bucket_ns: int


class Coverage(_Operator, frozen=True, kw_only=True):
    """How much of each bucket was observed: tag, bucket_ns, good_ns, bad_ns, n.

    `good_ns` with a usable value in force, `bad_ns` with another; the rest came before the tag's first
    sample. `n` counts samples.
    """

    bucket_ns: int


class Gaps(_Operator, frozen=True, kw_only=True):
    """Stretches in which a tag had no usable value for longer than `longer_ns`: tag, start_ns, end_ns.

    Before a tag's first sample it had none.
    """

    longer_ns: int


class TopReasons(_Operator, frozen=True, kw_only=True):
    """The values of a text tag by the time they held, longest first: value, duration_ns, n.

    Over all tags asked; `n` counts how often the value began, the one carried in included.
    """

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
