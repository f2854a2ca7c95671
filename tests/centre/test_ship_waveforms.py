"""Bursts at the centre: those that the site has, whenever they came and however the way there was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from group import MEMORY, T0

from isthmus.centre.centre import Centre
from isthmus.model.errors import StoreDamaged
from isthmus.model.samples import Batch, TagInfo, ValueKind
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from isthmus.model.waveforms import bursts
from isthmus.site.config import HistorianSection
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.ship import Shipper
from isthmus.site.historian.shipping.shipped import Folder
from isthmus.site.historian.store import Store

NAME = "acme/north"
READINGS = 256
RATE_NS = 39_062.5
END = T0 + 5 * NS_PER_DAY


class Site:
    """A site with two sensors, and its ways to a group."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.name, self.folder = name, folder / name.replace("/", "-")
        self.store = Store(self.folder, HistorianSection(future_s=1e9), background=False)
        self.store.tags.intern_all([TagInfo(name=f"press/v{n}", kind=ValueKind.WAVEFORM) for n in (1, 2)])
        self._seq = 0

    def burst(self, hour: float, tag: int = 1, value: list[float] | None = None) -> None:
        """One burst: of 24 bits where its number is odd, of 16 where it is even."""
        self._seq += 1
        chance = np.random.default_rng(self._seq)
        drawn = chance.normal(0, 1, READINGS) if self._seq % 2 else chance.integers(-900, 900, READINGS)
        time_ns = T0 + int(hour * NS_PER_HOUR) + 1
        columns = bursts([tag], [time_ns], [0], [RATE_NS], [drawn.astype(np.float32) if value is None else value])
        self.store.append([Batch(7, 1, self._seq, T0 + self._seq * NS_PER_MINUTE, columns)])

    def shippers(self, group: Path) -> list[Shipper]:
        where = shipped.place(str(group), create=True)
        bursts_too = Shipper(self.folder / "waveforms", where, shipped.waveforms_of(self.name), grace_s=0)
        return [Shipper(self.folder, where, self.name, grace_s=0), bursts_too]

    def ship(self, group: Path) -> None:
        for each in self.shippers(group):
            each.ship()

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def make(name: str) -> Site:
        made.append(Site(tmp_path, name))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def site(another: Callable[[str], Site]) -> Site:
    return another(NAME)


def take(centre: Centre) -> None:
    assert not any(each.refused for each in (*centre.take(), *centre.bursts.take()))


def assert_knows_all(centre: Centre, *sites: Site) -> pa.Table:
    """What DuckDB reads of the shipped files, and what the site itself reads of its own, bit by bit."""
    tags = [each.id for each in centre.stock.tags("*")]
    found = pa.concat_tables(centre.waveforms(tags, 0, END, readings=True))
    at = 0
    for each in sites:
        own = each.store.bursts([1, 2], 0, END)
        days = own["time_ns"].to_numpy() // NS_PER_DAY
        own = own.take(pa.array(np.lexsort((own["time_ns"].to_numpy(), own["tag"].to_numpy(), days))))
        its = found.slice(at, own.num_rows)
        at += own.num_rows
        assert [tag & 0xFFFFFF for tag in its["tag"].to_pylist()] == own["tag"].to_pylist()
        for name in ("time_ns", "status", "interval_ns", "value"):
            assert its[name].to_pylist() == own[name].to_pylist(), name
    assert found.num_rows == at
    return found


def test_a_site_cut_off_while_bursts_come_converges_to_the_same_hashes(site: Site, tmp_path: Path) -> None:
    """Two groups, one store; late bursts, bursts again, seals and merges while the way to the second is cut."""
    group, cut = tmp_path / "group", tmp_path / "cut"
    whole_way, cut_way = site.shippers(group), site.shippers(cut)
    with Centre(tmp_path / "c1", group) as whole, Centre(tmp_path / "c2", cut) as broken:
        for step in range(24):
            at_work(site, step)
            for each in whole_way:
                each.ship()
            take(whole)
            if step == 6:
                cut.rename(tmp_path / "unplugged")
            elif step == 18:
                (tmp_path / "unplugged").rename(cut)
            if 6 <= step < 18:
                with pytest.raises(FileNotFoundError, match="is not there"):
                    cut_way[1].ship()
            else:
                for each in cut_way:
                    each.ship()
                take(broken)
        assert whole.bursts.stock.hashes() == broken.bursts.stock.hashes()
        assert len(whole.bursts.stock.hashes()) > 3
        states = [[each.state for each in centre.bursts.stock.sites()] for centre in (whole, broken)]
        assert states[0] == states[1]
        for centre in (whole, broken):
            assert_knows_all(centre, site)
        on_disk = {path.stem for folder in (group, cut) for path in folder.rglob("waveforms/*/*.parquet")}
        assert on_disk == {name for _, name in whole.bursts.stock.hashes()}, "what was merged is gone from both"


def at_work(site: Site, step: int) -> None:
    """Two hours: late bursts, some at a moment that had one, seals, and once a merge of the days that are over."""
    site.burst(step * 2, tag=1 + step % 2)
    if step % 3 == 0:
        site.burst(max(step * 2 - 20, 0), tag=1)
    if step % 4 == 3:
        site.store.seal()
    if step == 15:
        site.store.waveforms.append([Batch(7, 1, 999, T0 + 9 * NS_PER_DAY, _late())])
        site.store.maintain()


def _late() -> pa.RecordBatch:
    return bursts([1], [T0 + 1], [0x40900000], [RATE_NS], [[1.0, -2.0]])


def test_the_newer_of_two_bursts_of_one_moment_stands_sealed_or_not(site: Site, tmp_path: Path) -> None:
    with Centre(tmp_path / "c", tmp_path) as centre:
        for value in (1.0, 2.0, 3.0):
            site.burst(1, value=[value] * 4)
            site.ship(tmp_path)
            take(centre)
            (mean,) = assert_knows_all(centre, site)["mean"].to_pylist()
            assert mean == value
            if value < 3:
                site.store.seal()


def test_the_tail_is_seen_before_it_is_sealed_and_once_after_though_no_stock_was_taken(
    site: Site, tmp_path: Path
) -> None:
    keeps = Shipper(site.folder / "waveforms", Folder(tmp_path), shipped.waveforms_of(NAME), grace_s=900)
    with Centre(tmp_path / "c", tmp_path) as centre:
        site.burst(1)
        site.ship(tmp_path)
        take(centre)
        assert assert_knows_all(centre, site).num_rows == 1
        site.burst(2)
        keeps.ship()
        assert assert_knows_all(centre, site).num_rows == 2
        site.store.seal()
        assert assert_knows_all(centre, site).num_rows == 2
        keeps.ship()
        assert assert_knows_all(centre, site).num_rows == 2, "the tail let go of it, the stock does not know it yet"


def test_what_a_burst_amounts_to_is_worked_out_over_all_sites(
    site: Site, another: Callable[[str], Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another("acme/south")
    for each in (site, other):
        each.burst(1)
        each.burst(30, tag=2, value=[3.0, -4.0])
        each.store.seal()
        each.store.append([Batch(8, 1, 1, T0, bursts([1], [T0 + 7], [0x80050000], [RATE_NS], [None]))])
        each.ship(tmp_path)
    with Centre(tmp_path / "c", tmp_path) as centre:
        take(centre)
        found = assert_knows_all(centre, site, other)
        listed = pa.concat_tables(centre.waveforms([each.id for each in centre.stock.tags("*")], 0, END))
        assert listed.equals(found.drop_columns("value"))
        monkeypatch.setattr("isthmus.centre.bursts.LARGE_BYTES", 500)
        assert assert_knows_all(centre, site, other).equals(found), "tag by tag and hour by hour"
        for row in found.to_pylist():
            if row["value"] is None:
                assert [row["n"], row["rms"], row["peak"], row["mean"]] == [0, None, None, None]
                continue
            value = np.asarray(row["value"], np.float64)
            wanted = [len(value), np.sqrt(np.mean(value**2)), np.abs(value).max(), value.mean()]
            np.testing.assert_allclose([row["n"], row["rms"], row["peak"], row["mean"]], wanted, rtol=1e-12, atol=1e-12)
        south = [each.id for each in centre.stock.tags("*south:*v2")]
        (table,) = centre.waveforms(south, T0 + NS_PER_DAY, END)
        assert table["peak"].to_pylist() == [4.0]


def test_a_file_of_bursts_that_is_not_as_listed_is_refused_and_mended_by_shipping(site: Site, tmp_path: Path) -> None:
    with Centre(tmp_path / "c", tmp_path) as centre:
        site.burst(1)
        site.store.seal()
        site.ship(tmp_path)
        (path,) = tmp_path.glob("site=*/waveforms/*/*.parquet")
        good = path.read_bytes()
        path.write_bytes(good[:100] + b"?" + good[101:])
        (taken,) = centre.bursts.take()
        assert "does not hold what its name says" in taken.refused[0].why
        assert f"{path.parent.relative_to(tmp_path)}" in taken.refused[0].name
        path.unlink()
        site.ship(tmp_path)
        take(centre)
        assert_knows_all(centre, site)
        path.unlink()
        with pytest.raises(StoreDamaged, match=r"bursts of acme/north on 2025-11-08 cannot be read"):
            assert_knows_all(centre, site)


def test_a_shipment_of_bursts_cut_short_anywhere_loses_and_doubles_nothing(site: Site, tmp_path: Path) -> None:
    group = tmp_path / "group"
    site.burst(1)
    site.store.seal()
    site.ship(group)
    with Centre(tmp_path / "c", group) as centre:
        take(centre)
        before = centre.bursts.stock.hashes()
        for hour in (1, 2, 30):
            site.burst(hour)
        site.store.seal()
        site.burst(31)
        fails_at = 0
        while True:
            where = FailingAt(group, fails_at)
            try:
                Shipper(site.folder / "waveforms", where, shipped.waveforms_of(NAME), grace_s=0).ship()
            except OSError:
                fails_at += 1
                take(centre)
                assert where.root_is_new or centre.bursts.stock.hashes() == before
                continue
            break
        assert fails_at > 3
        site.ship(group)
        take(centre)
        assert assert_knows_all(centre, site).num_rows == 4


class FailingAt(Folder):
    """A folder whose disk is full from the n-th write of each run on; what was written stays."""

    root_is_new = False

    def __init__(self, root: Path, fails_at: int) -> None:
        super().__init__(root)
        self._left = fails_at

    def put(self, name: str, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(28, "No space left on device")
        super().put(name, data)
        type(self).root_is_new |= name.endswith("root.json")
