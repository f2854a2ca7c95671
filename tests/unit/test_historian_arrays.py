"""What numpy answers beside what the texts say, where late samples and what is remembered could make them differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import ArrayLike, NDArray

from isthmus.model import query as q
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.historian.asking.arrays import answers, held
from isthmus.site.historian.memory.head import PIECE_ROWS, Head
from isthmus.site.historian.memory.points import Points, cut, places, starts
from isthmus.site.historian.memory.rows import Rows, Words
from isthmus.site.historian.sealed import view as view_module
from isthmus.site.historian.sealed.manifest import Segment
from isthmus.site.historian.sealed.parquet import SegmentFile
from isthmus.site.historian.sealed.view import Asked, Files
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
END = T0 + 3 * NS_PER_HOUR
TAGS = np.array([1, 2], np.int32)
PLOT = q.Decimate(points=60)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two tags by the second for three hours, sealed hour by hour."""
    with Store(tmp_path, background=False) as opened:
        opened.tags.intern_all([TagInfo(name="plc/a", kind=ValueKind.F64), TagInfo(name="plc/b", kind=ValueKind.F64)])
        chance = np.random.default_rng(5)
        for hour in range(3):
            times = np.repeat(T0 + hour * NS_PER_HOUR + np.arange(3600) * NS_PER_S, 2)
            status = np.where(chance.random(7200) < 0.01, 0x80050000, 0)
            values = np.round(chance.normal(0, 10, 7200), 1)
            put(opened, hour + 1, [np.tile(TAGS, 3600), times, values], status)
            opened.seal()
        yield opened


def put(store: Store, seq: int, samples: Sequence[ArrayLike], status: ArrayLike | None = None) -> None:
    """Append tags, times and values."""
    tag, time_ns, value = samples
    codes = np.zeros(len(np.asarray(tag))) if status is None else status
    store.append([Batch(1, 1, seq, END, columns(ValueKind.F64, tag, time_ns, codes, value))])


def told(store: Store, operator: q.Operator, *, arrays: bool = True, start_ns: int = T0) -> pa.Table:
    with store.view() as view:
        return store._engine.ask(view, operator, TAGS, start_ns, END, arrays=arrays)


def assert_same(store: Store, operator: q.Operator) -> pa.Table:
    found, wanted = told(store, operator), told(store, operator, arrays=False)
    assert found.schema == wanted.schema
    assert found.num_rows == wanted.num_rows > 0
    for one, other in zip(found.columns, wanted.columns, strict=True):
        if pa.types.is_floating(one.type):
            assert np.allclose(one.to_numpy(), other.to_numpy(), rtol=1e-9, atol=1e-9, equal_nan=True)
        else:
            assert one.equals(other)
    return found


@pytest.mark.parametrize(
    "operator",
    [
        q.Aggregate(bucket_ns=NS_PER_MINUTE),
        PLOT,
        q.TimeWeightedMean(bucket_ns=NS_PER_HOUR, origin_ns=7),
        q.Integral(bucket_ns=NS_PER_MINUTE),
        q.CounterDelta(bucket_ns=NS_PER_HOUR),
    ],
    ids=lambda each: type(each).__name__,
)
def test_late_samples_in_the_place_of_others_and_beside_them_count_once(store: Store, operator: q.Operator) -> None:
    assert_same(store, operator)
    times = [T0 + 60 * NS_PER_S, T0 + 61 * NS_PER_S + 5, T0 + 70 * NS_PER_S]
    put(store, 10, [[1, 1, 2], times, [1.0, 2.0, 99.0]])
    assert_same(store, operator)
    store.seal()
    assert_same(store, operator)
    store.compact()
    assert_same(store, operator)


def extreme(store: Store) -> tuple[int, float]:
    """When the highest value of the first tag was drawn, and what it was."""
    rows = [row for row in assert_same(store, PLOT).to_pylist() if row["tag"] == 1]
    best = max(rows, key=lambda row: row["value"])
    return best["time_ns"], best["value"]


def test_a_drawing_that_was_remembered_follows_when_its_extreme_is_put_right(store: Store) -> None:
    at_ns, value = extreme(store)
    assert value > 20
    for seq in (20, 21):
        put(store, seq, [[1], [at_ns], [0.0]])
        assert extreme(store)[0] != at_ns
        store.seal()
    put(store, 22, [[1], [at_ns], [value + 1000]])
    assert extreme(store) == (at_ns, value + 1000)


def test_a_drawing_is_remembered_segment_by_segment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    points = Files.points

    def counted(
        self: Files, segment: Segment, tags: NDArray[np.int32] | None, start_ns: int, end_ns: int
    ) -> list[Points]:
        read.append(segment.path)
        return points(self, segment, tags, start_ns, end_ns)

    monkeypatch.setattr(Files, "points", counted)
    told(store, PLOT)
    assert len(read) == 3
    told(store, PLOT)
    assert len(read) == 3
    # The first segment does not lie whole within what is asked now.
    told(store, PLOT, start_ns=T0 + NS_PER_S)
    assert len(read) == 4


def test_an_edge_that_moves_on_by_seconds_is_read_from_disk_once_an_hour(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "_FEW_GROUPS", 0)
    read: list[str] = []
    decode = view_module._decode

    def counted(segment: Segment, file: SegmentFile, groups: Sequence[int]) -> list[Points]:
        read.append(segment.path)
        return decode(segment, file, groups)

    monkeypatch.setattr(view_module, "_decode", counted)
    store.compact()
    wanted = q.Aggregate(bucket_ns=NS_PER_MINUTE)
    for second in range(0, 4000, 400):
        edges = T0 + second * NS_PER_S, T0 + second * NS_PER_S + 50 * NS_PER_MINUTE
        with store.view() as view:
            found = store._engine.ask(view, wanted, TAGS, *edges, rolled=False)
            text = store._engine.ask(view, wanted, TAGS, *edges, rolled=False, arrays=False)
        for name in ("tag", "bucket_ns", "n", "min", "max", "first", "last"):
            assert found[name].equals(text[name])
        assert found.num_rows > 0
    assert len(read) == 2


def test_a_drawing_that_begins_within_a_segment_reads_its_edge_alone_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.compact()
    told(store, PLOT)
    read: list[int] = []
    points = Files.points

    def counted(files: Files, segment: Segment, tags: NDArray[np.int32], start_ns: int, end_ns: int) -> list[Points]:
        found = points(files, segment, tags, start_ns, end_ns)
        read.append(sum(each.rows.size for each in found))
        return found

    monkeypatch.setattr(Files, "points", counted)
    # As long a stretch of time, so that the stretches of the drawing stay as long too.
    for second in (1, 61, 500):
        found = moved(store, second * NS_PER_S)
        assert found.equals(moved(store, second * NS_PER_S, arrays=False))
        assert found.num_rows > 10
    assert sum(read) < 3 * 3600


def moved(store: Store, by_ns: int, *, arrays: bool = True) -> pa.Table:
    with store.view() as view:
        return store._engine.ask(view, PLOT, TAGS, T0 + by_ns, END + by_ns, rolled=False, arrays=arrays)


def test_what_would_not_fit_memory_is_left_to_the_text(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    weighted = q.TimeWeightedMean(bucket_ns=NS_PER_HOUR)
    monkeypatch.setattr(held, "MOST_ROWS", 100)
    with store.view() as view:
        asked = Asked(view, TAGS, T0, END, view.late(TAGS, T0, END))
        assert answers()[q.TimeWeightedMean](weighted, asked, None) is None
    assert_same(store, weighted)


def rows_of(tag: list[int], time_ns: list[int]) -> Rows:
    size = len(tag)
    bits = np.arange(size, dtype=np.int64)
    return Rows(
        np.array(tag, np.int32),
        np.array(time_ns, np.int64),
        np.zeros(size, np.uint32),
        np.ones(size, np.uint8),
        bits,
        Words(),
    )


def test_buckets_begin_at_the_same_rows_whichever_way_they_are_looked_up() -> None:
    times = list(range(0, 4000, 3)) * 2
    rows = rows_of([1] * (len(times) // 2) + [2] * (len(times) // 2), times)
    for width in (1, 7, 100, 900, 10_000):
        bucket = rows.time_ns // width
        wanted = np.flatnonzero(np.append(True, (bucket[1:] != bucket[:-1]) | (rows.tag[1:] != rows.tag[:-1])))
        assert starts(rows, width).tolist() == wanted.tolist()


def test_a_sample_is_found_where_it_stands_and_only_there() -> None:
    rows = rows_of([1, 1, 2, 2, 2, 5], [10, 20, 5, 10, 15, 1])
    at, there = places(
        rows.tag, rows.time_ns, np.array([1, 2, 2, 3, 5, 9], np.int32), np.array([20, 10, 11, 10, 1, 1], np.int64)
    )
    assert there.tolist() == [True, True, False, False, True, False]
    assert at[there].tolist() == [1, 3, 5]


def test_memory_takes_samples_in_without_moving_those_that_a_reader_holds() -> None:
    head = Head()
    head.add(rows_of([1] * (PIECE_ROWS - 1), list(range(PIECE_ROWS - 1))))
    held_before = head.parts()
    head.add(rows_of([2, 2, 2], [1, 2, 3]))
    assert [part.size for part in held_before] == [PIECE_ROWS - 1]
    assert [part.size for part in head.parts()] == [PIECE_ROWS, 2]
    assert np.concatenate([part.tag for part in head.parts()])[-4:].tolist() == [1, 2, 2, 2]
    assert head.count == PIECE_ROWS + 2


@pytest.mark.parametrize("tags", [[1], [1, 2], [1, 5], [3], [2, 5]])
def test_a_cut_holds_the_tags_and_the_stretch_asked(tags: list[int]) -> None:
    rows = rows_of([1, 1, 2, 2, 2, 5, 5], [10, 20, 5, 10, 15, 10, 30])
    found = cut(Points(rows), np.array(tags, np.int32), 10, 20).rows
    wanted = [
        (tag, at)
        for tag, at in zip(rows.tag.tolist(), rows.time_ns.tolist(), strict=True)
        if tag in tags and 10 <= at < 20
    ]
    assert list(zip(found.tag.tolist(), found.time_ns.tolist(), strict=True)) == wanted
