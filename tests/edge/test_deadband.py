"""The deadband holds back what hardly moved, and never a count, a state or a change of status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as some

from isthmus.edge.deadband import Deadband
from isthmus.edge.source import Tag
from isthmus.model import status as st
from isthmus.model.samples import ValueKind, columns
from isthmus.model.time import NS_PER_S


def floats(rows: Sequence[tuple[int, float, float | None, int]]) -> pa.RecordBatch:
    tag, seconds, value, status = zip(*rows, strict=True)
    times = [int(second * NS_PER_S) for second in seconds]
    return columns(ValueKind.F64, tag, np.array(times, np.int64), np.array(status, np.uint32), list(value))


def passed(batch: pa.RecordBatch) -> list[Any]:
    return batch.column("value").to_pylist()


def test_a_value_that_hardly_moves_is_held_back_and_one_that_drifts_is_not() -> None:
    deadband = Deadband([Tag(name="t", deadband=1.0)])
    rows = [(0, second, 20.0 + 0.3 * second, st.GOOD) for second in range(11)]
    assert passed(deadband.passing(floats(rows))) == [20.0, 21.2, 22.4]


def test_the_heartbeat_says_that_a_quiet_value_still_lives() -> None:
    deadband = Deadband([Tag(name="t", deadband=1.0, heartbeat_s=10)])
    rows = [(0, second, 20.0, st.GOOD) for second in range(25)]
    assert deadband.passing(floats(rows)).column("time_ns").to_pylist() == [0, 10 * NS_PER_S, 20 * NS_PER_S]


def test_a_change_of_status_always_passes() -> None:
    deadband = Deadband([Tag(name="t", deadband=100.0)])
    rows = [
        (0, 0, 1.0, st.GOOD),
        (0, 1, 1.0, st.GOOD),
        (0, 2, None, st.BAD_TIMEOUT),
        (0, 3, None, st.BAD_TIMEOUT),
        (0, 4, 1.0, st.GOOD),
    ]
    assert passed(deadband.passing(floats(rows))) == [1.0, None, 1.0]


def test_a_clock_that_goes_back_does_not_silence_a_tag() -> None:
    deadband = Deadband([Tag(name="t", deadband=100.0, heartbeat_s=60)])
    assert passed(deadband.passing(floats([(0, 10_000, 1.0, 0), (0, 5_000, 1.0, 0), (0, 5_001, 1.0, 0)]))) == [1.0, 1.0]


def test_counts_states_and_texts_are_never_held_back() -> None:
    for kind, value in ((ValueKind.I64, 7), (ValueKind.BOOL, True), (ValueKind.STR, "RUN")):
        deadband = Deadband([Tag(name="t", kind=kind, deadband=1000.0), Tag(name="u", deadband=1.0)])
        batch = columns(kind, [0, 0, 0], [1, 2, 3], [0, 0, 0], [value] * 3)
        assert deadband.passing(batch).num_rows == 3


@given(
    some.lists(
        some.tuples(
            some.integers(0, 2),
            some.integers(0, 40).map(float),
            some.none() | some.sampled_from([0.0, 0.4, 1.0, 1.1, 5.0, float("nan"), float("inf")]),
            some.sampled_from([st.GOOD, st.BAD_TIMEOUT]),
        ),
        min_size=1,
    ),
    some.integers(1, 7),
)
def test_whole_columns_are_judged_as_row_after_row_would_be(
    rows: list[tuple[int, float, float | None, int]], at_once: int
) -> None:
    tags = [Tag(name=f"t{number}", deadband=number * 1.0, heartbeat_s=15) for number in range(3)]
    together, single = Deadband(tags), Deadband(tags)
    columnwise: list[Any] = []
    for start in range(0, len(rows), at_once):
        columnwise += together.passing(floats(rows[start : start + at_once])).column("time_ns").to_pylist()
    rowwise = [time for row in rows for time in single.passing(floats([row])).column("time_ns").to_pylist()]
    assert columnwise == rowwise
