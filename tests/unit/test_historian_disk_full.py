"""A disk that refuses, in each phase: nothing half-done counts, and what was acknowledged stays."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isthmus.model.query import Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.site.config import HistorianSection
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
EVER = 2**62
ROWS = 500


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Every write beyond `size` bytes of a file fails, as on a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def send(store: Store, seq: int) -> None:
    times = [T0 + (seq * ROWS + number) * NS_PER_S for number in range(ROWS)]
    store.append([Batch(1, 1, seq, EVER, columns(ValueKind.F64, [1] * ROWS, times, [0] * ROWS, [seq + 0.1] * ROWS))])


def seqs(store: Store) -> list[int]:
    values = store.query(Raw(), [1], 0, EVER)["f64"].to_pylist()
    assert len(values) % ROWS == 0
    return [round(value) for value in values[::ROWS]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, HistorianSection(seal_rows=1000), background=False) as opened:
        opened.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        yield opened


def test_samples_that_do_not_fit_the_log_are_refused_whole_and_taken_later(store: Store, tmp_path: Path) -> None:
    send(store, 1)
    log = next((tmp_path / "wal").glob("*.seg"))
    with no_file_longer_than(log.stat().st_size + 60), pytest.raises(OSError, match=r"large|space"):
        send(store, 2)
    assert not store.taken(1, 1, 2)
    assert seqs(store) == [1]
    send(store, 2)
    assert seqs(store) == [1, 2]
    store.close()
    with Store(tmp_path, background=False) as again:
        assert seqs(again) == [1, 2]


def test_a_seal_that_finds_no_room_changes_nothing_and_is_done_later(store: Store, tmp_path: Path) -> None:
    send(store, 1)
    for limit in (100, 20_000):
        with no_file_longer_than(limit), pytest.raises(OSError, match=r"large|space|disk|full"):
            store.seal()
        assert list((tmp_path / "segments").glob("*/*")) == []
        send(store, 2)
        assert seqs(store) == [1, 2]
    store.seal()
    store.seal()
    assert seqs(store) == [1, 2]
    assert list(verify(tmp_path)) == []


def test_a_merge_that_finds_no_room_changes_nothing_and_is_done_later(store: Store, tmp_path: Path) -> None:
    for seq in (1, 3, 2):
        send(store, seq)
        store.seal()
    before = sorted((tmp_path / "segments").glob("*/*"))
    with no_file_longer_than(500), pytest.raises(OSError, match=r"large|space|disk|full"):
        store.compact()
    assert sorted((tmp_path / "segments").glob("*/*")) == before
    assert seqs(store) == [1, 2, 3]
    store.compact()
    assert seqs(store) == [1, 2, 3]
    assert list(verify(tmp_path)) == []


def test_samples_are_refused_once_too_many_wait_to_be_sealed(store: Store) -> None:
    for seq in range(1, 9):
        send(store, seq)
    with pytest.raises(OSError, match="until what waits in memory is sealed"):
        send(store, 9)
    store.seal()
    send(store, 9)
    assert seqs(store) == list(range(1, 10))
