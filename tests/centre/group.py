"""Sites of a group for the tests: small histories with everything that is hard in them, and what each should say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.centre.stock import TAG_BITS
from isthmus.model import query as q
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_S, Interval
from isthmus.site.config import HistorianSection
from isthmus.site.historian.asking.reference import Question, Sample, answer, past_of
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.ship import Shipper
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
EVER = 2**62
SHM = Path("/dev/shm")  # noqa: S108  folders below it have names of their own
MEMORY = SHM if SHM.is_dir() else None
END = T0 + 3 * NS_PER_DAY
KINDS = (ValueKind.F64, ValueKind.I64, ValueKind.BOOL, ValueKind.STR, ValueKind.F64, ValueKind.F64)
"""By tag from 1 on; the fifth tag's times are of nanoseconds, the sixth's of microseconds."""
STEP = {5: NS_PER_S + 1, 6: NS_PER_S + 1000}
VALUES: dict[ValueKind, list[Any]] = {
    ValueKind.F64: [0.0, 1.0, 1.5, -2.25, 3e5, 0.1 + 0.2, 1e-7, 2.5e18, math.nan, None],
    ValueKind.I64: [-5, 0, 3, 7, 250, 255, 2**53 + 1, 2**62, None],
    ValueKind.BOOL: [True, False, None],
    ValueKind.STR: ["RUN", "IDLE", "", "größer", "1.5", None],
}
WINDOWS = tuple(Interval(T0 + n * 8 * NS_PER_HOUR, T0 + (n + 1) * 8 * NS_PER_HOUR) for n in range(9))
OPERATORS: tuple[q.Operator, ...] = (
    q.Last(),
    q.Raw(),
    q.Raw(before=True),
    q.Aggregate(bucket_ns=NS_PER_HOUR),
    q.Aggregate(bucket_ns=7 * NS_PER_HOUR + 1),
    q.TimeWeightedMean(bucket_ns=NS_PER_HOUR, origin_ns=T0 + 90 * NS_PER_MINUTE),
    q.StateDurations(windows=WINDOWS),
    q.StateDurations(windows=()),
    q.AsOf(at_ns=(T0 - 1, T0 + 5 * NS_PER_HOUR, T0 + 30 * NS_PER_HOUR + 1, END)),
    q.Decimate(points=24),
    q.Decimate(points=24, method="lttb"),
    q.Decimate(points=100_000),
    q.CounterDelta(bucket_ns=NS_PER_HOUR),
    q.CounterDelta(bucket_ns=NS_PER_DAY, width=8),
    q.Integral(bucket_ns=90 * NS_PER_MINUTE),
    q.Coverage(bucket_ns=NS_PER_DAY),
    q.Gaps(longer_ns=NS_PER_HOUR),
    q.TopReasons(limit=3),
    q.TopReasons(limit=100),
)
STRETCHES = ((T0 + 5 * NS_PER_HOUR, T0 + 50 * NS_PER_HOUR), (T0 - NS_PER_DAY, END + NS_PER_DAY))


class Site:
    """A site with a store of its own, and its way to the group's folder."""

    def __init__(self, folder: Path, group: Path, name: str, seed: int) -> None:
        self.name, self.group = name, group
        self.folder = folder / name.replace("/", "-")
        self.store = Store(self.folder, HistorianSection(seal_rows=1000, future_s=1e9), background=False)
        self.store.tags.intern_all([TagInfo(name=f"plc/t{n}", kind=kind) for n, kind in enumerate(KINDS, 1)])
        self._chance, self._seq = np.random.default_rng(seed), 0
        self.shipper = self.new_shipper()

    def new_shipper(self, *, grace_s: float = 0.0) -> Shipper:
        group = shipped.place(str(self.group), create=True)
        return Shipper(self.folder, group, self.name, grace_s=grace_s)

    def write(self, hour: float, rows: int = 60) -> None:
        """One frame of each tag, around an hour of the three days; every third comes late and hits moments again."""
        for tag, kind in enumerate(KINDS, 1):
            self._seq += 1
            late = 20.0 if self._seq % 3 == 0 else 0.0
            at_ms = (self._chance.integers(0, 3600, rows) + (hour - late) * 3600).astype(np.int64) * 1000
            times = T0 + np.maximum(at_ms, 0) * NS_PER_MS + STEP.get(tag, 0)
            status = self._chance.choice([0, 0, 0, 0x40900000, 0x80050000], rows)
            pool = VALUES[kind]
            values = [pool[at] for at in self._chance.integers(0, len(pool), rows)]
            batch = columns(kind, np.full(rows, tag), times, status, values)
            self.store.append([Batch(tag, 1, self._seq, T0 + int(hour * NS_PER_HOUR), batch)])

    def past(self) -> dict[int, list[Sample]]:
        """All that the site itself knows."""
        with self.store.view() as view:
            return past_of(view.rows(None, 0, EVER), range(1, len(KINDS) + 1))

    def close(self) -> None:
        self.store.close()


def three_days(site: Site) -> None:
    """Sealed, late, merged and rolled up days, and a tail that is in the log alone."""
    for hour in range(0, 60, 4):
        site.write(hour)
        if hour % 20 == 16:
            site.store.maintain()
    site.store.seal()
    site.store.maintain()
    site.write(61)
    site.shipper.ship()
    site.write(62)
    site.shipper.ship()


@contextmanager
def two_sites() -> Iterator[list[Site]]:
    """Two sites of one group, each with its three days."""
    with TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        made = [Site(folder, folder / "group", path, seed) for seed, path in enumerate(("acme/north", "acme/south"), 1)]
        for each in made:
            three_days(each)
        yield made
        for each in made:
            each.close()


def wanted(operator: q.Operator, pasts: Mapping[int, dict[int, list[Sample]]], start_ns: int, end_ns: int) -> list[Any]:
    """What the reference says of all sites, with the group's tags; by site number, all its tags."""
    past = {site << TAG_BITS | tag: found for site, its in sorted(pasts.items()) for tag, found in its.items()}
    return answer(Question(operator, past, start_ns, end_ns))


def assert_same(table: pa.Table, rows: list[tuple[Any, ...]], what: object) -> None:
    """Equal in every count and text, and to 1e-9 of a number's size where it is no whole one."""
    found = [tuple(row.values()) for row in table.to_pylist()]
    assert len(found) == len(rows), (what, len(found), len(rows))
    for one, other in zip(found, rows, strict=True):
        assert len(one) == len(other), what
        assert all(_same(*pair) for pair in zip(one, other, strict=True)), (what, one, other)


def _same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other
