"""Bad input and faults: each has one outcome that is defined, tested here, and visible to a person.

The names of the cases stand in docs/historian.md with what is done; a case without its line fails.
"""

from __future__ import annotations

import math
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from isthmus.model.errors import StoreDamaged
from isthmus.model.query import Aggregate, Last, Raw
from isthmus.model.records.site import SamplesQuarantined
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S
from isthmus.model.waveforms import bursts
from isthmus.site.config import HistorianSection
from isthmus.site.historian.check import Told, Trouble
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.keeping.backup import backup
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.store import Store
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary
from spine import EPOCH, MONDAY, Spine, body

EVER: Final = 2**62
SOURCE: Final = frames.source_id("plc")
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "historian.md"


class Bench:
    """A site with a real store, and what was told of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told = folder, list[Told]()
        self.store = self.opened()
        self.spine = Spine(folder / "site", now_ns=MONDAY + NS_PER_HOUR, historian=self.store, tags=self.store.tags)
        self.seq = 0

    def opened(self, seal_rows: int = 100_000) -> Store:
        section = HistorianSection(future_s=1e9, seal_rows=seal_rows)
        return Store(self.folder / "history", section, told=self.told.append, background=False)

    def close(self) -> None:
        self.spine.close()
        self.store.close()

    def say(self, kind: ValueKind, rows: list[tuple[int, Any]], *, declared: ValueKind | None = None) -> None:
        """Samples of `plc/x` come by the link: (time in s from Monday, value)."""
        self.seq += 1
        info = TagInfo(name="plc/x", kind=declared or kind)
        batch = columns(
            kind,
            [0] * len(rows),
            [MONDAY + int(at * NS_PER_S) for at, _ in rows],
            [0] * len(rows),
            [v for _, v in rows],
        )
        said = frames.of_dictionary(SOURCE, EPOCH, self.seq, Dictionary("plc", "acme/northgate", ((0, info),)))
        self.spine.ingest.take("edge-1", body(said, frames.of_samples(SOURCE, EPOCH, self.seq, batch)))

    def values(self) -> list[Any]:
        tag = self.store.tags.find("plc/x")
        rows = self.store.query(Raw(), [tag or 0], 0, EVER).to_pylist()
        return [next((row[kind] for kind in ("f64", "i64", "str") if row[kind] is not None), None) for row in rows]

    def set_aside(self) -> list[SamplesQuarantined]:
        found = self.spine.facts("SamplesQuarantined")
        return [one for one in found if isinstance(one, SamplesQuarantined)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def timestamps_from_1970(bench: Bench) -> None:
    bench.say(ValueKind.F64, [(0, 1.0)])
    bench.store.append([Batch(9, 1, 1, MONDAY, columns(ValueKind.F64, [1], [NS_PER_DAY], [0], [2.0]))])
    assert [each.trouble for each in bench.told][-1] is Trouble.UNSET_CLOCK
    assert "clock was never set" in bench.told[-1].what
    assert bench.values() == [1.0]


def timestamps_of_next_year(bench: Bench) -> None:
    bench.say(ValueKind.F64, [(0, 1.0), (366 * 86_400, 2.0)])
    assert bench.values() == [1.0]
    [told] = bench.set_aside()
    assert (told.rows, told.tags) == (1, ("plc/x",))
    assert "future" in told.why


def a_clock_stepping_back(bench: Bench) -> None:
    bench.say(ValueKind.F64, [(1000, 1.0), (1001, 2.0), (400, 3.0), (401, 4.0)])
    bench.store.seal()
    bench.say(ValueKind.F64, [(200, 5.0), (1001, 6.0)])
    assert bench.values() == [5.0, 3.0, 4.0, 1.0, 6.0]
    assert bench.set_aside() == []
    bench.store.compact()
    assert bench.values() == [5.0, 3.0, 4.0, 1.0, 6.0]
    last = bench.store.query(Last(), [1], 0, EVER).to_pylist()[0]
    assert last["f64"] == 6.0


def a_string_where_a_number_was(bench: Bench) -> None:
    bench.say(ValueKind.F64, [(0, 1.0)])
    bench.say(ValueKind.STR, [(1, "broken")], declared=ValueKind.F64)
    bench.say(ValueKind.F64, [(2, 2.0)])
    assert bench.values() == [1.0, 2.0]
    [told] = bench.set_aside()
    assert (told.rows, told.tags) == (1, ("plc/x",))
    assert "another kind" in told.why


def an_integer_beyond_2_53(bench: Bench) -> None:
    large = [2**53 + 1, 2**63 - 1, -(2**63), 2**53]
    bench.say(ValueKind.I64, list(enumerate(large)))
    bench.store.compact()
    assert bench.values() == large


def infinities(bench: Bench) -> None:
    values = [math.inf, -math.inf, 1.5, math.nan, -0.0]
    bench.say(ValueKind.F64, list(enumerate(values)))
    bench.store.compact()
    found = bench.values()
    assert np.array(found).tobytes() == np.array(values).tobytes()
    [row] = bench.store.query(Aggregate(bucket_ns=NS_PER_DAY), [1], MONDAY, EVER).to_pylist()
    assert (row["n"], row["n_good"], row["max"], row["min"]) == (5, 4, math.inf, -math.inf)


def a_tag_whose_type_changes(bench: Bench) -> None:
    bench.say(ValueKind.F64, [(0, 1.5)])
    [old] = bench.store.tags.versions("plc/x")
    [new] = bench.store.tags.intern_all([TagInfo(name="plc/x", kind=ValueKind.STR)])
    bench.store.append([Batch(9, 1, 1, MONDAY, columns(ValueKind.STR, [new], [MONDAY + 1], [0], ["RUN"]))])
    versions = bench.store.tags.versions("plc/x")
    assert [(each.id, each.info.kind, each.valid_to_ns is None) for each in versions] == [
        (old.id, ValueKind.F64, False),
        (new, ValueKind.STR, True),
    ]
    rows = bench.store.query(Raw(), [old.id, new], 0, EVER).to_pylist()
    assert [(row["f64"], row["str"]) for row in rows] == [(1.5, None), (None, "RUN")]


def many_duplicates(bench: Bench, count: int = 200_000) -> None:
    bench.say(ValueKind.F64, [(0, 1.0)])
    same = columns(ValueKind.F64, [1] * 10_000, [MONDAY] * 10_000, [0] * 10_000, [1.0] * 10_000)
    for seq in range(count // 20_000):
        bench.store.append([Batch(9, 1, seq + 1, MONDAY, same)])  # the same sample, in new frames
        bench.store.append([Batch(9, 1, seq + 1, MONDAY, same)])  # and each frame again
        bench.store.maintain()
    bench.store.compact()
    assert bench.values() == [1.0]
    with bench.store.view() as view:
        assert sum(each.rows for each in view.segments) == 1
    size = sum(path.stat().st_size for path in (bench.folder / "history").rglob("*") if path.is_file())
    assert size < 20_000_000


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Every write beyond `size` bytes of a file fails, as on a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def disk_full(bench: Bench) -> None:
    """In each phase: refused whole, what was acknowledged stays, and the same works once there is room."""
    store = bench.store
    store.tags.intern_all([TagInfo(name="plc/x", kind=ValueKind.F64), TagInfo(name="plc/w", kind=ValueKind.WAVEFORM)])
    times = [MONDAY + at * NS_PER_S for at in range(8_000)]
    noise = np.random.default_rng(1).normal(size=len(times)).tolist()

    def samples(seq: int, of_day: int | None = None) -> None:
        moved = [at + (seq if of_day is None else of_day) * NS_PER_DAY for at in times]
        store.append(
            [Batch(9, 1, seq, MONDAY, columns(ValueKind.F64, [1] * len(times), moved, [0] * len(times), noise))]
        )

    def burst() -> None:
        store.append([Batch(9, 2, 1, MONDAY, bursts([2], [MONDAY], [0], [1e4], [noise]))])

    said = Correction(tag=1, time_ns=MONDAY, value=5.0, said_ns=1, by="Ann", why="w" * 300_000)
    samples(0)
    phases: dict[str, Callable[[], object]] = {
        "append": lambda: samples(1),
        "seal": store.seal,
        "append a burst": burst,
        "seal bursts": store.waveforms.seal,
        "correct": lambda: store.correct([said]),
        "merge": store.compact,
        "backup": lambda: backup(bench.folder / "history", bench.folder / "copy"),
    }
    for phase, work in phases.items():
        if phase == "merge":
            samples(2)
            samples(3, of_day=2)  # of the same moments: late, to be merged with those before
            store.seal()
            samples(4, of_day=2)
            store.seal()
        before = store.query(Raw(), [1], 0, EVER).num_rows, store.bursts([2], 0, EVER).num_rows
        with no_file_longer_than(20_000), pytest.raises(OSError, match=r"large|space|full|disk"):
            work()
        after = store.query(Raw(), [1], 0, EVER).num_rows, store.bursts([2], 0, EVER).num_rows
        assert after >= before, phase
        assert list(verify(bench.folder / "history")) == [], phase
        work()
    assert store.query(Raw(), [1], 0, EVER).num_rows == 3 * len(times)
    assert store.bursts([2], 0, EVER).num_rows == 1


def a_killed_process(bench: Bench) -> None:
    """What a kill leaves is the folder as it stands; tests/unit/test_historian_kills.py does it for real."""
    bench.say(ValueKind.F64, [(0, 1.0)])
    bench.store.seal()
    bench.say(ValueKind.F64, [(1, 2.0)])
    left = bench.folder / "left"
    shutil.copytree(bench.folder / "history", left)
    half = left / "segments" / "day=2024-09-30" / "000000000099-L0.parquet.tmp"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"PAR1 cut off here")
    log = max(left.glob("wal/*.seg"))
    log.write_bytes(log.read_bytes() + frames.MAGIC + b"half a frame")
    with Store(left, HistorianSection(future_s=1e9), told=bench.told.append, background=False) as again:
        assert [row["f64"] for row in again.query(Raw(), [1], 0, EVER).to_pylist()] == [1.0, 2.0]
        assert again.taken(SOURCE, EPOCH, 2)
    assert not half.exists()
    assert list(verify(left)) == []


def a_segment_deleted_by_hand(bench: Bench) -> None:
    bench.spine.now_ns = MONDAY + NS_PER_DAY
    bench.say(ValueKind.F64, [(0, 1.0), (86_400, 2.0)])
    bench.store.seal()
    bench.store.close()
    first, _ = sorted((bench.folder / "history" / "segments").glob("*/*.parquet"))
    first.unlink()
    assert "is not there; it held 1 samples" in str(next(verify(bench.folder / "history")))
    with bench.opened() as again:
        assert bench.told[-1].trouble is Trouble.MISSING
        with pytest.raises(StoreDamaged, match=first.name):
            again.query(Raw(), [1], MONDAY, MONDAY + 1)
        assert again.query(Raw(), [1], MONDAY + NS_PER_DAY, EVER).num_rows == 1
        again.maintain()
        assert again.taken(SOURCE, EPOCH, 1)


def a_segment_flipped_by_hand(bench: Bench) -> None:
    noise = np.random.default_rng(1).normal(size=5000)
    bench.say(ValueKind.F64, list(enumerate(noise.tolist())))
    bench.store.seal()
    bench.store.close()
    path = next((bench.folder / "history" / "segments").glob("*/*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)
    [finding] = verify(bench.folder / "history")
    assert "its bytes are not those that were written" in str(finding)
    with bench.opened() as again, pytest.raises(StoreDamaged, match=r"verify|restore"):
        again.query(Raw(), [1], 0, EVER)


def the_log_flipped_in_its_middle(bench: Bench) -> None:
    for at in range(5):
        bench.say(ValueKind.F64, [(at, float(at))])
    bench.store.close()
    path = next((bench.folder / "history" / "wal").glob("*.seg"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with bench.opened() as again:
        assert [each.trouble for each in bench.told] == [Trouble.DAMAGED]
        assert [row["f64"] for row in again.query(Raw(), [1], 0, EVER).to_pylist()] == [0.0, 1.0, 3.0, 4.0]
    assert list((bench.folder / "history" / "wal" / "lost").iterdir())


CASES: Final[dict[str, Callable[[Bench], None]]] = {
    "timestamps from 1970": timestamps_from_1970,
    "timestamps of next year": timestamps_of_next_year,
    "a clock stepping back": a_clock_stepping_back,
    "a string where a number was": a_string_where_a_number_was,
    "an integer beyond 2^53": an_integer_beyond_2_53,
    "infinities and NaN": infinities,
    "a tag whose type changes": a_tag_whose_type_changes,
    "millions of duplicates": many_duplicates,
    "disk full in any phase": disk_full,
    "kill -9 in any phase": a_killed_process,
    "a segment deleted by hand": a_segment_deleted_by_hand,
    "a segment flipped by hand": a_segment_flipped_by_hand,
    "the log flipped in its middle": the_log_flipped_in_its_middle,
}


@pytest.mark.parametrize("name", CASES)
def test_every_fault_has_its_outcome(bench: Bench, name: str) -> None:
    CASES[name](bench)


def test_the_page_names_every_fault_with_what_is_done() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(CASES) <= {name for name, _, _ in rows}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_million_duplicates_are_one_sample(bench: Bench) -> None:
    many_duplicates(bench, 10_000_000)
