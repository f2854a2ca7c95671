"""Rollups: they answer what samples answer, are made anew when their day changes, and stand aside when it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from isthmus.model.query import Aggregate, Decimate
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.config import HistorianSection
from isthmus.site.historian.rollup import BUCKETS
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
TAG = np.array([1], np.int32)


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
        for operator in (Aggregate(bucket_ns=NS_PER_MINUTE), Aggregate(bucket_ns=6 * NS_PER_HOUR), Decimate(points=90)):
            found = store._engine.ask(view, operator, TAG, *edges).to_pylist()
            wanted = store._engine.ask(view, operator, TAG, *edges, rolled=False).to_pylist()
            assert found == [{key: pytest.approx(value) for key, value in row.items()} for row in wanted]
            assert len(found) > 10 or isinstance(operator, Aggregate)


def test_a_day_that_is_over_is_rolled_up_and_answers_the_same(store: Store) -> None:
    assert rolled_days(store) == [0, 1]
    assert_exact(store)


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
