"""What is let go is gone, so a clock alone never decides it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.model.query import Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR
from isthmus.model.waveforms import bursts
from isthmus.site.config import HistorianSection
from isthmus.site.historian.check import Told, Trouble
from isthmus.site.historian.sealed.retention import arrived, first_kept
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY + 6 * NS_PER_HOUR
EVER = 2**62
KEPT = 30


def opened(folder: Path, told: list[Told]) -> Store:
    return Store(folder, HistorianSection(keep_days=KEPT), told=told.append, background=False)


def record(store: Store, seq: int, day: int) -> None:
    """One sample and one burst of a day, by a clock that says that day."""
    time_ns = T0 + day * NS_PER_DAY
    sample = columns(ValueKind.F64, [1], [time_ns], [0], [float(day)])
    burst = bursts([2], [time_ns], [0], [1000.0], [[1.0, 2.0]])
    store.append([Batch(7, 1, 2 * seq, time_ns, sample), Batch(7, 1, 2 * seq + 1, time_ns, burst)])
    store.seal()
    store.maintain()


def days(store: Store) -> list[int]:
    samples = store.query(Raw(), [1], 0, EVER)["time_ns"].to_pylist()
    readings = store.bursts([2], 0, EVER)["time_ns"].to_pylist()
    assert samples == readings
    return [(time_ns - T0) // NS_PER_DAY for time_ns in samples]


def test_a_clock_that_leaps_a_year_ahead_deletes_nothing_and_is_told_once(tmp_path: Path) -> None:
    told: list[Told] = []
    with opened(tmp_path, told) as store:
        store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.tags.intern(TagInfo(name="plc/vibration", kind=ValueKind.WAVEFORM))
        for day in range(14):
            record(store, day + 1, day)
        record(store, 20, 400)
        store.maintain()
        assert days(store) == [*range(14), 400]
        [one] = [each for each in told if each.trouble is Trouble.CLOCK]
        assert "Set the clock" in one.what
    with opened(tmp_path, told) as store:
        # The clock is right again: days go as ever, and what is new stays.
        for day in range(14, 40):
            record(store, day + 10, day)
        assert days(store) == [*range(9, 40), 400]


def test_after_a_long_stop_old_days_go_once_a_few_were_recorded(tmp_path: Path) -> None:
    with opened(tmp_path, []) as store:
        store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.tags.intern(TagInfo(name="plc/vibration", kind=ValueKind.WAVEFORM))
        for seq, day in enumerate([0, 1, 2, *range(200, 206)], 1):
            record(store, seq, day)
        assert days(store) == [0, 1, 2, *range(200, 206)]
        record(store, 20, 206)
        assert days(store) == list(range(200, 207))


@pytest.mark.parametrize(
    ("keep_days", "recorded", "first"),
    [
        (1, [100], None),
        (1, [99, 100], 99),
        (3, [90, 97, 100], 97),  # over a weekend
        (90, [100, *range(40, 45)], None),
        (90, [100, *range(40, 46)], 10),
        (90, [-300, *range(400, 420), 100], None),
    ],
)
def test_enough_of_what_is_kept_must_bear_the_clock_out(keep_days: int, recorded: list[int], first: int | None) -> None:
    assert first_kept(100, keep_days, recorded) == first


def test_an_arrival_far_before_the_newest_says_that_the_clock_was_put_back() -> None:
    assert arrived(T0, T0 + 5) == T0 + 5
    assert arrived(T0, T0 - 5) == T0
    assert arrived(T0, T0 - 2 * NS_PER_HOUR) == T0 - 2 * NS_PER_HOUR
