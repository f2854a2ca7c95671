"""What was lost or damaged comes back from a backup; what came since the backup stays."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.model.query import Aggregate, Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR
from isthmus.model.waveforms import bursts
from isthmus.site.historian.check import Told, Trouble
from isthmus.site.historian.keeping.backup import backup
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.memory.rows import Words
from isthmus.site.historian.reader import Reader
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
EVER = 2**62
DAYS = 3


def record(store: Store, day: int) -> None:
    at = [T0 + day * NS_PER_DAY + number * NS_PER_HOUR // 4 for number in range(90)]
    store.append([Batch(7, 1, 2 * day, at[-1], columns(ValueKind.F64, [1] * 90, at, [0] * 90, [day + 0.25] * 90))])
    store.append([Batch(7, 1, 2 * day + 1, at[-1], bursts([2], at[:1], [0], [1e3], [[float(day), 2.0]]))])
    store.seal()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Three days and their rollups, a backup of them, and a day that came since."""
    folder = tmp_path / "site" / "history"
    with Store(folder, background=False) as store:
        store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.tags.intern(TagInfo(name="plc/vibration", kind=ValueKind.WAVEFORM))
        for day in range(DAYS):
            record(store, day)
        store.compact()
        backup(folder, tmp_path / "copy")
        record(store, DAYS)
    return folder


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(f"segments/*/{pattern}"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def counts(folder: Path) -> tuple[int, int, int]:
    with Store(folder, background=False) as store:
        by_hour = store.query(Aggregate(bucket_ns=NS_PER_HOUR), [1], 0, EVER)
        raw = store.query(Raw(), [1], 0, EVER).num_rows
        return raw, sum(by_hour["n"].to_pylist()), store.bursts([2], 0, EVER).num_rows


def test_one_damaged_segment_is_put_back_and_nothing_since_the_backup_is_lost(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, flipped, *_ = files(history, "*-L*")
    lost.unlink()
    flip(flipped)
    flip(files(history / "waveforms", "*")[0])
    untouched = {path: path.stat().st_mtime_ns for path in files(history, "*") if path not in {lost, flipped}}
    data = ["history", "--data", str(history.parent)]
    assert main([*data, "verify"]) == 1
    assert capsys.readouterr().out.count("isthmus history mend") == 3
    assert main([*data, "mend", str(tmp_path / "copy")]) == 0
    assert capsys.readouterr().out.count("put back\n") == 3
    assert main([*data, "verify"]) == 0
    assert main([*data, "mend", str(tmp_path / "copy")]) == 0
    assert "nothing is missing" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched
    assert counts(history) == (360, 360, 4)


def test_what_the_backup_does_not_have_is_named_with_how_much_is_missing(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = files(history, "*-L*")[-1]
    new.unlink()
    flip(files(tmp_path / "copy", "*-L*")[0])
    files(history, "*-L*")[0].unlink()
    assert main(["history", "--data", str(history.parent), "mend", str(tmp_path / "copy")]) == 1
    told = capsys.readouterr().out
    assert told.count("does not have it; 90 samples of ") == 2
    assert str(new) in told
    assert main(["history", "--data", str(history.parent), "mend", str(tmp_path / "nowhere")]) == 2


def test_a_lost_rollup_is_made_anew_from_the_samples_that_are_there(history: Path) -> None:
    rollups = files(history, "*-r*")
    assert rollups
    rollups[0].unlink()
    rollups[1].write_bytes(b"short")
    told: list[Told] = []
    assert counts(history) == (360, 360, 4)
    with Store(history, told=told.append, background=False) as store:
        store.compact()
        assert [each for each in told if each.trouble is Trouble.MISSING] == []
    assert len(files(history, "*-r*")) > len(rollups)
    assert list(verify(history)) == []


def test_a_flipped_rollup_that_no_backup_has_goes_and_is_made_anew(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = files(history, "*-r*")[0]
    flip(one)
    (tmp_path / "copy" / one.relative_to(history)).unlink()
    assert main(["history", "--data", str(history.parent), "mend", str(tmp_path / "copy")]) == 0
    assert "makes it anew" in capsys.readouterr().out
    assert counts(history) == (360, 360, 4)
    assert list(verify(history)) == []


def test_verify_looks_into_a_backup_and_into_the_manifest_itself(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["history", "--data", str(history.parent)]
    assert main([*data, "verify", str(tmp_path / "copy")]) == 0
    flip(files(tmp_path / "copy", "*-L*")[0])
    assert main([*data, "verify", str(tmp_path / "copy")]) == 1
    capsys.readouterr()
    with sqlite3.connect(history / "manifest.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'segment_day'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    with (history / "manifest.sqlite").open("r+b") as file:
        file.seek((root - 1) * size + size - 60)
        file.write(b"\xff" * 40)
    assert main([*data, "verify"]) == 1
    assert "manifest.sqlite: " in capsys.readouterr().out


@pytest.mark.parametrize("why", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_takes_no_file_is_read_all_the_same_and_keeps_what_is_read(
    history: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    real = os.open

    def full(path: Path, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT and "leases" in str(path):
            raise OSError(why, os.strerror(why), str(path))
        return real(path, flags, *rest)

    monkeypatch.setattr("isthmus.site.historian.sealed.leases.os.open", full)
    with Store(history, background=False) as store, Reader(history) as reader:
        before = files(history, "*-L*")
        with reader.view() as view:
            assert sum(each.rows for each in view.segments) == 360
            record_again(store)
            store.compact()
            assert set(before) <= set(files(history, "*-L*")), "a file was deleted under its reader"
            assert sum(view.files.get(each.path).read(Words()).size for each in view.segments) == 360
        store.compact()
        assert not set(before) <= set(files(history, "*-L*"))
        assert reader.query(Raw(), [1], 0, EVER).num_rows == 360


def record_again(store: Store) -> None:
    """Late samples of a day that is over, so that it is merged anew."""
    at = T0 + NS_PER_HOUR // 4
    store.append([Batch(7, 2, 1, at, columns(ValueKind.F64, [1], [at], [0], [5.0]))])
