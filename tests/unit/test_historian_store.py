"""The store against a dictionary: whatever is late, repeated, merged, restarted or killed, they agree."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from isthmus.model.query import Last, Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR
from isthmus.site.config import HistorianSection
from isthmus.site.historian.check import Told, Trouble
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.memory import room as room_module
from isthmus.site.historian.reader import Reader
from isthmus.site.historian.sealed import parquet, upkeep
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
EVER = 2**62
SHM = Path("/dev/shm")  # noqa: S108  folders below it have names of their own
MEMORY = SHM if SHM.is_dir() else None
"""Many short lives of a store: what a disk takes to sync is not the point there."""
KINDS = (ValueKind.F64, ValueKind.F64, ValueKind.I64, ValueKind.BOOL, ValueKind.STR)
VALUES: dict[ValueKind, st.SearchStrategy[Any]] = {
    ValueKind.F64: st.one_of(st.floats(allow_nan=False), st.integers(-100, 100).map(lambda n: n / 10)),
    ValueKind.I64: st.integers(-(2**63), 2**63 - 1),
    ValueKind.BOOL: st.booleans(),
    ValueKind.STR: st.sampled_from(["RUN", "IDLE", "", "größer"]),
}
TIMES = st.integers(0, 23).map(lambda step: T0 + step * 3 * NS_PER_HOUR)


def batches_of(tags: list[int]) -> st.SearchStrategy[tuple[ValueKind, list[tuple[int, int, int, Any]]]]:
    def of(kind: ValueKind) -> st.SearchStrategy[tuple[ValueKind, list[tuple[int, int, int, Any]]]]:
        mine = [tag for tag, its in zip(tags, KINDS, strict=True) if its is kind]
        value = st.none() | VALUES[kind]
        row = st.tuples(st.sampled_from(mine), TIMES, st.sampled_from([0, 0x80050000]), value)
        return st.tuples(st.just(kind), st.lists(row, max_size=8))

    return st.sampled_from(sorted(set(KINDS))).flatmap(of)


def batch(seq: int, kind: ValueKind, rows: list[tuple[int, int, int, Any]], received_ns: int = T0 + EVER // 8) -> Batch:
    tag, time_ns, status, value = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return Batch(7, 1, seq, received_ns, columns(kind, tag, time_ns, status, value))


def answer(table: pa.Table) -> dict[tuple[int, int], tuple[int, Any]]:
    rows = table.to_pylist()
    found = {(row["tag"], row["time_ns"]): (row["status"], _value(row)) for row in rows}
    assert len(found) == len(rows)
    return found


def _value(row: dict[str, Any]) -> object:
    return next((row[name] for name in ("f64", "i64", "str") if row[name] is not None), None)


class StoreAgainstDictionary(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.told: list[Told] = []
        self.store = self.opened()
        names = [f"src/tag{number}" for number in range(len(KINDS))]
        infos = [TagInfo(name=name, kind=kind) for name, kind in zip(names, KINDS, strict=True)]
        self.tags = self.store.tags.intern_all(infos)
        self.seq = 0
        self.sent: list[Batch] = []
        self.expected: dict[tuple[int, int], tuple[int, Any]] = {}
        self.said = 0
        self.righted: dict[tuple[int, int], tuple[int, Any]] = {}
        """What people said; it stands above whatever arrives later."""
        self.before: tuple[int, dict[tuple[int, int], tuple[int, Any]]] | None = None
        """When the last correction was said, and what was known before; None once more arrived."""

    def opened(self) -> Store:
        return Store(self.folder, HistorianSection(future_s=1e18), told=self.told.append, background=False)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        kind, rows = data.draw(batches_of(self.tags))
        self.seq += 1
        self.sent.append(batch(self.seq, kind, rows))
        self.store.append([self.sent[-1]])
        self.expected |= {(tag, time_ns): (status, value) for tag, time_ns, status, value in rows} | self.righted
        self.before = None

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if self.sent:
            self.store.append([data.draw(st.sampled_from(self.sent))])

    @rule(data=st.data())
    def put_right(self, data: st.DataObject) -> None:
        tag, kind = data.draw(st.sampled_from(list(zip(self.tags, KINDS, strict=True))))
        time_ns, value = data.draw(TIMES), data.draw(st.none() | VALUES[kind])
        self.said += 1
        self.before = (self.said, dict(self.expected))
        said = Correction(tag=tag, time_ns=time_ns, value=value, said_ns=self.said, by="Ann", why="wrong input")
        self.store.correct([said])
        self.righted[tag, time_ns] = (0, value)
        self.expected[tag, time_ns] = (0, value)

    @rule()
    def what_was_known_before_the_last_correction(self) -> None:
        if self.before is not None:
            said, expected = self.before
            assert answer(self.store.query(Raw(), self.tags, 0, EVER, known_ns=said - 1)) == expected

    @rule()
    def another_process_looks(self) -> None:
        with Reader(self.folder) as reader:
            assert answer(reader.query(Raw(), self.tags, 0, EVER)) == self.expected

    @rule()
    def seal(self) -> None:
        self.store.seal()

    @rule()
    def maintain(self) -> None:
        self.store.maintain()

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.opened()

    @rule()
    def die_and_start_again(self) -> None:
        # What a kill leaves behind is the folder as it stands; the new process opens that.
        left = Path(tempfile.mkdtemp(dir=MEMORY))
        shutil.copytree(self.folder, left, dirs_exist_ok=True)
        self.teardown()
        self.folder = left
        self.store = self.opened()

    @rule(moment_ns=TIMES)
    def what_was_in_force(self, moment_ns: int) -> None:
        last = answer(self.store.query(Last(), self.tags, 0, moment_ns))
        newest: dict[int, int] = {}
        for tag, time_ns in self.expected:
            if time_ns < moment_ns:
                newest[tag] = max(newest.get(tag, 0), time_ns)
        assert last == {key: self.expected[key] for key in newest.items()}

    @rule(start_ns=TIMES, end_ns=TIMES, data=st.data())
    def a_stretch_of_some_tags(self, start_ns: int, end_ns: int, data: st.DataObject) -> None:
        tags = data.draw(st.lists(st.sampled_from(self.tags), unique=True))
        found = answer(self.store.query(Raw(), tags, start_ns, end_ns))
        wanted = {key: row for key, row in self.expected.items() if key[0] in tags and start_ns <= key[1] < end_ns}
        assert found == wanted

    @invariant()
    def every_sample_is_there_once(self) -> None:
        if hasattr(self, "store"):
            assert answer(self.store.query(Raw(), self.tags, 0, EVER)) == self.expected
            assert self.told == []


TestStoreAgainstDictionary = StoreAgainstDictionary.TestCase
TestStoreAgainstDictionary.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)


class StoreAgainstDictionaryAtLength(StoreAgainstDictionary):
    """The same for longer lives."""


TestStoreAgainstDictionaryAtLength = pytest.mark.long(
    pytest.mark.timeout(1800)(StoreAgainstDictionaryAtLength.TestCase)
)
TestStoreAgainstDictionaryAtLength.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


@pytest.fixture
def told() -> list[Told]:
    return []


@pytest.fixture
def store(tmp_path: Path, told: list[Told]) -> Iterator[Store]:
    with Store(tmp_path, told=told.append, background=False) as opened:
        yield opened


def number(tag: int, time_ns: int, value: float | None = 1.0) -> tuple[int, int, int, float | None]:
    return tag, time_ns, 0, value


def kept(store: Store, *tags: int) -> dict[tuple[int, int], tuple[int, Any]]:
    return answer(store.query(Raw(), tags, 0, EVER))


def test_a_clock_that_was_never_set_or_runs_ahead_is_set_aside_and_told(store: Store, told: list[Told]) -> None:
    tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
    rows = [number(tag, 5), number(tag, T0), number(tag, T0 + 400 * NS_PER_DAY)]
    store.append([batch(1, ValueKind.F64, rows, received_ns=T0)])
    assert list(kept(store, tag)) == [(tag, T0)]
    assert [(each.trouble, each.rows, each.tags) for each in told] == [
        (Trouble.UNSET_CLOCK, 1, (tag,)),
        (Trouble.FUTURE, 1, (tag,)),
    ]
    assert sum(frame.rows for _, frame in store._aside.read(0)) == 2


def test_samples_of_no_tag_or_another_kind_are_set_aside_and_told(store: Store, told: list[Told]) -> None:
    tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
    store.append([batch(1, ValueKind.STR, [(tag, T0, 0, "fast")]), batch(2, ValueKind.F64, [number(99, T0)])])
    assert kept(store, tag, 99) == {}
    assert [each.trouble for each in told] == [Trouble.OTHER_KIND, Trouble.UNKNOWN_TAG]


def test_a_tag_that_changes_its_kind_or_unit_goes_on_under_a_new_number_and_keeps_its_past(store: Store) -> None:
    fahrenheit = store.tags.intern(TagInfo(name="plc/heat", kind=ValueKind.F64, unit="°F"))
    store.append([batch(1, ValueKind.F64, [number(fahrenheit, T0, 212.0)])])
    celsius = store.tags.intern(TagInfo(name="plc/heat", kind=ValueKind.F64, unit="°C"))
    text = store.tags.intern(TagInfo(name="plc/heat", kind=ValueKind.STR))
    assert len({fahrenheit, celsius, text}) == 3
    assert store.tags.find("plc/heat") == text
    versions = store.tags.versions("plc/heat")
    assert [version.id for version in versions] == [fahrenheit, celsius, text]
    assert versions[0].valid_to_ns == versions[1].valid_from_ns
    assert kept(store, fahrenheit) == {(fahrenheit, T0): (0, 212.0)}


@pytest.mark.parametrize("asked", [range(1, 31), range(2, 40, 3), range(30, 0, -1), [7, 3, 3, 900]])
def test_tags_may_be_asked_for_in_any_order_and_as_a_range(tmp_path: Path, asked: Sequence[int]) -> None:
    with Store(tmp_path, background=False) as store:
        tags = store.tags.intern_all([TagInfo(name=f"plc/t{number}", kind=ValueKind.I64) for number in range(30)])
        store.append([Batch(1, 1, 1, T0, columns(ValueKind.I64, tags, [T0] * 30, [0] * 30, tags))])
        assert store.query(Last(), asked, 0, 2**62)["i64"].to_pylist() == sorted({*asked} & {*tags})


def test_tags_keep_their_numbers_over_a_restart(tmp_path: Path) -> None:
    infos = [TagInfo(name=f"plc/t{number}", kind=ValueKind.I64, unit="pcs") for number in range(3000)]
    with Store(tmp_path, background=False) as store:
        ids = store.tags.intern_all(infos)
        store.tags.intern(TagInfo(name="plc/t7", kind=ValueKind.I64, unit="pcs", step=False))
    with Store(tmp_path, background=False) as store:
        assert store.tags.intern_all(infos) == ids
        assert store.tags.info(ids[7]).step is True


def test_the_same_frame_again_or_behind_newer_ones_counts_once(store: Store) -> None:
    tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
    live, backlog = (batch(seq, ValueKind.F64, [number(tag, T0 + seq, seq)]) for seq in (9, 3))
    for each in (live, backlog, live, backlog):
        store.append([each, each])
    store.seal()
    store.append([backlog])
    assert len(kept(store, tag)) == 2
    assert store.taken(7, 1, 3)
    assert not store.taken(7, 1, 4)
    assert not store.taken(7, 2, 3)


def test_two_processes_never_write_one_history(tmp_path: Path) -> None:
    with Store(tmp_path, background=False), pytest.raises(OSError, match="being written by the site"):
        Store(tmp_path)


def test_days_that_need_not_be_kept_are_let_go_whole(tmp_path: Path) -> None:
    with Store(tmp_path, HistorianSection(keep_days=2), background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        for day in range(5):
            time_ns = T0 + day * NS_PER_DAY
            store.append([batch(day + 1, ValueKind.F64, [number(tag, time_ns)], received_ns=time_ns)])
            store.seal()
        store.maintain()
        assert [(time_ns - T0) // NS_PER_DAY for _, time_ns in kept(store, tag)] == [2, 3, 4]
        assert len(list((tmp_path / "segments").glob("*/*-L*.parquet"))) == 3


def test_a_merge_leaves_one_segment_and_no_mark_of_late_data(store: Store) -> None:
    tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
    for seq, step in enumerate([5, 3, 9, 3], 1):
        store.append([batch(seq, ValueKind.F64, [number(tag, T0 + step, seq)])])
        store.seal()
    with store.view() as view:
        assert [each.overlap for each in view.segments] == [False, True, False, True]
    store.compact()
    with store.view() as view:
        assert [(each.overlap, each.rows) for each in view.segments] == [(False, 3)]
    assert kept(store, tag)[tag, T0 + 3] == (0, 4.0)


@pytest.mark.parametrize("over", [False, True], ids=["while it goes on", "when it is over"])
def test_a_day_of_many_tag_ranges_is_merged_once_and_then_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, *, over: bool
) -> None:
    for module, name in ((parquet, "ROW_GROUP"), (upkeep, "ROWS_AT_ONCE")):
        monkeypatch.setattr(module, name, 10)
    tags = store.tags.intern_all([TagInfo(name=f"plc/{at}", kind=ValueKind.F64) for at in range(2 * upkeep.MERGE_FROM)])
    for seq in range(1, upkeep.MERGE_FROM + 1):
        rows = [number(tag, T0 + seq * 100 + step, seq) for tag in tags for step in range(10)]
        store.append([batch(seq, ValueKind.F64, rows, T0)])
        store.seal()
    if over:
        store.append([batch(100, ValueKind.F64, [number(tags[0], T0 + NS_PER_DAY)], T0 + NS_PER_DAY)])
        store.seal()
    store.maintain()
    with store.view() as view:
        merged = view.segments
    assert len(merged) > upkeep.MERGE_FROM
    store.maintain()
    with store.view() as view:
        assert view.segments == merged


def test_who_brings_samples_faster_than_they_are_sealed_is_slowed_down_before_being_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "EASE_ROW_S", 1.0)
    monkeypatch.setattr(room_module, "EASE_MOST_S", 0.3)
    taken_s = []
    with Store(tmp_path, HistorianSection(seal_rows=1000)) as store:
        tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        with store._seals:
            for seq in range(1, 9):
                rows = [number(tag, T0 + seq * NS_PER_HOUR + step) for step in range(400)]
                before = time.perf_counter()
                store.append([batch(seq, ValueKind.F64, rows)])
                taken_s.append(time.perf_counter() - before)
    assert max(taken_s[:7]) < 0.3 <= taken_s[7]


def test_no_segment_is_deleted_under_a_view(store: Store) -> None:
    tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
    for seq in range(1, 4):
        store.append([batch(seq, ValueKind.F64, [number(tag, T0 + seq)])])
        store.seal()
    with store.view() as view:
        store.compact()
        assert all((store.folder / each.path).exists() for each in view.segments)
        assert view.rows(np.array([tag], np.int32), 0, EVER).size == 3
    store.maintain()
    assert not any((store.folder / each.path).exists() for each in view.segments)


def test_a_segment_deleted_by_hand_is_told_at_the_start(tmp_path: Path, told: list[Told]) -> None:
    with Store(tmp_path, background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.append([batch(1, ValueKind.F64, [number(tag, T0)])])
        store.seal()
        with store.view() as view:
            path = tmp_path / view.segments[0].path
    path.unlink()
    with Store(tmp_path, told=told.append, background=False):
        assert [each.trouble for each in told] == [Trouble.MISSING]
        assert str(path) in told[0].what


def test_a_log_put_back_from_elsewhere_is_taken_in_whole(tmp_path: Path) -> None:
    with Store(tmp_path / "a", background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.append([batch(seq, ValueKind.F64, [number(tag, T0 + seq)]) for seq in range(1, 50)])
        store.seal()
    shutil.rmtree(tmp_path / "a" / "wal")
    for _ in range(2):
        with Store(tmp_path / "a", background=False) as store:
            store.append([batch(100, ValueKind.F64, [number(tag, T0 + 100)])])
            assert len(kept(store, tag)) == 50


def test_a_history_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with Store(tmp_path, background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.append([batch(1, ValueKind.F64, [number(tag, T0)])])
        store.seal()
    with sqlite3.connect(tmp_path / "manifest.sqlite") as db:
        for column in ("bucket_ns", "tags", "made_of"):
            db.execute(f"ALTER TABLE segment DROP COLUMN {column}")
        db.execute("UPDATE about SET value = 1 WHERE key = 'schema'")
    db.close()
    with Store(tmp_path, background=False) as store:
        assert kept(store, tag) == {(tag, T0): (0, 1.0)}
        store.compact()
        with store.view() as view:
            assert len(view.rollups) == 1
