"""What every historian promises, and each operator's text against the reference that a person can check."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.model import query as q
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S, Interval
from isthmus.site.historian import Historian
from isthmus.site.historian.asking.reference import Question, answer, past_of
from isthmus.site.historian.sealed import rollup
from isthmus.site.historian.store import Store
from isthmus.site.historian.tags import TagBook

T0 = 20_400 * NS_PER_DAY
EVER = 2**62
SHM = Path("/dev/shm")  # noqa: S108  folders below it have names of their own
MEMORY = SHM if SHM.is_dir() else None
"""Many short lives of a store: what a disk takes to sync is not the point here."""
KINDS = (ValueKind.F64, ValueKind.I64, ValueKind.BOOL, ValueKind.STR)
MOMENTS = st.integers(0, 180).map(lambda step: T0 + step * 20 * NS_PER_MINUTE + step % 7)
VALUES: dict[ValueKind, st.SearchStrategy[Any]] = {
    ValueKind.F64: st.sampled_from([0.0, 1.0, 1.5, -2.25, 3e5, 0.1 + 0.2, math.nan]),
    ValueKind.I64: st.integers(-5, 5) | st.sampled_from([2**53 + 1, 2**62, 250, 255]),
    ValueKind.BOOL: st.booleans(),
    ValueKind.STR: st.sampled_from(["RUN", "IDLE", "", "größer", "1.5"]),
}
STATUS = st.sampled_from([0, 0, 0, 0x40900000, 0x80050000])


@st.composite
def writings(draw: st.DrawFn) -> list[tuple[ValueKind, list[tuple[int, int, int, Any]], str]]:
    """Batches of rows (tag, time, status, value), and what is done after each."""
    out = []
    for _ in range(draw(st.integers(1, 6))):
        number = draw(st.integers(0, 3))
        row = st.tuples(st.just(number + 1), MOMENTS, STATUS, st.none() | VALUES[KINDS[number]])
        after = draw(st.sampled_from(["", "seal", "seal", "compact"]))
        out.append((KINDS[number], draw(st.lists(row, min_size=1, max_size=40)), after))
    return out


@st.composite
def operators(draw: st.DrawFn) -> q.Operator:
    bucket = draw(st.sampled_from([NS_PER_HOUR, 7 * NS_PER_HOUR + 1, NS_PER_DAY, 90 * NS_PER_MINUTE]))
    window = st.tuples(MOMENTS, MOMENTS).map(lambda pair: Interval(min(pair), max(pair)))
    return draw(
        st.one_of(
            st.just(q.Last()),
            st.booleans().map(lambda before: q.Raw(before=before)),
            st.just(q.Aggregate(bucket_ns=bucket)),
            (st.integers(0, NS_PER_DAY) | st.integers(0, 24).map(NS_PER_HOUR.__mul__)).map(
                lambda at: q.TimeWeightedMean(bucket_ns=bucket, origin_ns=T0 + at)
            ),
            st.lists(window, max_size=4).map(lambda windows: q.StateDurations(windows=tuple(windows))),
            st.lists(MOMENTS, max_size=5, unique=True).map(lambda at: q.AsOf(at_ns=tuple(at))),
            st.tuples(st.integers(2, 24), st.sampled_from(["minmax", "lttb"])).map(
                lambda pair: q.Decimate(points=pair[0], method=pair[1])  # type: ignore[arg-type]
            ),
            st.sampled_from([0, 8, 16]).map(lambda width: q.CounterDelta(bucket_ns=bucket, width=width)),
            st.just(q.Integral(bucket_ns=bucket)),
            st.just(q.Coverage(bucket_ns=bucket)),
            st.integers(0, 5).map(lambda hours: q.Gaps(longer_ns=hours * NS_PER_HOUR)),
            st.integers(1, 4).map(lambda limit: q.TopReasons(limit=limit)),
        )
    )


def written(folder: Path, batches: list[tuple[ValueKind, list[tuple[int, int, int, Any]], str]]) -> Store:
    store = Store(folder, background=False)
    store.tags.intern_all([TagInfo(name=f"plc/{kind}", kind=kind) for kind in KINDS])
    for seq, (kind, rows, after) in enumerate(batches, 1):
        tag, time_ns, status, value = (list(column) for column in zip(*rows, strict=True))
        store.append([Batch(1, 1, seq, EVER, columns(kind, tag, time_ns, status, value))])
        if after:
            getattr(store, after)()
    return store


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other


@pytest.fixture(autouse=True)
def every_tag_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags with a sample or two are rolled up by the minute too."""
    monkeypatch.setattr(rollup, "BUSY_ROWS", 1)


def assert_same(table: pa.Table, wanted: list[tuple[Any, ...]]) -> None:
    found = [tuple(row.values()) for row in table.to_pylist()]
    assert len(found) == len(wanted), (found, wanted)
    for one, other in zip(found, wanted, strict=True):
        assert len(one) == len(other)
        assert all(same(*pair) for pair in zip(one, other, strict=True)), (one, other)


@settings(max_examples=40, deadline=None)
@example(  # Rolled up minutes stand for a stretch that ends before the only sample of its day.
    batches=[(ValueKind.F64, [(1, T0 + 20 * NS_PER_MINUTE + 1, 0, None)], "compact")],
    asked=[q.Aggregate(bucket_ns=NS_PER_HOUR)],
    edges=(T0, T0 + 20 * NS_PER_MINUTE + 1),
    tags=[1],
)
@example(  # A window without length holds nothing, not a value for no time.
    batches=[(ValueKind.F64, [(1, T0, 0, None)], "")],
    asked=[q.StateDurations(windows=(Interval(T0 + 20 * NS_PER_MINUTE, T0 + 20 * NS_PER_MINUTE),))],
    edges=(T0, T0 + 20 * NS_PER_MINUTE),
    tags=[1],
)
@given(
    batches=writings(),
    asked=st.lists(operators(), min_size=1, max_size=4),
    edges=st.tuples(MOMENTS, MOMENTS),
    tags=st.lists(st.integers(1, 4), min_size=1, unique=True),
)
def test_every_text_says_what_the_reference_says(
    batches: list[tuple[ValueKind, list[tuple[int, int, int, Any]], str]],
    asked: list[q.Operator],
    edges: tuple[int, int],
    tags: list[int],
) -> None:
    start_ns, end_ns = min(edges), max(edges) + 1
    with TemporaryDirectory(dir=MEMORY) as folder, written(Path(folder), batches) as store, store.view() as view:
        past = past_of(view.rows(None, 0, EVER), range(1, 5))
        schemas: dict[type, pa.Schema] = {}
        for operator in asked:
            wanted = answer(Question(operator, {tag: past[tag] for tag in tags}, start_ns, end_ns))
            assert_same(store.query(operator, tags, start_ns, end_ns), wanted)
            chosen = np.array(sorted(tags), np.int32)
            for rolled, arrays in ((True, True), (True, False), (False, True), (False, False)):
                ask = store._engine.ask(view, operator, chosen, start_ns, end_ns, rolled=rolled, arrays=arrays)
                assert_same(ask, wanted)
                schemas.setdefault(type(operator), ask.schema)
                assert ask.schema.equals(schemas[type(operator)])


@settings(max_examples=8, deadline=None)
@example(  # The device was away at midnight.
    batches=[
        (ValueKind.I64, [(2, T0, 0, 1), (2, T0 + NS_PER_HOUR, 0x80050000, None), (2, T0 + 3 * NS_PER_HOUR, 0, 5)], "")
    ],
    edges=[T0, T0 + 2 * NS_PER_HOUR, T0 + 4 * NS_PER_HOUR],
)
@given(batches=writings(), edges=st.lists(MOMENTS, min_size=3, max_size=3, unique=True).map(sorted))
def test_what_a_counter_moved_in_two_stretches_adds_up_to_the_whole(
    batches: list[tuple[ValueKind, list[tuple[int, int, int, Any]], str]], edges: list[int]
) -> None:
    begin, middle, end = edges
    with TemporaryDirectory(dir=MEMORY) as folder, written(Path(folder), batches) as store:
        asked = q.CounterDelta(bucket_ns=EVER, width=8)
        whole, *halves = (
            {row["tag"]: row["delta"] for row in store.query(asked, [1, 2, 3, 4], *each).to_pylist()}
            for each in ((begin, end), (begin, middle), (middle, end))
        )
        for tag in (1, 2, 3):
            parts = sum(each.get(tag, 0.0) for each in halves)
            assert math.isclose(whole.get(tag, 0.0), parts, rel_tol=1e-9, abs_tol=1e-6)


HISTORIANS: dict[str, Callable[[Path], Any]] = {"store": lambda folder: Store(folder, background=False)}


@pytest.fixture(params=HISTORIANS)
def historian(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with HISTORIANS[request.param](tmp_path) as opened:
        yield opened


def numbers(seq: int, tag: int, points: dict[int, float], received_ns: int = EVER) -> Batch:
    times = [T0 + second * NS_PER_S for second in points]
    batch = columns(ValueKind.F64, [tag] * len(times), times, [0] * len(times), list(points.values()))
    return Batch(1, 1, seq, received_ns, batch)


class Opened(Historian, Protocol):
    tags: TagBook


def kept(historian: Historian, tag: int) -> dict[int, float]:
    rows = historian.query(q.Raw(), [tag], 0, EVER).to_pylist()
    return {(row["time_ns"] - T0) // NS_PER_S: row["f64"] for row in rows}


def test_what_was_appended_is_seen_at_once_and_after_upkeep(historian: Opened) -> None:
    tag = historian.tags.intern(TagInfo(name="plc/a", kind=ValueKind.F64))
    historian.append([numbers(1, tag, {0: 1.0, 1: 2.0})])
    assert kept(historian, tag) == {0: 1.0, 1: 2.0}
    historian.maintain()
    assert kept(historian, tag) == {0: 1.0, 1: 2.0}


def test_a_batch_taken_before_is_passed_over(historian: Opened) -> None:
    tag = historian.tags.intern(TagInfo(name="plc/a", kind=ValueKind.F64))
    historian.append([numbers(1, tag, {0: 1.0})])
    historian.append([numbers(2, tag, {0: 5.0})])
    historian.append([numbers(1, tag, {0: 1.0}), numbers(3, tag, {1: 7.0})])
    assert kept(historian, tag) == {0: 5.0, 1: 7.0}


def test_of_two_samples_of_one_moment_the_later_arrival_stands(historian: Opened) -> None:
    tag = historian.tags.intern(TagInfo(name="plc/a", kind=ValueKind.F64))
    historian.append([numbers(1, tag, {0: 1.0, 5: 1.0}), numbers(2, tag, {5: 2.0})])
    historian.maintain()
    historian.append([numbers(3, tag, {0: 3.0})])
    assert kept(historian, tag) == {0: 3.0, 5: 2.0}


def test_no_tags_no_answer(historian: Opened) -> None:
    for operator in (q.Raw(), q.Last(), q.Aggregate(bucket_ns=NS_PER_HOUR), q.Gaps(longer_ns=0)):
        assert historian.query(operator, [], 0, EVER).num_rows == 0
