"""Rollups: they answer what samples answer, are made anew when their day changes, and stand aside when it has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from isthmus.model.query import Aggregate, CounterDelta, Decimate, Integral, TimeWeightedMean
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.config import HistorianSection
from isthmus.site.historian.asking.arrays import counter_delta
from isthmus.site.historian.sealed import rollup
from isthmus.site.historian.sealed.rollup import BUCKETS, usable
from isthmus.site.historian.sealed.view import Asked
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
TAG = np.array([1], np.int32)


ASKED = (
    Aggregate(bucket_ns=NS_PER_MINUTE),
    Aggregate(bucket_ns=6 * NS_PER_HOUR),
    Decimate(points=90),
    TimeWeightedMean(bucket_ns=NS_PER_HOUR),
    TimeWeightedMean(bucket_ns=8 * NS_PER_HOUR, origin_ns=T0 + 5 * NS_PER_HOUR),
    Integral(bucket_ns=NS_PER_DAY),
    CounterDelta(bucket_ns=NS_PER_MINUTE),
    CounterDelta(bucket_ns=NS_PER_HOUR, width=8),
)


def append(store: Store, seq: int, start_ns: int, end_ns: int, step_ns: int = 5 * NS_PER_S) -> None:
    times = np.arange(start_ns, end_ns, step_ns)
    chance = np.random.default_rng(seq)
    values = np.round(chance.normal(0, 10, len(times)), 2)
    status = np.where(chance.random(len(times)) < 0.05, 0x80050000, 0)
    batch = columns(ValueKind.F64, np.ones(len(times)), times, status, values)
    store.append([Batch(1, 1, seq, end_ns, batch)])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, HistorianSection(seal_rows=10_000), background=False) as opened:
        opened.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        for day in range(3):
            append(opened, day + 1, T0 + day * NS_PER_DAY, T0 + (day + 1) * NS_PER_DAY)
            opened.maintain()
        yield opened


def rolled_days(store: Store) -> list[int]:
    with store.view() as view:
        assert {each.bucket_ns for each in view.rollups} == set(BUCKETS)
        return sorted({each.day - T0 // NS_PER_DAY for each in view.rollups})


def assert_exact(store: Store) -> None:
    edges = T0 + 7 * NS_PER_MINUTE + 3, T0 + 2 * NS_PER_DAY + 5 * NS_PER_HOUR + 11
    with store.view() as view:
        for operator in ASKED:
            found = store._engine.ask(view, operator, TAG, *edges).to_pylist()
            wanted = store._engine.ask(view, operator, TAG, *edges, rolled=False).to_pylist()
            assert found == [{key: pytest.approx(value) for key, value in row.items()} for row in wanted]
            assert len(found) > (10 if isinstance(operator, Decimate) else 2)


def test_a_day_that_is_over_is_rolled_up_and_answers_the_same(store: Store) -> None:
    assert rolled_days(store) == [0, 1]
    assert_exact(store)


def counted(store: Store, falls_at: set[int]) -> None:
    """Three days of a counter every five seconds, which begins anew at these steps."""
    value, values = 0, []
    for step in range(3 * 17_280):
        value = 0 if step in falls_at else value + step % 3
        values.append(value)
    times = T0 + np.arange(len(values)) * 5 * NS_PER_S
    for day in range(3):
        some = slice(day * 17_280, (day + 1) * 17_280)
        batch = columns(ValueKind.I64, np.ones(17_280), times[some], np.zeros(17_280), values[some])
        store.append([Batch(1, 1, day + 1, int(times[some][-1]), batch)])
        store.maintain()


@pytest.mark.parametrize("falls_at", [set(), {700, 9_000, 9_001, 20_000}, set(range(0, 50_000, 500))])
def test_a_counter_is_read_from_its_rollups_and_from_samples_where_it_begins_anew(
    tmp_path: Path, falls_at: set[int]
) -> None:
    end_ns = T0 + 2 * NS_PER_DAY
    with Store(tmp_path, HistorianSection(seal_rows=10_000), background=False) as store:
        store.tags.intern(TagInfo(name="plc/count", kind=ValueKind.I64))
        counted(store, falls_at)
        assert_exact(store)
        with store.view() as view:
            asked = Asked(view, TAG, T0, end_ns, view.late(TAG, T0, end_ns))
            rows = counter_delta._rows(CounterDelta(bucket_ns=NS_PER_HOUR), asked, usable(asked, NS_PER_HOUR))
    assert rows is not None
    assert (rows.size < 500) == (not falls_at)
    assert (rows.size < 5_000) == (len(falls_at) < 10)


def test_what_holds_over_the_edge_of_an_hour_or_ends_with_a_bad_sample_weighs_exactly(tmp_path: Path) -> None:
    minutes = {0: 1.0, 90: 2.5, 91: None, 200: -4.0, 900: 7.0, 1439: 0.5, 1500: 3.0, 3000: 1.0}
    with Store(tmp_path, background=False) as store:
        store.tags.intern(TagInfo(name="plc/power", kind=ValueKind.F64))
        times = [T0 + minute * NS_PER_MINUTE for minute in minutes]
        batch = columns(ValueKind.F64, [1] * len(times), times, [0] * len(times), list(minutes.values()))
        store.append([Batch(1, 1, 1, times[-1], batch)])
        store.compact()
        end_ns = T0 + 2 * NS_PER_DAY + NS_PER_HOUR
        found = store.query(Integral(bucket_ns=NS_PER_DAY), [1], T0, end_ns).to_pylist()
    hours = [1.5 * 1.0 + 2.5 / 60 - 4 * 700 / 60 + 7 * 539 / 60 + 0.5 / 60, 0.5 + 3 * 23, 2 / 60 * 0 + 3 * 1.0]
    assert [row["integral"] for row in found] == pytest.approx([each * 3600 for each in hours])
    assert [row["good_ns"] for row in found] == [NS_PER_DAY - 109 * NS_PER_MINUTE, NS_PER_DAY, NS_PER_HOUR]


def test_a_rollup_of_an_earlier_format_stands_aside_until_it_is_made_anew(store: Store, tmp_path: Path) -> None:
    store.close()
    with closing(sqlite3.connect(tmp_path / "manifest.sqlite")) as db:
        db.execute("UPDATE segment SET made_of = substr(made_of, instr(made_of, ':') + 1) WHERE bucket_ns > 0")
        db.commit()
    with Store(tmp_path, HistorianSection(seal_rows=10_000), background=False) as again:
        with again.view() as view:
            old = {each.path for each in view.rollups}
            late = view.late(TAG, T0, T0 + NS_PER_DAY)
            assert usable(Asked(view, TAG, T0, T0 + NS_PER_DAY, late), NS_PER_HOUR) is None
        assert_exact(again)
        again.maintain()
        assert_exact(again)
        with again.view() as view:
            assert not old & {each.path for each in view.rollups}
        assert rolled_days(again) == [0, 1, 2]


def test_a_day_by_the_minute_is_read_from_few_rows(store: Store) -> None:
    with store.view() as view:
        samples = sum(each.rows for each in view.segments if each.day == T0 // NS_PER_DAY)
        minutes = next(each for each in view.rollups if each.bucket_ns == NS_PER_MINUTE)
        hours = next(each for each in view.rollups if each.bucket_ns == NS_PER_HOUR)
    assert samples == 17_280
    assert minutes.rows <= 4 * 1440
    assert hours.rows <= 4 * 24


def test_late_samples_put_a_rollup_aside_until_it_is_made_anew(store: Store) -> None:
    for seq, after in ((10, store.seal), (11, lambda: None)):
        append(store, seq, T0 + NS_PER_HOUR + 1, T0 + 2 * NS_PER_HOUR, NS_PER_MINUTE)
        after()
        assert_exact(store)
    append(store, 12, T0 + 3 * NS_PER_DAY, T0 + 3 * NS_PER_DAY + NS_PER_HOUR)
    store.seal()
    append(store, 13, T0 + 3 * NS_PER_DAY + NS_PER_HOUR, T0 + 3 * NS_PER_DAY + 2 * NS_PER_HOUR)
    store.seal()
    store.maintain()
    assert rolled_days(store) == [0, 1, 2]
    assert_exact(store)


def test_a_day_rolled_up_in_parts_holds_times_of_every_unit_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "ROWS_AT_ONCE", 2_000)
    steps = 5 * NS_PER_S, 5 * NS_PER_S + 1_000, 5 * NS_PER_S + 1  # whole milliseconds, microseconds, nanoseconds
    with Store(tmp_path, HistorianSection(seal_rows=100_000), background=False) as store:
        for tag, step in enumerate(steps, 1):
            store.tags.intern(TagInfo(name=f"plc/speed{tag}", kind=ValueKind.F64))
            times = np.arange(T0, T0 + NS_PER_DAY, step)
            batch = columns(ValueKind.F64, np.full(len(times), tag), times, np.zeros(len(times)), times % 977)
            store.append([Batch(1, 1, tag, T0 + NS_PER_DAY, batch)])
        store.compact()
        tags = np.array([1, 2, 3], np.int32)
        with store.view() as view:
            assert {each.unit for each in view.rollups} == {"ns"}
            for operator in ASKED:
                found = store._engine.ask(view, operator, tags, T0, T0 + NS_PER_DAY).to_pylist()
                wanted = store._engine.ask(view, operator, tags, T0, T0 + NS_PER_DAY, rolled=False).to_pylist()
                assert found == [{key: pytest.approx(value) for key, value in row.items()} for row in wanted]


def test_a_day_of_texts_alone_has_no_rollup_and_does_not_keep_upkeep_busy(tmp_path: Path) -> None:
    with Store(tmp_path, background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/order", kind=ValueKind.STR))
        store.append([Batch(1, 1, 1, T0, columns(ValueKind.STR, [tag], [T0], [0], ["1047"]))])
        store.compact()
        with store.view() as view:
            assert (len(view.segments), len(view.rollups)) == (1, 0)


def test_rollups_go_with_their_day(store: Store, tmp_path: Path) -> None:
    store.section = HistorianSection(keep_days=2)
    store.maintain()
    assert rolled_days(store) == [1]
    assert len(list((tmp_path / "segments").glob("*/*-r*.parquet"))) == 2
