"""The log of records at the centre: one chain over all its files, none lost, none twice, nothing changed unseen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from group import MEMORY, T0

from isthmus.centre.centre import Centre
from isthmus.centre.records import Asked
from isthmus.model.errors import UsageError
from isthmus.model.records import Record
from isthmus.model.records.people import ReasonGiven
from isthmus.model.records.production import LotChanged, LotUsed, RunStarted
from isthmus.model.time import NS_PER_S
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.shipped import Folder
from isthmus.site.records import ship_log, shipped_log
from isthmus.site.records.records_log import RecordsLog
from isthmus.site.records.ship_log import LogShipper
from isthmus.wire import frame as frames

NAME = "acme/north"
EVER = Asked(-(1 << 62), 1 << 62, every=True, people=True)


def gave(site: str, time_ns: int) -> ReasonGiven:
    return ReasonGiven(path=f"{site}/press", time_ns=time_ns, end_ns=None, reason="jam", by="A. Khan", said_ns=T0)


class Site:
    """A site's log with something to say, and its way to a group."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.name, self.folder = name, folder / name.replace("/", "-")
        self.log = RecordsLog(self.folder, segment_bytes=20_000)
        self._said = 0

    def say(self, records: int = 5, frames: int = 1) -> None:
        for _ in range(frames):
            self.log.append([self._next() for _ in range(records)])

    def _next(self) -> Record:
        self._said += 1
        at = T0 + self._said * NS_PER_S
        if self._said % 3:
            return RunStarted(path=f"{self.name}/press", time_ns=at, order=f"O-{self._said}", product="lid")
        return gave(self.name, at)

    def shipper(self, group: Path) -> LogShipper:
        return LogShipper(self.folder, shipped.place(str(group), create=True), self.name, grace_s=0)

    def all(self) -> list[Record]:
        return [record for _, record in self.log.read(0)]

    def close(self) -> None:
        self.log.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a few frames, so that a small log has many of them, and lists; and reads that end within a frame."""
    monkeypatch.setattr(ship_log, "_READ_BYTES", 100)
    monkeypatch.setattr(shipped_log, "RUN_BYTES", 2_000)
    monkeypatch.setattr(shipped_log, "LIST_RUNS", 4)


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


@pytest.fixture
def group(tmp_path: Path) -> Path:
    (tmp_path / "group").mkdir()
    return tmp_path / "group"


@pytest.fixture
def centre(group: Path, tmp_path: Path) -> Iterator[Centre]:
    with Centre(tmp_path / "centre", group) as opened:
        yield opened


def take(centre: Centre) -> None:
    assert not any(each.refused for each in centre.records.take())


def assert_knows_all(centre: Centre, site: Site) -> None:
    """Every record of the site's log once, in its order, and the hash that stands for all of it."""
    found = sorted(centre.read_records(EVER, site.name), key=lambda each: each.position)
    assert [each.position for each in found] == list(range(1, site.log.position + 1))
    assert [(each.facts["kind"], each.facts["time_ns"]) for each in found] == [
        (type(each).__name__, each.time_ns) for each in site.all()
    ]
    (known,) = (each for each in centre.records.logs() if each.site == site.name)
    assert known.head == site.log.head


def test_a_site_cut_off_while_records_come_converges_to_the_same_hashes(site: Site, tmp_path: Path) -> None:
    ways = [site.shipper(tmp_path / "whole"), site.shipper(tmp_path / "cut")]
    with Centre(tmp_path / "c1", tmp_path / "whole") as whole, Centre(tmp_path / "c2", tmp_path / "cut") as broken:
        for step in range(60):
            site.say(1 + step % 7)
            ways[0].ship()
            take(whole)
            if step == 15:
                (tmp_path / "cut").rename(tmp_path / "unplugged")
            elif step == 45:
                (tmp_path / "unplugged").rename(tmp_path / "cut")
            if 15 <= step < 45:
                with pytest.raises(FileNotFoundError, match="is not there"):
                    ways[1].ship()
            else:
                ways[1].ship()
                take(broken)
        roots = [shipped_log.read_root(shipped.place(str(tmp_path / each)), NAME) for each in ("whole", "cut")]
        assert roots[0] is not None
        assert roots[1] is not None
        assert roots[0].state() == roots[1].state()
        assert roots[0].lists, "there are lists, runs that no list holds, and open ones"
        names = [{path.name for path in (tmp_path / each).rglob("records/*.*")} for each in ("whole", "cut")]
        assert names[0] == names[1]
        for each in (whole, broken):
            assert_knows_all(each, site)


def test_what_is_shipped_is_the_logs_own_frames_byte_for_byte(site: Site, group: Path) -> None:
    site.say(frames=40)
    site.shipper(group).ship()
    where = shipped.place(str(group))
    root = shipped_log.read_root(where, NAME)
    assert root is not None
    sealed = [run for name in root.lists for run in shipped_log.read_list(where, NAME, name)] + [*root.runs]
    data = b"".join(where.read(shipped_log.run_name(NAME, run, sealed=True)) for run in sealed)
    data += b"".join(where.read(shipped_log.run_name(NAME, run, sealed=False)) for run in root.open)
    assert data == b"".join(path.read_bytes() for path in sorted(site.folder.glob("*.seg")))
    assert {path.name for path in (group / "site=acme~north/records").glob("*.frames")} == {
        f"{run.sha256}.frames" for run in sealed
    }


def test_a_shipment_of_records_cut_short_anywhere_loses_and_doubles_nothing(
    site: Site, group: Path, centre: Centre
) -> None:
    site.say(frames=9)
    site.shipper(group).ship()
    take(centre)
    site.say(frames=70)
    fails_at = 0
    while True:
        try:
            LogShipper(site.folder, FailingAt(group, fails_at), NAME, grace_s=0).ship()
        except OSError:
            fails_at += 1
            take(centre)
            continue
        break
    assert fails_at > 3
    take(centre)
    assert_knows_all(centre, site)
    site.say(frames=1)
    shipper = site.shipper(group)
    assert shipper.ship().records == 5
    assert shipper.ship()[1:4] == (0, 0, 0), "another run sends nothing again"
    opened = {path.stem for path in group.rglob("records/open/*")}
    root = shipped_log.read_root(shipped.place(str(group)), NAME)
    assert root is not None
    assert opened == {run.sha256 for run in root.open}, "what a run cut short left behind is gone"
    take(centre)
    assert_knows_all(centre, site)


class FailingAt(Folder):
    """A folder whose disk is full from the n-th write of a run on; what was written stays."""

    def __init__(self, root: Path, fails_at: int) -> None:
        super().__init__(root)
        self._left = fails_at

    def put(self, name: str, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(28, "No space left on device")
        super().put(name, data)


def test_the_open_end_stays_few_files_and_is_seen_at_once(site: Site, group: Path, centre: Centre) -> None:
    shipper = site.shipper(group)
    for _ in range(3 * ship_log.MOST_OPEN):
        site.say(1)
        shipper.ship()
        take(centre)
        assert_knows_all(centre, site)
    assert len(list(group.rglob("records/open/*"))) <= ship_log.MOST_OPEN + 1


def test_a_run_that_is_not_as_listed_is_refused_by_name_and_what_came_before_stands(
    site: Site, group: Path, centre: Centre
) -> None:
    site.say(frames=9)
    site.shipper(group).ship()
    take(centre)
    before = centre.records.logs()[0].position
    site.say(frames=60)
    site.shipper(group).ship()
    root = shipped_log.read_root(shipped.place(str(group)), NAME)
    assert root is not None
    path = group / shipped_log.run_name(NAME, root.runs[-1], sealed=True)
    good = path.read_bytes()
    path.write_bytes(good[:40] + b"?" + good[41:])
    (taken,) = centre.records.take()
    assert taken.refused[0].name == f"{path.relative_to(group)}"
    assert "does not hold what its name says" in taken.refused[0].why
    assert before < centre.records.logs()[0].position == root.runs[-1].position
    assert len(list(centre.read_records(EVER))) == root.runs[-1].position
    path.unlink()
    assert site.shipper(group).ship().files == 1, "what is missing is sent again"
    take(centre)
    assert not centre.records.refused()
    assert_knows_all(centre, site)


def listed_anew(group: Path, change: Callable[[list[shipped_log.Run]], list[shipped_log.Run]]) -> None:
    """Somebody who may write the group's folder writes another list, with hashes that fit."""
    where = shipped.place(str(group))
    root = shipped_log.read_root(where, NAME)
    assert root is not None
    forged = shipped_log.LogRoot(
        site=NAME, number=root.number + 1, shipped_ns=0, first=root.first, runs=tuple(change(list(root.runs)))
    )
    where.put(f"site=acme~north/{shipped_log.ROOT}", shipped.to_json(forged))


def test_a_run_taken_out_put_elsewhere_or_made_anew_breaks_the_chain_and_is_named(
    site: Site, group: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped_log, "LIST_RUNS", 100)
    site.say(frames=60)
    site.shipper(group).ship()

    def made_anew(runs: list[shipped_log.Run]) -> list[shipped_log.Run]:
        """Another reason in the place of the one that was given, all hashes of the run itself made anew."""
        other = RecordsLog(tmp_path / f"other{len(list(tmp_path.iterdir()))}")
        for _ in range(60):
            other.append([gave(NAME, T0)] * 5)
        data = next(other.folder.glob("*.seg")).read_bytes()
        pieces = list(shipped_log.pieces_of(data))[runs[0].last : runs[1].last]
        run, packed = shipped_log.run_of(pieces, broken=False)
        shipped.place(str(group)).put(shipped_log.run_name(NAME, run, sealed=True), packed)
        other.close()
        return [runs[0], run, *runs[2:]]

    names = shipped_log.read_root(shipped.place(str(group)), NAME)
    assert names is not None
    assert len(names.runs) > 3
    root = (group / "site=acme~north" / shipped_log.ROOT).read_bytes()
    for change, why in (
        (lambda runs: [runs[0], *runs[2:]], "a run is missing, or stands out of its place"),
        (lambda runs: [runs[1], runs[0], *runs[2:]], "a run is missing, or stands out of its place"),
        (made_anew, "a run is missing, or stands out of its place"),
        (lambda runs: [runs[0], msgspec.structs.replace(runs[1], rows=1), *runs[2:]], "are listed of it"),
    ):
        listed_anew(group, change)
        with Centre(tmp_path / "c" / why.replace(" ", "") / str(os.urandom(4).hex()), group) as fresh:
            (taken,) = fresh.records.take()
            assert why in taken.refused[0].why
            assert taken.refused[0].name.endswith(".frames")
        (group / "site=acme~north" / shipped_log.ROOT).write_bytes(root)


def test_a_log_that_was_changed_behind_the_centres_back_is_refused_until_a_person_accepts_it(
    site: Site, group: Path, centre: Centre, tmp_path: Path
) -> None:
    site.say(frames=9)
    site.log.close()
    shutil.copytree(site.folder, tmp_path / "backup")
    site.log = RecordsLog(site.folder)
    site.say(frames=9)
    site.shipper(group).ship()
    take(centre)
    before = centre.records.logs()

    restored = RecordsLog(tmp_path / "backup")
    restored.append([RunStarted(path="acme/north/press", time_ns=T0, order="O-1", product="lid")] * 3)
    back = LogShipper(tmp_path / "backup", shipped.place(str(group)), NAME, grace_s=0)
    with pytest.raises(UsageError, match="restored from a backup"):
        back.ship()
    assert back.ship(over_newer=True).root is not None
    (taken,) = centre.records.take()
    assert "does not go on from frame" in taken.refused[0].why.replace("do not go on", "does not go on")
    assert "isthmus centre accept acme/north" in taken.refused[0].why
    assert [each.head for each in centre.records.logs()] == [each.head for each in before]
    accepted = centre.records.accept(NAME)
    assert accepted is not None
    assert not accepted.refused
    assert centre.records.logs()[0].head == restored.head
    restored.close()


@pytest.mark.parametrize("damage", ["a byte flipped", "a length out of all measure", "zeros", "bytes in between"])
def test_where_the_sites_own_log_is_damaged_the_rest_comes_and_the_break_is_told(
    site: Site, group: Path, centre: Centre, damage: str
) -> None:
    site.say(frames=120)
    site.close()
    path = min(site.folder.glob("*.seg"))
    data = bytearray(path.read_bytes())
    third, fourth = list(shipped_log.pieces_of(bytes(data)))[2:4]
    if damage == "a byte flipped":
        data[fourth.end - 1] ^= 1
    elif damage == "a length out of all measure":
        data[fourth.start + 4 : fourth.start + 7] = b"\xff\xff\xff"
    elif damage == "zeros":
        data[fourth.start : fourth.end] = bytes(fourth.end - fourth.start)
    else:
        data[third.end + 8 : third.end + 40] = frames.MAGIC * 8
    path.write_bytes(data)
    site.log = RecordsLog(site.folder)
    done = site.shipper(group).ship()
    assert "is broken before frame 5, behind frame 3" in done.troubles[0]
    take(centre)
    assert centre.records.breaks(NAME) == [5]
    assert len(list(centre.read_records(EVER))) == site.log.position - 5
    site.say(frames=10)
    assert not site.shipper(group).ship().troubles, "told once"
    take(centre)


def test_a_question_over_sites_finds_where_a_lot_went(
    another: Callable[[str], Site], group: Path, centre: Centre
) -> None:
    """As it was said last: what was taken back is left out, and what was said again stands as it is now."""
    sites = [another("acme/north"), another("acme/south")]
    for number, each in enumerate(sites):
        lot = LotChanged(
            path=f"{each.name}/press", time_ns=T0 + number, order="O-1", lot=f"P-{number}",
            used=(LotUsed(material="steel", lot="S-77"),),
        )  # fmt: skip
        reason = gave(each.name, T0)
        each.log.append([lot, reason])
        each.log.append(
            [LotChanged(path=lot.path, time_ns=lot.time_ns, order="O-1", lot=f"Q-{number}", used=lot.used, revision=1)]
        )
        each.log.append([LotChanged(path=lot.path, time_ns=T0 + 5, order="O-2", lot="X", used=lot.used)])
        each.log.append(
            [LotChanged(path=lot.path, time_ns=T0 + 5, order="O-2", lot="X", used=(), revision=1, gone=True)]
        )
        each.shipper(group).ship()
    take(centre)
    found = list(centre.read_records(Asked(T0, T0 + 9, about="S-77")))
    assert [(each.site, each.facts["lot"]) for each in found] == [("acme/north", "Q-0"), ("acme/south", "Q-1")]
    every = list(centre.read_records(Asked(T0, T0 + 9, frozenset({"LotChanged"}), every=True), "acme/south"))
    assert [each.facts["revision"] for each in every] == [0, 1, 0, 1]
    (unnamed,) = centre.read_records(Asked(T0, T0 + 9, frozenset({"ReasonGiven"}), path="*/south/press"))
    assert unnamed.facts["by"] == "-", "names of people only where they are asked for"
    assert not list(centre.read_records(Asked(T0, T0 + 9, about="A. Khan"))), "and nobody is looked for by name"
    (named,) = centre.read_records(Asked(T0, T0 + 9, frozenset({"ReasonGiven"}), path="*/south/*", people=True))
    assert named.facts["by"] == "A. Khan"


def test_the_page_of_the_format_names_every_field_of_a_run() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/formats/shipped.md").read_text(encoding="utf-8")
    for form in (shipped_log.LogRoot, shipped_log.Run):
        for field in form.__struct_fields__:
            assert f"`{field}`" in page, (form.__name__, field)


@pytest.mark.long
def test_a_shipment_that_is_killed_at_any_moment_loses_and_doubles_nothing(site: Site, tmp_path: Path) -> None:
    """A process of its own ships again and again, and is killed each time; records go on coming meanwhile."""
    group = tmp_path / "group"
    group.mkdir()
    script = (
        "import sys; from pathlib import Path; from isthmus.site.historian import shipped;"
        "from isthmus.site.records import shipped_log; from isthmus.site.records.ship_log import LogShipper;"
        "shipped_log.RUN_BYTES = 2_000; shipped_log.LIST_RUNS = 4\n"
        "shipper = LogShipper(Path(sys.argv[1]), shipped.place(sys.argv[2]), sys.argv[3], grace_s=0)\n"
        "print('ready', flush=True)\n"
        "while True: shipper.ship()"
    )
    with Centre(tmp_path / "centre", group) as centre:
        for kill in range(12):
            command = [sys.executable, "-c", script, str(site.folder), str(group), NAME]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                for _ in range(10 + 7 * kill):
                    site.say(3)
                process.send_signal(signal.SIGKILL)
            take(centre)
        site.shipper(group).ship()
        take(centre)
        assert_knows_all(centre, site)
