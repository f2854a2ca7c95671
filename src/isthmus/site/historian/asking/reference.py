"""What each question of model.query means, in plain Python over one tag at a time.

Written to be read and checked by hand, not to be fast. Every engine's text is held against it by
tests/conformance/test_historian.py.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from isthmus.model import query as q
from isthmus.model.status import is_bad
from isthmus.site.historian.asking.operators.decimate import largest_triangles, wanted, width_ns
from isthmus.site.historian.memory.rows import INT, NONE, REAL, TEXT, Rows

Row = tuple[Any, ...]
Value = float | int | str | None


class Sample(NamedTuple):
    """One sample as it was written."""

    time_ns: int
    status: int
    value: Value

    @property
    def usable(self) -> bool:
        """There is a value, its status is not Bad, and it is not NaN."""
        nan = isinstance(self.value, float) and math.isnan(self.value)
        return self.value is not None and not nan and not is_bad(self.status)

    @property
    def number(self) -> float | None:
        """The value as a double, None when it is not usable or a text."""
        return float(self.value) if self.usable and isinstance(self.value, int | float) else None

    @property
    def word(self) -> str | None:
        """The value as text, whole numbers without a decimal point; None when it is not usable."""
        if not self.usable:
            return None
        if isinstance(self.value, float) and self.value.is_integer() and abs(self.value) < 2.0**53:
            return str(int(self.value))
        return str(self.value)


class Held(NamedTuple):
    """One sample and the stretch in which it was in force."""

    since_ns: int
    until_ns: int
    sample: Sample


class Question(NamedTuple):
    """What is asked, of which past: every sample of each tag, in order of time."""

    operator: Any
    past: Mapping[int, list[Sample]]
    start_ns: int
    end_ns: int

    def within(self, tag: int) -> list[Sample]:
        """A tag's samples within the stretch."""
        return [each for each in self.past[tag] if self.start_ns <= each.time_ns < self.end_ns]

    def opening(self, tag: int) -> list[Sample]:
        """What was in force when the stretch began: one sample or none."""
        return [each for each in self.past[tag] if each.time_ns < self.start_ns][-1:]

    def counted_from(self, tag: int) -> list[Sample]:
        """What a counter's first step begins at: what was in force, or the last usable number before it."""
        since_ns = self.start_ns - q.COUNTED_BACK_NS
        usable = [
            each for each in self.past[tag] if since_ns <= each.time_ns < self.start_ns and each.number is not None
        ]
        return self.opening(tag) if any(each.number is not None for each in self.opening(tag)) else usable[-1:]

    def held(self, tag: int) -> list[Held]:
        """Each value with the stretch in which it held, cut to the question's."""
        samples = self.opening(tag) + self.within(tag)
        edges = [max(each.time_ns, self.start_ns) for each in samples] + [self.end_ns]
        stretches = [Held(since, until, each) for each, (since, until) in zip(samples, pairwise(edges), strict=True)]
        return [each for each in stretches if each.until_ns > each.since_ns]


def past_of(rows: Rows, tags: Iterable[int]) -> dict[int, list[Sample]]:
    """The past of each tag from rows in (tag, time) order."""
    out: dict[int, list[Sample]] = {tag: [] for tag in tags}
    reals = rows.bits.view(np.float64).tolist()
    for at, (tag, time_ns, status, form) in enumerate(
        zip(rows.tag.tolist(), rows.time_ns.tolist(), rows.status.tolist(), rows.form.tolist(), strict=True)
    ):
        bits = int(rows.bits[at])
        value: Value = {NONE: None, REAL: reals[at], INT: bits}.get(form)
        out[tag].append(Sample(time_ns, status, rows.words.list[bits] if form == TEXT else value))
    return out


def answer(question: Question) -> list[Row]:
    """The rows of the answer, in its order."""
    return list(_ANSWERS[type(question.operator)](question))


def _columns(sample: Sample) -> tuple[int, int, float | None, int | None, str | None]:
    value = sample.value
    return (
        sample.time_ns,
        sample.status,
        value if isinstance(value, float) else None,
        value if isinstance(value, int) else None,
        value if isinstance(value, str) else None,
    )


def _last(ask: Question) -> Iterator[Row]:
    for tag in sorted(ask.past):
        for sample in (ask.opening(tag) + ask.within(tag))[-1:]:
            yield tag, *_columns(sample)


def _raw(ask: Question) -> Iterator[Row]:
    for tag in sorted(ask.past):
        for sample in (ask.opening(tag) if ask.operator.before else []) + ask.within(tag):
            yield tag, *_columns(sample)


def _as_of(ask: Question) -> Iterator[Row]:
    for tag in sorted(ask.past):
        for at_ns in sorted(ask.operator.at_ns):
            for sample in [each for each in ask.past[tag] if each.time_ns <= at_ns][-1:]:
                columns = _columns(sample)
                yield tag, at_ns, *columns


def _aggregate(ask: Question) -> Iterator[Row]:
    for tag in sorted(ask.past):
        buckets: dict[int, list[Sample]] = defaultdict(list)
        for sample in ask.within(tag):
            buckets[sample.time_ns - sample.time_ns % ask.operator.bucket_ns].append(sample)
        for bucket_ns, samples in sorted(buckets.items()):
            usable = sum(each.usable for each in samples)
            numbers = [each.number for each in samples if each.number is not None]
            if numbers:
                mean = math.fsum(numbers) / len(numbers) if all(map(math.isfinite, numbers)) else sum(numbers)
                yield tag, bucket_ns, len(samples), usable, min(numbers), max(numbers), mean, numbers[0], numbers[-1]
            else:
                yield tag, bucket_ns, len(samples), usable, None, None, None, None, None


def _parts(ask: Question, tag: int, origin_ns: int = 0) -> Iterator[tuple[int, int, Sample]]:
    """Bucket, length and sample of each stretch, cut at the edges of buckets."""
    length = ask.operator.bucket_ns
    for since, until, sample in ask.held(tag):
        at = since
        while at < until:
            bucket_ns = at - (at - origin_ns) % length
            stop = min(bucket_ns + length, until)
            yield bucket_ns, stop - at, sample
            at = stop


def _integrals(ask: Question, origin_ns: int = 0) -> Iterator[tuple[int, int, float, int]]:
    for tag in sorted(ask.past):
        area: dict[int, float] = defaultdict(float)
        length: dict[int, int] = defaultdict(int)
        for bucket_ns, length_ns, sample in _parts(ask, tag, origin_ns):
            if sample.number is not None:
                area[bucket_ns] += sample.number * length_ns
                length[bucket_ns] += length_ns
        for bucket_ns in sorted(area):
            yield tag, bucket_ns, area[bucket_ns], length[bucket_ns]


def _time_weighted_mean(ask: Question) -> Iterator[Row]:
    for tag, bucket_ns, area, length_ns in _integrals(ask, ask.operator.origin_ns):
        yield tag, bucket_ns, area / length_ns, length_ns


def _integral(ask: Question) -> Iterator[Row]:
    for tag, bucket_ns, area, length_ns in _integrals(ask):
        yield tag, bucket_ns, area / 1e9, length_ns


def _coverage(ask: Question) -> Iterator[Row]:
    for tag in sorted(ask.past):
        found: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for bucket_ns, length_ns, sample in _parts(ask, tag):
            found[bucket_ns][0 if sample.usable else 1] += length_ns
        for sample in ask.within(tag):
            found[sample.time_ns - sample.time_ns % ask.operator.bucket_ns][2] += 1
        for bucket_ns, (good_ns, bad_ns, count) in sorted(found.items()):
            yield tag, bucket_ns, good_ns, bad_ns, count


def _gaps(ask: Question) -> Iterator[Row]:
    for tag in sorted(ask.past):
        seen = [(each.since_ns, each.until_ns) for each in ask.held(tag) if each.sample.usable]
        edges = [(ask.start_ns, ask.start_ns), *seen, (ask.end_ns, ask.end_ns)]
        for (_, end_of_one), (start_of_next, _) in pairwise(edges):
            if start_of_next - end_of_one > ask.operator.longer_ns:
                yield tag, end_of_one, start_of_next


def _state_durations(ask: Question) -> Iterator[Row]:
    for tag in sorted(ask.past):
        for number, window in enumerate(ask.operator.windows):
            lengths: dict[str | None, int] = defaultdict(int)
            for since, until, sample in ask.held(tag):
                shared = min(until, window.end_ns) - max(since, window.start_ns)
                if shared > 0:
                    lengths[sample.word] += shared
            # Text in the order of its bytes; a stretch without a usable value comes last.
            for word in sorted(lengths, key=lambda word: (word is None, (word or "").encode())):
                yield tag, number, word, lengths[word]


def _top_reasons(ask: Question) -> Iterator[Row]:
    lengths: dict[str, int] = defaultdict(int)
    begun: dict[str, int] = defaultdict(int)
    for tag in ask.past:
        before: str | None = None
        for since, until, sample in ask.held(tag):
            if sample.word is not None:
                lengths[sample.word] += until - since
                begun[sample.word] += sample.word != before
            before = sample.word
    longest = sorted(lengths, key=lambda word: (-lengths[word], word.encode()))
    for word in longest[: ask.operator.limit]:
        yield word, lengths[word], begun[word]


def _counter_delta(ask: Question) -> Iterator[Row]:
    span = 2.0**ask.operator.width if ask.operator.width else 0.0
    for tag in sorted(ask.past):
        samples = [each for each in ask.counted_from(tag) + ask.within(tag) if each.usable]
        counted = [(each.time_ns, each.value) for each in samples if isinstance(each.value, int | float)]
        moved: dict[int, float] = defaultdict(float)
        for (_, one), (time_ns, other) in pairwise(counted):
            step = float(other - one)
            if step < 0:
                step = step + span if span and 0 <= step + span < span / 2 else float(other)
            moved[time_ns - time_ns % ask.operator.bucket_ns] += step
        for bucket_ns, delta in sorted(moved.items()):
            yield tag, bucket_ns, delta


def _decimate(ask: Question) -> Iterator[Row]:
    width = width_ns(ask.operator, ask.start_ns, ask.end_ns)
    for tag in sorted(ask.past):
        points = [(each.time_ns, each.number) for each in ask.within(tag) if each.number is not None]
        if len(points) > wanted(ask.operator):
            stretches: dict[int, list[tuple[int, float]]] = defaultdict(list)
            for time_ns, number in points:
                stretches[time_ns // width].append((time_ns, number))
            extremes = {min(found, key=lambda point: (point[1], point[0])) for found in stretches.values()}
            extremes |= {max(found, key=lambda point: (point[1], -point[0])) for found in stretches.values()}
            points = sorted(extremes)
        if ask.operator.method == "lttb" and points:
            times, numbers = (np.array(column) for column in zip(*points, strict=True))
            points = [points[index] for index in largest_triangles(times, numbers, ask.operator.points)]
        for time_ns, number in points:
            yield tag, time_ns, number


_ANSWERS: Final[Mapping[type, Callable[[Question], Iterator[Row]]]] = {
    q.Last: _last,
    q.Raw: _raw,
    q.Aggregate: _aggregate,
    q.TimeWeightedMean: _time_weighted_mean,
    q.StateDurations: _state_durations,
    q.AsOf: _as_of,
    q.Decimate: _decimate,
    q.CounterDelta: _counter_delta,
    q.Integral: _integral,
    q.Coverage: _coverage,
    q.Gaps: _gaps,
    q.TopReasons: _top_reasons,
}
