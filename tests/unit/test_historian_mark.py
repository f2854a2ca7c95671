"""A manifest that is not the one of the segments beside it never deletes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.model.errors import StoreDamaged
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY
from isthmus.model.waveforms import bursts
from isthmus.site.historian.keeping.backup import backup, restore
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.sealed.manifest import NAME
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Three days of samples and bursts; a backup of the first stands beside."""
    folder = tmp_path / "history"
    with Store(folder, background=False) as store:
        store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.tags.intern(TagInfo(name="plc/vibration", kind=ValueKind.WAVEFORM))
        for day in range(3):
            at = T0 + day * NS_PER_DAY
            store.append([Batch(7, 1, 2 * day, at, columns(ValueKind.F64, [1], [at], [0], [1.0]))])
            store.append([Batch(7, 1, 2 * day + 1, at, bursts([2], [at], [0], [1e3], [[1.0, 2.0]]))])
            store.seal()
            if day == 0:
                backup(folder, tmp_path / "copy")
    return folder


def without(folder: Path) -> None:
    for path in folder.glob(NAME + "*"):
        path.unlink()


def emptied(folder: Path) -> None:
    without(folder)
    (folder / NAME).touch()


def of_the_backup(folder: Path) -> None:
    without(folder)
    copy = folder.parent / "copy" if folder.name == "history" else folder.parent.parent / "copy" / "waveforms"
    shutil.copy(copy / NAME, folder / NAME)


@pytest.mark.parametrize("lane", [".", "waveforms"])
@pytest.mark.parametrize("mishap", [without, emptied, of_the_backup])
def test_segments_outlive_a_manifest_that_is_not_theirs(
    history: Path, mishap: Callable[[Path], None], lane: str
) -> None:
    good = (history / lane / NAME).read_bytes()
    mishap(history / lane)
    before = sorted(history.glob("**/*.parquet"))
    assert len(before) == 6
    for _ in range(2):
        with pytest.raises(StoreDamaged, match=r"manifest\.sqlite (is gone|is older).*Nothing was .*deleted.*restore"):
            Store(history, background=False)
        assert sorted(history.glob("**/*.parquet")) == before
    (history / lane / NAME).write_bytes(good)
    Store(history, background=False).close()
    assert list(verify(history)) == []


def test_what_a_killed_seal_left_is_still_swept_away(history: Path) -> None:
    left = next(history.glob("segments/*/*.parquet")).with_name("000000000099-L0.parquet")
    left.write_bytes(b"PAR1 half of it")
    Store(history, background=False).close()
    assert not left.exists()


def test_a_restored_history_is_no_older_than_itself(history: Path, tmp_path: Path) -> None:
    restore(history.parent / "copy", tmp_path / "back")
    with Store(tmp_path / "back", background=False) as store:
        assert len(store.tags.all()) == 2
