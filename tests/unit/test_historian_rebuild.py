"""A manifest that is lost costs nothing: files, log and journal give it back, to the last sample."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.query import Last, Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S
from isthmus.model.waveforms import bursts
from isthmus.site.config import HistorianSection
from isthmus.site.historian.check import Told
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.keeping.backup import backup
from isthmus.site.historian.keeping.rebuild import LOST, NAMELESS, alone, examine, rebuild
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.sealed import journal
from isthmus.site.historian.sealed.manifest import NAME, Manifest
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
EVER = 1 << 62
SECTION = HistorianSection(future_s=1e9)
Samples = dict[tuple[str, int], object]
Mishap = Callable[[Path], None]


def without(folder: Path) -> None:
    for path in folder.glob(NAME + "*"):
        path.unlink()


def without_the_main_file(folder: Path) -> None:
    (folder / NAME).unlink()


def emptied(folder: Path) -> None:
    without(folder)
    (folder / NAME).touch()


def overwritten(folder: Path) -> None:
    without(folder)
    (folder / NAME).write_bytes(b"not a manifest at all" * 100)


def of_the_backup(folder: Path) -> None:
    without(folder)
    if (folder.with_name("copy") / NAME).exists():
        shutil.copy(folder.with_name("copy") / NAME, folder / NAME)


def made_anew(folder: Path, older: Path | None = None) -> None:
    guard = alone(folder)
    rebuild(examine(folder, older))
    guard.release()


def everything(store: Store) -> Samples:
    names = {tag: info.name for tag, info in store.tags.all().items()}
    names |= {each.id: f"{each.info.name}#{each.id}" for each in store.tags.former()}
    rows = store.query(Raw(), list(names), 0, EVER).to_pylist()
    assert len({(row["tag"], row["time_ns"]) for row in rows}) == len(rows)  # none stands twice
    out: Samples = {}
    for row in rows:
        value = next((row[form] for form in ("f64", "i64", "str") if row[form] is not None), None)
        out[names[row["tag"]], row["time_ns"]] = value
    return out


class Plant:
    """A store, and a dictionary of all that it acknowledged."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.store = Store(folder, SECTION, background=False)
        self.known: Samples = {}
        self.right: Samples = {}
        self.sent: list[Batch] = []
        self.kinds: dict[str, ValueKind] = {}

    def wanted(self) -> Samples:
        return self.known | self.right

    def new_tag(self) -> None:
        name = f"plc/t{len(self.kinds)}"
        self.kinds[name] = self.chance.choice([ValueKind.F64, ValueKind.I64, ValueKind.STR])
        self.store.tags.intern(TagInfo(name=name, kind=self.kinds[name]))

    def new_kind(self) -> None:
        name = self.chance.choice(list(self.kinds))
        old = self.store.tags.find(name)
        self.kinds[name] = ValueKind.STR if self.kinds[name] is not ValueKind.STR else ValueKind.F64
        self.store.tags.intern(TagInfo(name=name, kind=self.kinds[name]))
        for held in (self.known, self.right):
            for key in [key for key in held if key[0] == name]:
                held[f"{name}#{old}", key[1]] = held.pop(key)

    def append(self) -> None:
        name = self.chance.choice(list(self.kinds))
        kind, tag = self.kinds[name], self.store.tags.find(name)
        assert tag is not None
        first = T0 + self.chance.randrange(60) * NS_PER_HOUR
        times = sorted({first + self.chance.randrange(200) * NS_PER_S for _ in range(30)})
        values = [value_of(kind, self.chance) for _ in times]
        batch = Batch(
            1,
            1,
            len(self.sent) + 1,
            T0 + 4 * NS_PER_DAY,
            columns(kind, [tag] * len(times), times, [0] * len(times), values),
        )
        self.store.append([batch])
        self.sent.append(batch)
        self.known |= {(name, at): value for at, value in zip(times, values, strict=True)}

    def correct(self) -> None:
        plain = [key for key in self.known if key[0] in self.kinds]
        if not plain:
            return
        name, at = self.chance.choice(plain)
        tag, value = self.store.tags.find(name), value_of(self.kinds[name], self.chance)
        assert tag is not None
        said = Correction(tag=tag, time_ns=at, value=value, said_ns=len(self.right) + 1, by="Ann", why="wrong")
        self.store.correct([said])
        self.right[name, at] = value

    def seal(self) -> None:
        self.store.seal()

    def compact(self) -> None:
        self.store.compact()

    def compact_while_somebody_reads(self) -> None:
        with self.store.view():
            self.store.compact()

    def upkeep(self) -> None:
        self.store.maintain()

    def reopen(self) -> None:
        self.store.close()
        self.store = Store(self.folder, SECTION, background=False)


def value_of(kind: ValueKind, chance: random.Random) -> float | int | str:
    if kind is ValueKind.F64:
        return round(chance.uniform(-100, 100), 2) + 0.001
    return chance.randrange(1000) if kind is ValueKind.I64 else f"word {chance.randrange(9)}"


def a_past(folder: Path, seed: int, steps: int) -> tuple[Plant, Path]:
    """A plant after some steps, and a backup taken on the way."""
    chance = random.Random(seed)  # noqa: S311  no secret
    plant, copy = Plant(folder, chance), folder.with_name("copy")
    plant.new_tag()
    often = [plant.append] * 6 + [plant.seal] * 3 + [plant.new_tag, plant.correct, plant.new_kind]
    seldom = [plant.compact, plant.compact_while_somebody_reads, plant.upkeep, plant.reopen]
    for step in range(steps):
        chance.choice(often + seldom)()
        if step == steps // 2:
            backup(folder, copy)
    return plant, copy


def killed(plant: Plant, chance: random.Random, to: Path) -> Path:
    """The folder as a kill leaves it: some of what was merged is deleted already, and some is not."""
    shutil.copytree(plant.folder, to, ignore=shutil.ignore_patterns("writer.lock", "leases"))
    gone = Manifest(plant.folder, writing=False)
    for _, path, _ in gone.gone():
        if chance.random() < 0.5:
            (to / path).unlink(missing_ok=True)
    gone.close()
    if chance.random() < 0.3:  # a file that was written and never told
        (to / "segments" / "day=2025-11-08").mkdir(parents=True, exist_ok=True)
        (to / "segments" / "day=2025-11-08" / "000000009000-L0.parquet.tmp").write_bytes(b"PAR1")
    return to


def holds_it_all(folder: Path, plant: Plant) -> None:
    assert {each.what for each in verify(folder)} <= {"the manifest does not name it"}  # rollups, and leavings
    with Store(folder, SECTION, background=False) as store:
        assert everything(store) == plant.wanted()
        assert len(store.corrections()) == len(plant.store.corrections())
        again = plant.sent.copy()
        plant.chance.shuffle(again)
        store.append(again)  # what was acknowledged comes once more, and an older value must not come back
        assert everything(store) == plant.wanted()
        store.compact()
        assert everything(store) == plant.wanted()
        newest = store.query(Last(), list(store.tags.all()), 0, EVER).to_pylist()
        assert newest == plant.store.query(Last(), list(store.tags.all()), 0, EVER).to_pylist()
    assert list(verify(folder)) == []
    assert examine(folder, None) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_lost_manifest_is_made_anew_to_the_last_sample(tmp_path: Path, seed: int) -> None:
    plant, _ = a_past(tmp_path / "history", seed, 40)
    mishap = [without, without_the_main_file, emptied, overwritten][seed]
    left = killed(plant, plant.chance, tmp_path / "left")
    mishap(left)
    made_anew(left)
    holds_it_all(left, plant)
    plant.store.close()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 140))
def test_at_any_moment_a_lost_manifest_is_made_anew(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  no secret
    plant, copy = a_past(tmp_path / "history", seed, chance.randrange(3, 90))
    for turn, mishap in enumerate((without, emptied, overwritten, of_the_backup)):
        left = killed(plant, chance, tmp_path / f"left{turn}")
        mishap(left)
        if not examine(left, None):
            continue  # no segments yet, or the backup's manifest is as new as this one
        made_anew(left, copy if copy.exists() and chance.random() < 0.5 else None)
        holds_it_all(left, plant)
    plant.store.close()


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Two days in three files, a correction, a tag whose kind changed, bursts, and a backup of the first file."""
    made = Plant(tmp_path / "history", random.Random(7))  # noqa: S311  no secret
    made.new_tag()
    burst = made.store.tags.intern(TagInfo(name="plc/vibration", kind=ValueKind.WAVEFORM))
    for number in range(3):
        for _ in range(4):
            made.append()
        made.store.append([Batch(2, 1, number, T0, bursts([burst], [T0 + number], [0], [1e3], [[1.0, 2.0]]))])
        made.seal()
        if not number:
            backup(made.folder, tmp_path / "copy")
            made.new_kind()
    made.append()
    made.correct()
    made.store.close()
    return made


def test_names_newer_than_the_backup_come_from_the_journal(plant: Plant, tmp_path: Path) -> None:
    without(plant.folder)
    made_anew(plant.folder, tmp_path / "copy")
    with Store(plant.folder, SECTION, background=False) as store:
        assert everything(store) == plant.wanted()
        assert [each.info.name for each in store.tags.former()] == ["plc/t0"]
        assert [each.by for each in store.corrections()] == ["Ann"]


@pytest.mark.parametrize("left", range(1, 8))
def test_what_a_merge_left_behind_doubles_nothing_and_brings_no_old_value_back(tmp_path: Path, left: int) -> None:
    with Store(tmp_path, SECTION, background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/t", kind=ValueKind.F64))
        for seq, value in enumerate([1.0, 2.0, 3.0], 1):  # in time, then late, then later still
            times = [T0, T0 + seq] if seq < 3 else [T0]
            batch = columns(ValueKind.F64, [tag] * len(times), times, [0] * len(times), [value] * len(times))
            store.append([Batch(1, 1, seq, T0, batch)])
            store.seal()
        wanted = everything(store)
        assert wanted["plc/t", T0] == 3.0
        merged = sorted(tmp_path.glob("segments/*/*.parquet"))
        with store.view():
            store.compact()
    for number, path in enumerate(merged):
        if not left & 1 << number:
            path.unlink()
    shutil.rmtree(tmp_path / "wal")  # with the log behind it every value would be right by itself
    without(tmp_path)
    [found] = examine(tmp_path, None)
    assert found.beside == 1
    made_anew(tmp_path)
    with Store(tmp_path, SECTION, background=False) as store:
        assert everything(store) == wanted
        store.compact()
        assert everything(store) == wanted
    assert list(verify(tmp_path)) == []


def test_bursts_come_back_too(plant: Plant) -> None:
    without(plant.folder / "waveforms")
    assert [each.folder.name for each in examine(plant.folder, None)] == ["waveforms"]
    made_anew(plant.folder)
    with Store(plant.folder, SECTION, background=False) as store:
        store.append([Batch(2, 1, 0, T0, bursts([2], [T0], [0], [1e3], [[9.0, 9.0]]))])  # taken before
        found = store.bursts([2], 0, EVER)
        assert [each["value"] for each in found.to_pylist()] == [[1.0, 2.0]] * 3


def test_tags_that_nobody_can_name_keep_their_samples_and_their_number(plant: Plant) -> None:
    without(plant.folder)
    (plant.folder / journal.NAME).unlink()
    made_anew(plant.folder)
    with Store(plant.folder, SECTION, background=False) as store:
        names = [info.name for info in store.tags.all().values()]
        assert names == [f"{NAMELESS}/1", f"{NAMELESS}/2", f"{NAMELESS}/3"]
        assert sorted(map(str, everything(store).values())) == sorted(map(str, plant.known.values()))
        assert store.tags.intern(TagInfo(name="plc/t0", kind=ValueKind.F64)) > 3


def test_a_damaged_file_is_set_aside_and_named_or_comes_from_the_backup(plant: Plant, tmp_path: Path) -> None:
    without(plant.folder)
    path = min((plant.folder / "segments").glob("*/*.parquet"))
    good = path.read_bytes()
    path.write_bytes(good[:200] + b"!" + good[201:])
    [with_backup] = examine(plant.folder, tmp_path / "copy")
    assert [each.path for each in with_backup.back] == [str(path.relative_to(plant.folder))]
    assert with_backup.unreadable == ()
    [found] = examine(plant.folder, None)
    assert [each[0] for each in found.unreadable] == [path]
    rebuild([found])
    assert (plant.folder / LOST / path.relative_to(plant.folder)).exists()
    assert not path.exists()
    without(plant.folder)
    made_anew(plant.folder, tmp_path / "copy")  # later, the backup is found after all
    assert path.read_bytes() == good
    with Store(plant.folder, SECTION, background=False) as store:
        assert everything(store) == plant.wanted()


def test_a_backup_of_another_history_is_refused(plant: Plant, tmp_path: Path) -> None:
    with Store(tmp_path / "other", background=False) as store:
        store.tags.intern(TagInfo(name="oven/heat", kind=ValueKind.F64))
        backup(store.folder, tmp_path / "others")
    without(plant.folder)
    with pytest.raises(UsageError, match="is of another history: tag 1 is"):
        examine(plant.folder, tmp_path / "others")


def power_goes_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, really = iter(range(99)), Path.rename

    def rename(path: Path, target: Path) -> Path:
        if next(calls) == call:
            msg = "the power went"
            raise KeyboardInterrupt(msg)
        return really(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(Path, "replace", rename)


def test_a_rebuild_cut_short_is_just_done_again(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    for cut in range(2):  # before the old manifest is moved away, and before the new one stands in its place
        emptied(plant.folder)
        power_goes_at(cut, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            rebuild(examine(plant.folder, None))
        monkeypatch.undo()
        made_anew(plant.folder)
        with Store(plant.folder, SECTION, background=False) as store:
            assert everything(store) == plant.wanted()


def test_a_manifest_put_back_from_before_a_tag_learns_it_from_the_journal(tmp_path: Path) -> None:
    with Store(tmp_path / "history", background=False) as store:
        store.tags.intern(TagInfo(name="plc/old", kind=ValueKind.F64))
        backup(store.folder, tmp_path / "copy")
        new = store.tags.intern(TagInfo(name="plc/new", kind=ValueKind.F64))
        store.append([Batch(1, 1, 1, T0, columns(ValueKind.F64, [new], [T0], [0], [1.5]))])
    without(tmp_path / "history")
    shutil.copy(tmp_path / "copy" / NAME, tmp_path / "history" / NAME)  # of the same generation: no seal since
    with Store(tmp_path / "history", background=False) as store:
        assert store.tags.find("plc/new") == new
        assert store.tags.intern(TagInfo(name="plc/third", kind=ValueKind.F64)) == new + 1
        assert list(everything(store).values()) == [1.5]


def test_a_journal_of_another_history_is_told_and_nothing_opened(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with Store(tmp_path / name, background=False) as store:
            store.tags.intern(TagInfo(name=f"{name}/tag", kind=ValueKind.F64))
    shutil.copy(tmp_path / "two" / journal.NAME, tmp_path / "one" / journal.NAME)
    with pytest.raises(StoreDamaged, match="belongs to another history"):
        Store(tmp_path / "one", background=False)


def test_a_journal_that_is_lost_or_damaged_is_written_anew(plant: Plant) -> None:
    path = plant.folder / journal.NAME
    whole = journal.read(plant.folder)
    lines = path.read_bytes().splitlines(keepends=True)
    cut_short = b"".join(lines)[:-9]  # the correction, as when the power goes
    for damage in (b"", b"".join([b"x", *lines]), b"".join(lines[:1] + lines[2:]), cut_short):
        path.write_bytes(damage)
        assert [each.path for each in verify(plant.folder)] == [path]
        told: list[Told] = []
        Store(plant.folder, SECTION, background=False, told=told.append).close()
        assert [each.what for each in told if "1 lines were damaged" in each.what] == (
            [told[0].what] if damage.startswith(b"x") else []
        )
        found = journal.read(plant.folder)
        assert (found.tags, found.corrections, found.taken) == (whole.tags, whole.corrections, whole.taken)
        assert not found.damaged


def test_the_journal_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "RENEW_AFTER", 3)
    with Store(tmp_path, SECTION, background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/t", kind=ValueKind.F64))
        for seq in range(20):
            store.append([Batch(1, 1, seq, T0, columns(ValueKind.F64, [tag], [T0 + seq], [0], [1.0]))])
            store.seal()
        assert len((tmp_path / journal.NAME).read_bytes().splitlines()) <= 2 + 3
        taken = journal.read(tmp_path).taken
    assert taken == {each[:2]: each[2] for each in Manifest(tmp_path, writing=False).taken()}


def test_a_number_that_the_disk_refused_to_write_down_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path, background=False) as store:
        store.tags.intern(TagInfo(name="plc/a", kind=ValueKind.F64))

        def full(handle: int) -> None:
            del handle
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fdatasync", full)
        with pytest.raises(OSError, match="No space"):
            store.tags.intern(TagInfo(name="plc/b", kind=ValueKind.F64))
        monkeypatch.undo()
        assert store.tags.find("plc/b") is None
        assert list(journal.read(tmp_path).tags) == [1]
        assert store.tags.intern(TagInfo(name="plc/c", kind=ValueKind.F64)) == 2


def test_what_was_let_go_stays_gone_and_so_do_its_corrections(tmp_path: Path) -> None:
    days = HistorianSection(keep_days=3, future_s=1e9)
    with Store(tmp_path, days, background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/t", kind=ValueKind.F64))
        for day in range(8):
            at = T0 + day * NS_PER_DAY
            store.append([Batch(1, 1, day + 1, at, columns(ValueKind.F64, [tag], [at], [0], [1.0]))])
            store.correct([Correction(tag=tag, time_ns=at + 1, value=2.0, said_ns=day, by="Ann", why="x")])
            store.seal()
            store.maintain()
        wanted = everything(store)
        assert len(wanted) == 8
    without(tmp_path)
    made_anew(tmp_path)
    with Store(tmp_path, days, background=False) as store:
        assert len(store.corrections()) == 4
        store.seal()  # what the log still held comes back with it, and goes as it went before
        store.maintain()
        assert everything(store) == wanted


def test_a_person_is_told_what_is_found_before_anything_is_changed(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["history", "--data", str(plant.folder.parent), "rebuild"]
    site = plant.folder.parent / "history"
    assert main(data) == 0
    assert "nothing to make anew" in capsys.readouterr().out
    without(site)
    before = sorted(site.rglob("*"))
    assert main(["history", "--data", str(plant.folder.parent), "show"]) == 2
    assert "isthmus history rebuild" in capsys.readouterr().err
    assert main(data) == 1
    said = capsys.readouterr().out
    assert "is gone, and segments are there" in said
    assert "3 tags; 1 corrections" in said
    assert "--write" in said
    assert sorted(site.rglob("*")) == before
    guard = alone(site)
    assert main([*data, "--write"]) == 1
    assert "isthmus history rebuild (process" in capsys.readouterr().err
    guard.release()
    assert main([*data, "--write"]) == 0
    assert main(["history", "--data", str(plant.folder.parent), "show"]) == 0


def test_a_manifest_with_a_damaged_page_gives_what_can_be_read_of_it(plant: Plant) -> None:
    (plant.folder / journal.NAME).unlink()
    with sqlite3.connect(plant.folder / NAME) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        [page] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'taken'").fetchone()
        [size] = db.execute("PRAGMA page_size").fetchone()
    db.close()
    data = bytearray((plant.folder / NAME).read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    (plant.folder / NAME).write_bytes(data)
    [found] = examine(plant.folder, None)
    assert "is damaged" in found.why
    rebuild([found])
    with Store(plant.folder, SECTION, background=False) as store:
        assert everything(store) == plant.wanted()
