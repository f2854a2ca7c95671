"""Shipping: whatever is cut short, late, merged or spoilt on the way, the centre ends with what the site has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from group import END, KINDS, MEMORY, T0, Site, assert_same, three_days, wanted
from pyarrow import fs

from isthmus.centre.centre import Centre
from isthmus.model import query as q
from isthmus.model.errors import UsageError
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.time import NS_PER_HOUR
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.ship import Shipper
from isthmus.site.historian.shipping.shipped import Bucket, Folder

NAME = "acme/north"
EVER = 2**62


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: what a disk takes to sync is not the point here."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, tmp_path / "group", NAME, 7)
    yield made
    made.close()


@pytest.fixture
def centre(site: Site, tmp_path: Path) -> Iterator[Centre]:
    with Centre(tmp_path / "centre", site.group) as opened:
        yield opened


def assert_knows_all(centre: Centre, site: Site) -> None:
    number = next(each.number for each in centre.stock.sites() if each.name == site.name)
    tags = [tag.id for tag in centre.stock.tags(f"{site.name}:*")]
    operators = (q.Raw(), q.Last(), q.Aggregate(bucket_ns=NS_PER_HOUR))
    for operator in operators:
        found = centre.query(operator, tags, 0, EVER if isinstance(operator, q.Last) else END)
        rows = wanted(operator, {number: site.past()}, 0, EVER if isinstance(operator, q.Last) else END)
        assert_same(found, rows, operator)


def test_a_site_cut_off_for_an_hour_converges_to_the_same_hashes(site: Site, tmp_path: Path) -> None:
    """Two groups, one store: the way to the second is cut while late data, seals and merges go on."""
    cut = tmp_path / "cut"
    away = Shipper(site.folder, shipped.place(str(cut), create=True), NAME, grace_s=0)
    with Centre(tmp_path / "c1", site.group) as whole, Centre(tmp_path / "c2", cut) as broken:
        for minute in range(0, 300, 10):
            site.write(minute / 60 + 20, rows=20)
            if minute % 30 == 0:
                site.store.seal()
            if minute in {120, 250}:
                site.store.compact()
            site.shipper.ship()
            whole.take()
            if minute == 60:
                cut.rename(tmp_path / "unplugged")
            if 60 <= minute < 180:
                with pytest.raises(FileNotFoundError, match="is not there"):
                    away.ship()
            elif minute == 180:
                (tmp_path / "unplugged").rename(cut)
            if minute >= 180 or minute < 60:
                away.ship()
                broken.take()
        assert whole.stock.hashes() == broken.stock.hashes()
        assert len(whole.stock.hashes()) > 3
        assert [each.state for each in whole.stock.sites()] == [each.state for each in broken.stock.sites()]
        for each in (whole, broken):
            assert_knows_all(each, site)
        on_disk = {path.stem for folder in (site.group, cut) for path in folder.rglob("*.parquet")}
        assert on_disk == {name for _, name in whole.stock.hashes()}, "what was superseded is gone from both"


def test_a_run_cut_short_anywhere_changes_nothing_until_it_is_whole(site: Site, centre: Centre) -> None:
    """The place fails at every single write in turn; the centre sees the state before or the state after."""
    site.write(1)
    site.store.seal()
    site.shipper.ship()
    centre.take()
    before = centre.stock.hashes()
    for hour in (2, 3, 30):
        site.write(hour)
    site.store.compact()
    for fails_at in range(100):
        failing = FailingAt(site.group, fails_at)
        try:
            Shipper(site.folder, failing, NAME, grace_s=0).ship()
        except OSError:
            centre.take()
            if failing.root_is_new:
                break
            assert centre.stock.hashes() == before
            continue
        break
    assert fails_at > 2, "each run goes on where the one before was cut, and one is cut before its root"
    done = site.new_shipper().ship()
    centre.take()
    assert centre.stock.hashes() != before
    assert_knows_all(centre, site)
    assert site.new_shipper().ship()[1:4] == (len(done.root.days), 0, 0), "another run sends nothing again"


class FailingAt(Folder):
    """A folder whose disk is full from the n-th write on."""

    def __init__(self, root: Path, fails_at: int) -> None:
        super().__init__(root)
        self._left, self.root_is_new = fails_at, False

    def put(self, name: str, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(28, "No space left on device")
        super().put(name, data)
        self.root_is_new |= name.endswith("root.json")


def test_a_file_that_is_not_as_listed_is_refused_and_the_day_stays_as_it_was(site: Site, centre: Centre) -> None:
    site.write(1)
    site.store.seal()
    site.shipper.ship()
    centre.take()
    before = centre.stock.hashes()
    site.write(2)
    site.store.compact()
    site.shipper = site.new_shipper(grace_s=900)
    site.shipper.ship()
    new = {path for path in site.group.rglob("*.parquet") if path.stem not in {name for _, name in before}}
    spoilt = max(new, key=lambda path: path.stat().st_size)
    data = bytearray(spoilt.read_bytes())
    data[len(data) // 2] ^= 1
    spoilt.write_bytes(data)

    (taken,) = centre.take()
    assert "does not hold what its name says" in taken.refused[0].why
    assert centre.stock.hashes() == before
    assert [each.name for each in centre.stock.refused()] == [taken.refused[0].name]
    site.write(3)
    site.store.seal()
    assert site.new_shipper().ship().deleted == 0, "what the day stands on is kept until it is mended"
    tags = [tag.id for tag in centre.stock.tags("*")]
    assert centre.query(q.Raw(), tags, T0, END).num_rows > 0

    spoilt.unlink()
    site.new_shipper().ship()
    (taken,) = centre.take()
    assert not taken.refused
    assert not centre.stock.refused()
    assert_knows_all(centre, site)


def test_a_file_without_an_entry_counts_for_nothing(site: Site, centre: Centre) -> None:
    site.write(1)
    site.store.seal()
    site.shipper.ship()
    known = next(site.group.rglob("*.parquet"))
    shutil.copy(known, known.with_name("f" * 64 + ".parquet"))
    centre.take()
    assert all(name != "f" * 64 for _, name in centre.stock.hashes())
    assert_knows_all(centre, site)


def test_a_reader_in_the_middle_keeps_its_files_until_it_is_done(site: Site, centre: Centre) -> None:
    three_days(site)
    centre.take()
    tags = [tag.id for tag in centre.stock.tags("*")]
    expected = centre.query(q.Raw(), tags, T0, END)
    number = centre.stock.sites()[0].number
    with centre.snapshot() as held:
        view = held.view(number, T0, END)
        named = {site.group / each.path for each in view.segments}
        site.store.compact()
        assert site.shipper.ship().deleted == 0
        assert all(path.exists() for path in named)
        assert view.rows(None, T0, END).size == expected.num_rows
    assert site.shipper.ship().deleted > 0
    assert not all(path.exists() for path in named)
    rows = [tuple(row.values()) for row in expected.to_pylist()]
    assert_same(centre.query(q.Raw(), tags, T0, END), rows, "stock that is old is taken anew")
    assert {path.stem for path in site.group.rglob("*.parquet")} == {name for _, name in centre.stock.hashes()}


def test_the_tail_is_seen_before_it_is_sealed_and_once_after(site: Site, centre: Centre) -> None:
    site.write(1)
    site.store.seal()
    site.write(2)
    site.shipper.ship()
    centre.take()
    assert_knows_all(centre, site)
    site.write(3)
    assert site.shipper.ship().tail_rows == 60 * len(KINDS)
    assert_knows_all(centre, site)
    # Sealed, but its segment not shipped yet: neither lost nor doubled.
    site.store.seal()
    assert_knows_all(centre, site)
    site.shipper.ship()
    assert_knows_all(centre, site)
    centre.take()
    assert_knows_all(centre, site)
    for hour in range(4, 44):
        site.write(hour, rows=2)
        site.shipper.ship()
    listed = shipped.read_tail(shipped.place(str(site.group)), NAME)
    assert listed is not None
    assert len(listed.chunks) <= 32
    assert_knows_all(centre, site)


def test_what_a_site_sealed_and_shipped_since_stock_was_taken_is_not_missed(site: Site, centre: Centre) -> None:
    """The tail let go of it, and the files of the state before stay for a quarter of an hour."""
    shipper = site.new_shipper(grace_s=900)
    for hour in (1, 2):
        site.write(hour)
        site.store.seal()
        shipper.ship()
        if hour == 1:
            centre.take()
    assert_knows_all(centre, site)


def test_what_a_person_put_right_is_put_right_at_the_centre_too(site: Site, centre: Centre) -> None:
    three_days(site)
    moment = site.past()[1][10].time_ns
    site.store.correct(
        [Correction(tag=1, time_ns=moment, value=77.25, said_ns=END, by="A. Khan", why="the sensor was unplugged")]
    )
    site.shipper.ship()
    centre.take()
    (tag,) = (each.id for each in centre.stock.tags("*:plc/t1"))
    assert centre.query(q.Raw(), [tag], moment, moment + 1).column("f64").to_pylist() == [77.25]
    assert_knows_all(centre, site)


def test_another_history_and_an_older_state_do_not_take_the_place_of_what_is_there(site: Site, tmp_path: Path) -> None:
    site.write(1)
    site.store.seal()
    site.shipper.ship()
    backup = tmp_path / "backup"
    shutil.copytree(site.folder, backup)
    site.write(2)
    site.store.compact()
    site.shipper.ship()
    older = Shipper(backup, shipped.place(str(site.group)), NAME)
    with pytest.raises(UsageError, match="restored from a backup"):
        older.ship()
    assert older.ship(over_newer=True).days == 1

    other = Site(tmp_path / "other", site.group, NAME, 1)
    other.store.tags.intern_all([TagInfo(name=f"mill/t{n}", kind=ValueKind.F64) for n in range(9)])
    other.close()
    shutil.rmtree(other.folder)
    strange = Site(tmp_path / "strange", site.group, "acme/strange", 1)
    strange.store.tags.intern_all([TagInfo(name="mill/first", kind=ValueKind.F64)])
    site.store.tags.intern_all([TagInfo(name="press/seventh", kind=ValueKind.F64)])
    site.new_shipper().ship()
    with pytest.raises(UsageError, match="another history"):
        Shipper(strange.folder, shipped.place(str(site.group)), NAME).ship()
    strange.close()


def test_a_bucket_is_shipped_to_as_a_folder_is(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    three_days(site)
    Shipper(site.folder, Bucket(fs.LocalFileSystem(), str(tmp_path / "bucket")), NAME, grace_s=0).ship()
    with Centre(tmp_path / "c", tmp_path / "bucket") as centre:
        centre.take()
        assert_knows_all(centre, site)


def test_a_place_is_a_folder_or_a_url_and_anything_else_is_said(site: Site, tmp_path: Path) -> None:
    site.write(1)
    (tmp_path / "by-url").mkdir()
    Shipper(site.folder, shipped.place((tmp_path / "by-url").as_uri()), NAME).ship()
    assert shipped.read_root(Folder(tmp_path / "by-url"), NAME) is not None
    with pytest.raises(UsageError, match="no place that can be written"):
        shipped.place("carrier-pigeon://loft")


def test_the_page_of_the_format_names_every_field() -> None:
    page = (Path(__file__).resolve().parent.parent.parent / "docs/formats/shipped.md").read_text(encoding="utf-8")
    for form in (shipped.Root, shipped.Tail, shipped.Chunk, shipped.Day, shipped.Entry, shipped.Leaving, shipped.Hold):
        for field in form.__struct_fields__:
            assert f"`{field}`" in page or f'"{field}"' in page, (form.__name__, field)


def test_days_that_the_site_lets_go_stay_at_the_group(site: Site, centre: Centre) -> None:
    three_days(site)
    centre.take()
    before = centre.stock.hashes()
    site.store.section = msgspec.structs.replace(site.store.section, keep_days=1)
    site.store.maintain()
    with site.store.view() as view:
        assert len({each.day for each in view.segments}) < 3
    site.shipper.ship()
    centre.take()
    assert before <= centre.stock.hashes()


class ReadOnly(Folder):
    """A share that the centre may only read."""

    def put(self, name: str, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", name, len(data))


def test_a_group_folder_that_can_only_be_read_is_read(site: Site, centre: Centre) -> None:
    site.write(1)
    site.shipper.ship()
    centre.stock.where = ReadOnly(site.group)
    centre.take()
    assert_knows_all(centre, site)


def test_who_may_read_the_groups_folder_may_read_what_is_shipped_there(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        for mode in (0o750, 0o700):
            root = tmp_path / oct(mode)
            root.mkdir()
            root.chmod(mode)
            Folder(root).put("site=acme~north/day=2026-11-22/a.parquet", b"rows")
            made = {path.name: path.stat().st_mode & 0o777 for path in root.rglob("*")}
            assert made == {"site=acme~north": mode, "day=2026-11-22": mode, "a.parquet": mode & 0o666}
    finally:
        os.umask(before)
