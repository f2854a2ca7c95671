"""A week of a plant in 2,000 tags: 33.6 million samples in the order in which they arrive.

     20 numbers every second   14 walks of two decimals, 3 of full noise, 3 of a 12-bit converter
    500 numbers every 30 s     four in five of two decimals, the fifth of full noise
     80 counters every 10 s    whole numbers
    400 truths                 about one change a minute
    200 states                 about one change in two minutes, six values
    700 numbers every 5 min    one decimal
    100 texts                  about one in ten minutes, batch numbers

Times are whole milliseconds with 3 ms of jitter; one sample in a hundred comes up to an hour late and
two in a thousand are Bad. About one sample in six is a double that nothing compresses: this is meant
to be hard. The same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.samples import ValueKind, columns
from isthmus.model.status import BAD_SENSOR_FAILURE, GOOD

T0_MS: Final = 1_767_571_200_000
"""Monday 2026-01-05, 00:00 UTC."""
DAY_MS: Final = 86_400_000
DAYS: Final = 7
ROWS_A_DAY: Final = 4_795_000
_JITTER_MS, _LATE, _LATE_MS, _BAD = 3, 0.01, 3_600_000, 0.002


class Group(NamedTuple):
    """Tags of one sort; ids begin at `first`."""

    name: str
    kind: ValueKind
    first: int
    tags: int


GROUPS: Final = (
    Group("second", ValueKind.F64, 1, 20),
    Group("half-minute", ValueKind.F64, 21, 500),
    Group("counter", ValueKind.I64, 521, 80),
    Group("truth", ValueKind.BOOL, 601, 400),
    Group("state", ValueKind.I64, 1001, 200),
    Group("five-minutes", ValueKind.F64, 1201, 700),
    Group("text", ValueKind.STR, 1901, 100),
)
KIND_OF: Final = np.zeros(2001, np.int8)
KINDS: Final = (ValueKind.F64, ValueKind.I64, ValueKind.BOOL, ValueKind.STR)
for _group in GROUPS:
    KIND_OF[_group.first : _group.first + _group.tags] = KINDS.index(_group.kind)


class History(NamedTuple):
    """Samples in order of arrival; every array has shape (samples,). Texts are batch numbers made from their value."""

    tag: NDArray[np.int32]
    time_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    status: NDArray[np.uint32]

    @property
    def rows(self) -> int:
        """How many samples."""
        return len(self.tag)


def group(name: str) -> Group:
    """The group of this name."""
    return next(each for each in GROUPS if each.name == name)


def make(days: float = DAYS, seed: int = 42) -> History:
    """The first `days` of the plant's history."""
    chance = np.random.default_rng(seed)
    parts = [signal for each in GROUPS for signal in _signals(each, days, chance)]
    tag = np.concatenate([np.full(len(times), number, np.int32) for number, times, _ in parts])
    time_ms = np.concatenate([times for _, times, _ in parts])
    value = np.concatenate([values for _, _, values in parts])
    rows = len(tag)
    arrival = time_ms + np.where(
        chance.random(rows) < _LATE, chance.integers(0, _LATE_MS, rows), chance.integers(0, 500, rows)
    )
    status = np.where(chance.random(rows) < _BAD, BAD_SENSOR_FAILURE, GOOD).astype(np.uint32)
    order = np.argsort(arrival, kind="stable")
    return History(tag[order], time_ms[order], value[order], status[order])


def _signals(
    of: Group, days: float, chance: np.random.Generator
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
    for index in range(of.tags):
        if of.name in {"truth", "state", "text"}:
            mean_ms = {"truth": 60_000, "state": 120_000, "text": 600_000}[of.name]
            gaps = chance.exponential(mean_ms, int(days * DAY_MS / mean_ms * 1.2) + 20)
            times = np.unique(np.cumsum(gaps).astype(np.int64))
            times = T0_MS + times[times < days * DAY_MS]
        else:
            step_ms = {"second": 1_000, "half-minute": 30_000, "counter": 10_000, "five-minutes": 300_000}[of.name]
            count = int(days * DAY_MS / step_ms)
            jitter = np.rint(chance.normal(0, _JITTER_MS, count)).astype(np.int64)
            times = T0_MS + index % (step_ms // 1000) * 1000 + np.arange(count, dtype=np.int64) * step_ms + jitter
        yield of.first + index, times, _values(of, index, times, chance)


def _values(of: Group, index: int, times: NDArray[np.int64], chance: np.random.Generator) -> NDArray[np.float64]:
    count = len(times)
    made: dict[str, Callable[[], NDArray[np.float64]]] = {
        "truth": lambda: (np.arange(count) % 2).astype(float),
        "state": lambda: chance.choice([1.0, 2, 3, 4, 5, 6], count, p=[0.5, 0.2, 0.1, 0.1, 0.06, 0.04]),
        "text": lambda: ((times // 600_000) % 1_000_000).astype(float),
        "counter": lambda: np.cumsum(chance.integers(0, 4, count) * (chance.random(count) < 0.8)).astype(float),
    }
    if of.name in made:
        return made[of.name]()
    if of.name == "second" and index >= 17:
        wave = 2048 + 1500 * np.sin(np.arange(count) / 600) + chance.normal(0, 4, count)
        return np.asarray(np.round(wave) / 40.96)
    if of.name == "second" and index >= 14:
        return 20 + chance.normal(0, 1, count)
    decimals = {"second": 2, "half-minute": 2 if index % 5 else None, "five-minutes": 1}[of.name]
    walk = np.cumsum(chance.normal(0, {"second": 0.05, "half-minute": 0.2, "five-minutes": 0.3}[of.name], count))
    walk = 50 + walk - np.linspace(0, walk[-1] if count else 0, count) * 0.9
    return walk if decimals is None else np.asarray(np.round(walk, decimals))


def cut(history: History, first: int, last: int) -> History:
    """The samples [first, last)."""
    return History(
        history.tag[first:last], history.time_ms[first:last], history.value[first:last], history.status[first:last]
    )


def text_of(value: float) -> str:
    """The text of a sample of the text group."""
    return f"BATCH-{int(value):06d}"


def batches(history: History, first: int, last: int) -> list[pa.RecordBatch]:
    """The samples [first, last) as columns, one batch for each value kind that is among them."""
    tag, value = history.tag[first:last], history.value[first:last]
    kind = KIND_OF[tag]
    out = []
    for number in np.unique(kind).tolist():
        rows = np.flatnonzero(kind == number)
        its: object = value[rows]
        if KINDS[number] is ValueKind.I64:
            its = value[rows].astype(np.int64)
        elif KINDS[number] is ValueKind.BOOL:
            its = value[rows].astype(bool)
        elif KINDS[number] is ValueKind.STR:
            its = [text_of(each) for each in value[rows]]
        times = history.time_ms[first:last][rows] * 1_000_000
        out.append(columns(KINDS[number], tag[rows], times, history.status[first:last][rows], its))
    return out
