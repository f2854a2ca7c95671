"""Bursts of a fast signal: through the same door as samples, once, and back as they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from isthmus.model.query import Last
from isthmus.model.samples import Batch, TagInfo, ValueKind, no_value
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from isthmus.model.waveforms import bursts
from isthmus.site.config import HistorianSection
from isthmus.site.historian.keeping.backup import backup, restore
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.reader import Reader
from isthmus.site.historian.store import Store
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary
from spine import EPOCH, MONDAY, Spine, body

EVER = 2**62
RATE_NS = 1e9 / 25_600
READINGS = 4096
SOURCE = frames.source_id("press")


def burst(tag: int, at: int, seed: int) -> pa.RecordBatch:
    """One burst, of a 24-bit converter where the seed is odd and of a 16-bit one where it is even."""
    chance = np.random.default_rng(seed)
    values = chance.normal(0, 1, READINGS).astype(np.float32) if seed % 2 else chance.integers(-900, 900, READINGS)
    return bursts([tag], [at], [0], [RATE_NS], [values.astype(np.float32)])


def batch(seq: int, at: int, seed: int | None = None, tag: int = 1) -> Batch:
    return Batch(7, 1, seq, at, burst(tag, at, seq if seed is None else seed))


def opened(folder: Path, keep_days: int | None = None) -> Store:
    store = Store(folder, HistorianSection(future_s=1e9, keep_days=keep_days), background=False)
    store.tags.intern_all([TagInfo(name=f"press/v{number}", kind=ValueKind.WAVEFORM) for number in range(3)])
    return store


def values(table: pa.Table) -> list[bytes]:
    return [np.asarray(one, np.float32).tobytes() for one in table["value"].to_pylist()]


def test_a_burst_comes_through_the_door_once_and_back_bit_by_bit(tmp_path: Path) -> None:
    said = Dictionary("press", "acme/northgate", ((0, TagInfo(name="press/vibration", kind=ValueKind.WAVEFORM)),))
    with Store(tmp_path / "history", HistorianSection(future_s=1e9), background=False) as store:
        spine = Spine(tmp_path / "site", historian=store, tags=store.tags)
        sent = [burst(0, MONDAY + n * NS_PER_MINUTE, n) for n in range(3)]
        run = body(
            frames.of_dictionary(SOURCE, EPOCH, 1, said),
            *(frames.of_samples(SOURCE, EPOCH, seq, each) for seq, each in enumerate(sent, 1)),
        )
        spine.now_ns = MONDAY + NS_PER_HOUR
        answer = spine.ingest.take("edge-1", run)
        assert [each.seq for each in answer.acknowledged] == [3]
        spine.ingest.take("edge-1", run)
        tag = store.tags.find("press/vibration")
        assert tag is not None
        found = store.bursts([tag], 0, EVER)
        assert values(found) == [values(pa.Table.from_batches([each]))[0] for each in sent]
        assert found["interval_ns"].to_pylist() == [RATE_NS] * 3
        last = spine.site.namespace.last("press/vibration")
        assert last is not None
        assert last.value.startswith("4,096 readings at 25,600 Hz, rms 522.2")
        assert store.query(Last(), [tag], 0, EVER).num_rows == 0
        spine.close()


def test_what_was_acknowledged_is_there_after_a_crash_and_a_repeat_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "first") as first:
        first.append([batch(1, MONDAY)])
        first.waveforms.seal()
        first.append([batch(2, MONDAY + NS_PER_MINUTE)])
        shutil.copytree(tmp_path / "first", tmp_path / "crashed")  # as the disk is at this moment
    with opened(tmp_path / "crashed") as store:
        assert store.taken(7, 1, 1)
        assert store.taken(7, 1, 2)
        assert not store.taken(7, 1, 3)
        store.append([batch(1, MONDAY, seed=99), batch(2, MONDAY + NS_PER_MINUTE, seed=99)])
        expected = [values(pa.Table.from_batches([batch(n, MONDAY).columns]))[0] for n in (1, 2)]
        assert values(store.bursts([1], 0, EVER)) == expected
        with Reader(tmp_path / "crashed") as reader:
            assert values(reader.bursts([1], 0, EVER)) == expected
            assert values(reader.bursts([1], MONDAY + 1, EVER)) == expected[1:]
            assert reader.bursts([2], 0, EVER).num_rows == 0


def test_days_are_merged_the_later_burst_of_a_moment_stands_and_old_days_go(tmp_path: Path) -> None:
    with opened(tmp_path, keep_days=3) as store:
        for seq in range(1, 6):
            store.append([batch(seq, MONDAY + (seq % 3) * NS_PER_MINUTE)])
            store.waveforms.seal()
        files = tmp_path / "waveforms" / "segments"
        assert len(list(files.glob("*/*"))) == 5
        before = store.bursts([1], 0, EVER)
        assert before.num_rows == 3
        assert values(before)[1] == values(pa.Table.from_batches([batch(4, MONDAY).columns]))[0]
        store.append([batch(6, MONDAY + NS_PER_DAY)])
        store.maintain()
        assert len(list(files.glob("*/*"))) == 1
        assert store.bursts([1], 0, MONDAY + NS_PER_DAY).equals(before)
        assert list(verify(tmp_path)) == []
        for seq, day in ((7, 5), (8, 6)):
            store.append([batch(seq, MONDAY + day * NS_PER_DAY)])
            store.seal()
        store.maintain()
        assert store.bursts([1], 0, EVER)["time_ns"].to_pylist() == [MONDAY + day * NS_PER_DAY for day in (5, 6)]
        assert len(list(files.glob("*/*"))) == 2


def test_bursts_are_in_a_backup_and_a_changed_byte_is_found(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as store:
        store.append([batch(1, MONDAY)])
        store.seal()
        store.append([batch(2, MONDAY + 1)])
        expected = store.bursts([1], 0, EVER)
        backup(tmp_path / "a", tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "b")
    with opened(tmp_path / "b") as store:
        assert store.bursts([1], 0, EVER).equals(expected)
    path = next((tmp_path / "b" / "waveforms").glob("segments/*/*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert [finding.path for finding in verify(tmp_path / "b")] == [path]


def test_other_kinds_and_unset_clocks_are_set_aside(tmp_path: Path) -> None:
    told: list[str] = []
    with Store(tmp_path, HistorianSection(future_s=1e9), told=lambda one: told.append(one.what), background=False) as s:
        s.tags.intern_all(
            [TagInfo(name="press/v", kind=ValueKind.WAVEFORM), TagInfo(name="press/n", kind=ValueKind.F64)]
        )
        s.append([batch(1, MONDAY, tag=2), batch(2, 5), batch(3, MONDAY)])
        assert s.bursts([1, 2], 0, EVER).num_rows == 1
        assert len(told) == 2
        assert s.taken(7, 1, 1)


def test_a_burst_takes_little_room_and_other_tools_read_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for seq in (1, 2):
            store.append([batch(seq, MONDAY + seq)])
        store.append([Batch(7, 1, 3, MONDAY, no_value(ValueKind.WAVEFORM, [2], MONDAY, 0x80310000))])
        store.seal()
    path = next((tmp_path / "waveforms").glob("segments/*/*"))
    assert path.stat().st_size < READINGS * (4 + 2)
    rows = duckdb.sql(
        f"SELECT tag, len(coalesce(f, i)), list_sum(coalesce(f, i)) FROM '{path}' ORDER BY tag, time"  # noqa: S608
    ).fetchall()
    assert [row[:2] for row in rows] == [(1, READINGS), (1, READINGS), (2, None)]
    sums = [float(np.frombuffer(values(pa.Table.from_batches([burst(1, 0, n)]))[0], np.float32).sum()) for n in (1, 2)]
    assert [row[2] for row in rows[:2]] == pytest.approx(sums, abs=0.01)


def test_a_burst_without_an_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="time between two"):
        bursts([1], [1], [0], [0], [[1.0]])
    assert bursts([1], [1], [0], [0], [None]).num_rows == 1


def test_when_bursts_began_is_told_of_one_tag_once_each_sealed_or_not(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.append([batch(1, MONDAY), batch(2, MONDAY + NS_PER_DAY), batch(3, MONDAY + 1, tag=2)])
        store.waveforms.seal()
        store.append([batch(4, MONDAY + NS_PER_MINUTE), batch(5, MONDAY)])
        assert store.burst_times(1, 0, EVER).tolist() == [MONDAY, MONDAY + NS_PER_MINUTE, MONDAY + NS_PER_DAY]
        assert store.burst_times(1, MONDAY + 1, MONDAY + NS_PER_DAY).tolist() == [MONDAY + NS_PER_MINUTE]
        assert store.burst_times(3, 0, EVER).tolist() == []
