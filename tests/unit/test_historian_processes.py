"""Several processes: a second one reads while one writes, and one that is killed loses nothing it acknowledged."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from historian_writer import ROWS, T0, TAGS, frame_of

from isthmus.model.query import Aggregate, Last, Raw
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.time import NS_PER_DAY
from isthmus.site.config import HistorianSection
from isthmus.site.historian.check import Told
from isthmus.site.historian.keeping.backup import backup, restore
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.reader import Reader
from isthmus.site.historian.sealed.leases import FOLDER
from isthmus.site.historian.store import Store

EVER = 2**62
EVERY_TAG = list(range(1, TAGS + 1))


@contextmanager
def writing(folder: Path, first: int, seal_rows: int) -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).parent / "historian_writer.py"
    command = [sys.executable, str(script), str(folder), str(first), str(seal_rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def acknowledged(process: subprocess.Popen[str], at_least: int) -> int:
    """The number of the frame acknowledged `at_least` lines from now."""
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(at_least)][-1]


def expected(seqs: range) -> dict[tuple[int, int], float]:
    out: dict[tuple[int, int], float] = {}
    for seq in seqs:
        batch = frame_of(seq).columns
        keys = zip(batch["tag"].to_pylist(), batch["time_ns"].to_pylist(), strict=True)
        out.update(zip(keys, batch["value"].to_pylist(), strict=True))
    return out


def found(historian: Store | Reader) -> dict[tuple[int, int], float]:
    table = historian.query(Raw(), EVERY_TAG, 0, EVER)
    keys = zip(table["tag"].to_pylist(), table["time_ns"].to_pylist(), strict=True)
    out = dict(zip(keys, table["f64"].to_pylist(), strict=True))
    assert len(out) == table.num_rows
    return out


def killed_and_counted(folder: Path, kills: int, seal_rows: int, seed: int) -> int:
    """Kill a writer at random moments; after each kill every acknowledged frame is there, once, and nothing else."""
    chance = np.random.default_rng(seed)
    next_seq = 1
    for _ in range(kills):
        with writing(folder, next_seq, seal_rows) as process:
            last = acknowledged(process, int(chance.integers(1, 60)))
            time.sleep(chance.random() * 0.2)
            process.kill()
            assert process.stdout is not None
            last = max([last, *(int(line) for line in process.stdout.read().splitlines())])
        told: list[Told] = []
        with Store(folder, HistorianSection(seal_rows=seal_rows), told=told.append, background=False) as store:
            in_flight = store.taken(1, 1, last + 1)
            assert found(store) == expected(range(1, last + 1 + in_flight))
            assert told == []
        next_seq = last + 1
    return next_seq


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    assert killed_and_counted(tmp_path, kills=3, seal_rows=4000, seed=1) > 3


@pytest.mark.long
@pytest.mark.timeout(600)
def test_sixty_kills_in_every_phase_lose_and_double_nothing(tmp_path: Path) -> None:
    for seed, seal_rows in enumerate([1000, 8000, 40_000]):
        killed_and_counted(tmp_path / str(seed), kills=20, seal_rows=seal_rows, seed=seed)


def test_a_second_process_reads_what_was_acknowledged_while_the_first_seals_and_merges(tmp_path: Path) -> None:
    with writing(tmp_path, 1, 3000) as process:
        acknowledged(process, 1)
        with Reader(tmp_path) as reader:
            counts = []
            for _ in range(40):
                last = acknowledged(process, 3)
                rows = reader.query(Aggregate(bucket_ns=NS_PER_DAY), EVERY_TAG, 0, EVER)
                counts.append(sum(rows["n"].to_pylist()))
                assert counts[-1] >= len(expected(range(max(1, last - 2), last + 1)))
                assert reader.query(Last(), EVERY_TAG, 0, EVER).num_rows <= TAGS
        assert counts == sorted(counts)
        assert counts[-1] > 100 * ROWS * 0.9


def test_a_backup_of_a_history_that_another_process_writes_is_whole_and_identical(tmp_path: Path) -> None:
    site, kept = tmp_path / "site", []
    with writing(site, 1, 3000) as process:
        for number in range(2):
            last = acknowledged(process, 40)
            backup(site, tmp_path / "copy")
            kept.append(last)
            restored = tmp_path / f"restored-{number}"
            restore(tmp_path / "copy", restored)
            assert list(verify(restored)) == []
            # All that was acknowledged before the call, and of what came during it only whole frames.
            with Store(restored, background=False) as store:
                upto = next(seq for seq in range(last, last + 5000) if not store.taken(1, 1, seq + 1))
                assert found(store) == expected(range(1, upto + 1))
    assert kept == sorted(kept)


def test_a_reader_sees_every_sample_once_in_segments_and_in_the_log(tmp_path: Path) -> None:
    with Store(tmp_path, HistorianSection(future_s=1e9), background=False) as store, Reader(tmp_path) as reader:
        store.tags.intern_all([])
        assert found(reader) == {}
        _intern(store)
        for seq in range(1, 31):
            store.append([frame_of(seq)])
            if seq % 9 == 0:
                store.seal()
            if seq == 20:
                store.compact()
            assert found(reader) == expected(range(1, seq + 1))
        assert reader.tags.find("plc/t3") == store.tags.find("plc/t3")


def test_no_segment_is_deleted_while_another_process_may_read_it(tmp_path: Path) -> None:
    with Store(tmp_path, HistorianSection(future_s=1e9), background=False) as store, Reader(tmp_path) as reader:
        _intern(store)
        for seq in range(1, 4):
            store.append([frame_of(seq)])
            store.seal()
        with reader.view() as view:
            store.compact()
            assert view.rows(np.array(EVERY_TAG, np.int32), T0, EVER).size == len(expected(range(1, 4)))
            assert all((tmp_path / each.path).exists() for each in view.segments)
        store.maintain()
        assert not any((tmp_path / each.path).exists() for each in view.segments)
        assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_killed_reader_holds_nothing(tmp_path: Path) -> None:
    with Store(tmp_path, HistorianSection(future_s=1e9), background=False) as store:
        _intern(store)
        for seq in range(1, 4):
            store.append([frame_of(seq)])
            store.seal()
        script = (
            "import sys, pathlib; from isthmus.site.historian.reader import Reader\n"
            "with Reader(pathlib.Path(sys.argv[1])).view() as view:\n    print(len(view.segments), flush=True); input()"
        )
        command = [sys.executable, "-c", script, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            held = int(process.stdout.readline())
            store.compact()
            assert len(list((tmp_path / "segments").glob("*/*.parquet"))) > held
            process.kill()
            process.wait(10)  # it holds its lease until it is gone, and a signal that was sent is not yet an end
        store.maintain()
        with store.view() as view:
            assert len(list((tmp_path / "segments").glob("*/*-L*.parquet"))) == len(view.segments)


def _intern(store: Store) -> None:
    store.tags.intern_all([TagInfo(name=f"plc/t{number}", kind=ValueKind.F64) for number in range(TAGS)])
