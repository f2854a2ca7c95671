"""Backup, restore and verify: what comes back is what was there, and what is wrong is found."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.query import Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_S, iso
from isthmus.run import hand_history
from isthmus.site.config import HistorianSection
from isthmus.site.historian.keeping.backup import backup, restore
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
EVER = 2**62


def fill(store: Store, first: int, last: int) -> None:
    tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
    for seq in range(first, last):
        times = [T0 + seq * NS_PER_DAY // 4 + number * NS_PER_S for number in range(50)]
        batch = columns(ValueKind.F64, [tag] * 50, times, [0] * 50, [seq + number / 10 for number in range(50)])
        store.append([Batch(1, 1, seq, T0 + EVER // 8, batch)])
        if seq % 3 == 0:
            store.seal()


def everything(folder: Path) -> list[dict[str, object]]:
    with Store(folder, background=False) as store:
        rows: list[dict[str, object]] = store.query(Raw(), list(store.tags.all()), 0, EVER).to_pylist()
        return rows


@pytest.fixture
def history(tmp_path: Path) -> Path:
    folder = tmp_path / "site" / "history"
    with Store(folder, HistorianSection(future_s=1e12), background=False) as store:
        fill(store, 1, 12)
    return folder


def test_a_backup_taken_while_writing_comes_back_whole_elsewhere(history: Path, tmp_path: Path) -> None:
    with Store(history, background=False) as store:
        done = backup(history, tmp_path / "copy")
        assert done.new == done.segments
        restore(tmp_path / "copy", tmp_path / "elsewhere")
        wanted = store.query(Raw(), list(store.tags.all()), 0, EVER).to_pylist()
    assert everything(tmp_path / "elsewhere") == wanted
    assert list(verify(tmp_path / "elsewhere")) == []


def test_the_next_backup_copies_only_what_is_new_and_drops_what_was_merged(history: Path, tmp_path: Path) -> None:
    backup(history, tmp_path / "copy")
    again = backup(history, tmp_path / "copy")
    assert (again.new, again.new_bytes) == (0, 0)
    with Store(history, background=False) as store:
        store.compact()
    merged = backup(history, tmp_path / "copy")
    assert 0 < merged.new <= merged.segments
    assert len(list((tmp_path / "copy" / "segments").glob("*/*"))) == merged.segments
    restore(tmp_path / "copy", tmp_path / "elsewhere")
    assert everything(tmp_path / "elsewhere") == everything(history)


def test_a_backup_with_a_flipped_byte_is_not_restored(history: Path, tmp_path: Path) -> None:
    backup(history, tmp_path / "copy")
    flip(next((tmp_path / "copy" / "segments").glob("*/*")))
    with pytest.raises(StoreDamaged, match="not as it was written"):
        restore(tmp_path / "copy", tmp_path / "elsewhere")


def test_nothing_is_restored_over_a_history(history: Path, tmp_path: Path) -> None:
    backup(history, tmp_path / "copy")
    with pytest.raises(UsageError, match="not empty"):
        restore(tmp_path / "copy", history)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_verify_names_what_is_flipped_missing_or_too_much(history: Path) -> None:
    assert list(verify(history)) == []
    flipped, missing, *_ = sorted((history / "segments").glob("*/*"))
    stray = missing.with_name("000000000999-L0.parquet")
    shutil.copy(missing, stray)
    missing.unlink()
    flip(flipped)
    found = {finding.path: finding.what for finding in verify(history)}
    assert "not those that were written" in found[flipped]
    assert "is not there" in found[missing]
    assert "does not name" in found[stray]


def test_people_can_do_it_all_from_the_command_line(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["history", "--data", str(history.parent)]
    assert main([*data, "show", "--tags", "3"]) == 0
    told = capsys.readouterr().out
    assert "1 of 1 source" in told
    assert "450 samples in" in told
    assert "100 samples in the log" in told
    assert "plc/speed" in told
    assert main([*data, "compact"]) == 0
    assert main([*data, "verify"]) == 0
    assert main([*data, "backup", str(tmp_path / "copy")]) == 0
    assert main(["history", "--data", str(tmp_path / "new"), "restore", str(tmp_path / "copy")]) == 0
    assert everything(tmp_path / "new" / "history") == everything(history)
    flip(next((history / "segments").glob("*/*")))
    assert main([*data, "verify"]) == 1
    assert main(["history", "--data", str(tmp_path / "nowhere"), "show"]) == 2


def test_a_correction_that_the_holder_of_history_does_not_take_is_not_called_done(
    history: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_history, "_LONGEST_S", 0.5)
    right = ["correct", "plc/speed", iso(T0 + NS_PER_DAY // 4), "1", "--by", "Ann", "--why", "wrong"]
    with Store(history, background=False):
        assert main(["history", "--data", str(history.parent), *right]) != 0
    assert "the site did not take" in capsys.readouterr().err


def test_compacting_beside_a_running_site_says_so(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(history, background=False):
        assert main(["history", "--data", str(history.parent), "compact"]) == 1
    assert "running site" in capsys.readouterr().err


def test_a_backup_onto_a_full_disk_says_which_file_and_what_to_do(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "copy"
    data = ["history", "--data", str(history.parent)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        assert main([*data, "backup", str(target)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = capsys.readouterr().err
    assert told.startswith(str(target))
    assert "disk" in told
    assert main([*data, "backup", str(target)]) == 0
    assert main([*data, "verify", str(target)]) == 0


def test_a_wrong_folder_is_said_without_a_word_of_python(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["history", "--data", str(history.parent)]
    (tmp_path / "file").touch()
    for task, told in (
        (["backup", str(tmp_path / "file")], "is a file, and a folder is needed"),
        (["sql", "--out", str(tmp_path / "no" / "x.sql")], "is not there"),
        (["sql", "--out", str(tmp_path)], "is a folder, and a file is needed"),
    ):
        assert main([*data, *task]) == 1
        said = capsys.readouterr().err
        assert told in said
        assert "Errno" not in said


def test_verify_finds_a_sample_that_stands_twice_in_segments_not_marked_as_late(tmp_path: Path) -> None:
    with Store(tmp_path, background=False) as store:
        tags = [store.tags.intern(TagInfo(name=f"plc/t{n}", kind=ValueKind.F64)) for n in range(3)]
        for seq, (tag, second) in enumerate([(0, 1), (1, 1), (2, 1), (0, 9), (0, 1)], 1):
            batch = columns(ValueKind.F64, [tags[tag]] * 2, [T0 + second, T0 + second + 5], [0, 0], [1.0, 2.0])
            store.append([Batch(1, 1, seq, T0 + EVER // 8, batch)])
            store.seal()
    assert list(verify(tmp_path)) == []
    with sqlite3.connect(tmp_path / "manifest.sqlite") as db:
        db.execute("UPDATE segment SET overlap = 0")
    db.close()
    [finding] = verify(tmp_path)
    assert str(finding).count("2 samples of this day stand twice") == 1


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """Days of several files, backed up as they were sealed, merged since; what came after the backup is in the merge."""
    folder = tmp_path / "site" / "history"
    with Store(folder, HistorianSection(future_s=1e12), background=False) as store:
        for first in range(1, 10, 2):
            fill(store, first, first + 2)
            store.seal()
        backup(folder, tmp_path / "copy")
        fill(store, 12, 13)
        fill(store, 20, 24)
        store.compact()
    return folder


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_damaged_file_keeps_nothing_else_from_the_backup(
    merged: Path, tmp_path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = everything(merged)
    broken = {"2025-11-08", "2025-11-13"}
    for day in broken:
        damage(next((merged / "segments" / f"day={day}").glob("*-L1.parquet")))
    data = ["history", "--data", str(merged.parent)]
    for _ in range(2):  # and every night again, until it is mended
        assert main([*data, "backup", str(tmp_path / "copy")]) == 1
        told = capsys.readouterr().out
        assert "the copy keeps the 150 samples that it had of 2025-11-08 before" in told
        assert "the copy lacks its 200 samples of 2025-11-13" in told
        assert "2 files are damaged here" in told
        [finding] = verify(tmp_path / "copy")
        assert finding.path.parent.name == "day=2025-11-13"
    with pytest.raises(StoreDamaged, match=r"day=2025-11-13.*\n.*All else is back"):
        restore(tmp_path / "copy", tmp_path / "elsewhere")
    with Store(tmp_path / "elsewhere", background=False) as store:
        found = store.query(Raw(), [1], 0, T0 + 4 * NS_PER_DAY).to_pylist()
    assert found == [row for row in whole if row["time_ns"] < T0 + 4 * NS_PER_DAY]  # type: ignore[operator]


def test_once_it_is_mended_the_backup_is_whole_again(merged: Path, tmp_path: Path) -> None:
    path = next((merged / "segments" / "day=2025-11-08").glob("*-L1.parquet"))
    good = path.read_bytes()
    flip(path)
    assert len(backup(merged, tmp_path / "copy").damaged) == 1
    path.write_bytes(good)
    assert backup(merged, tmp_path / "copy").damaged == ()
    restore(tmp_path / "copy", tmp_path / "elsewhere")
    assert everything(tmp_path / "elsewhere") == everything(merged)
    assert not list((tmp_path / "copy" / "segments" / "day=2025-11-08").glob("*-L0.parquet"))


def test_a_damaged_rollup_is_named_and_made_anew_where_the_copy_is_restored(merged: Path, tmp_path: Path) -> None:
    flip(next(merged.glob("segments/*/*-r60m.parquet")))
    [told] = backup(merged, tmp_path / "copy").damaged
    assert "made anew" in told
    assert list(verify(tmp_path / "copy")) == []
    restore(tmp_path / "copy", tmp_path / "elsewhere")
