"""`isthmus history` as a person reads it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from isthmus.cli import main
from isthmus.model.query import Aggregate
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S
from isthmus.model.waveforms import bursts
from isthmus.run.history import size
from isthmus.site.config import HistorianSection
from isthmus.site.historian.asking import slowest
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Store(tmp_path / "history", HistorianSection(future_s=1e9), background=False) as store:
        kinds = {"press/force": ValueKind.F64, "press/state": ValueKind.STR, "mill/burst": ValueKind.WAVEFORM}
        store.tags.intern_all([TagInfo(name=name, kind=kind) for name, kind in kinds.items()])
        for day in range(3):
            times = [T0 + day * NS_PER_DAY + at * NS_PER_S for at in range(0, 43_200, 60)]
            force = columns(ValueKind.F64, [1] * len(times), times, [0] * len(times), [0.5] * len(times))
            store.append([Batch(1, 1, day + 1, times[0], force)])
            store.seal()
        store.append([Batch(2, 1, 1, T0, bursts([3], [T0], [0], [1000.0], [[1.0, 2.0]]))])
        # From noon on nobody knows; at the end of the first day there was one sample of a state.
        noon = [T0 + day * NS_PER_DAY + 12 * NS_PER_HOUR for day in range(3)]
        store.append([Batch(3, 1, 1, T0, columns(ValueKind.F64, [1] * 3, noon, [0x80050000] * 3, [None] * 3))])
        store.seal()
        store.append([Batch(4, 1, 1, T0, columns(ValueKind.STR, [2], [T0 + 1], [0], ["RUN"]))])
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], data: Path, *words: str) -> str:
    assert main(["history", "--data", str(data), *words]) == 0
    return capsys.readouterr().out


def test_show_says_what_is_stored_by_day_and_by_tag(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, data, "show", "--tags", "5", "--days", "2")
    assert "3 of 2 sources" in out
    assert "2025-11-08T00:00:00Z to 2025-11-10T12:00:00Z, 2.5 days" in out
    assert "2,163 samples in " in out
    assert "1 samples in the log, not sealed yet" in out
    assert "bursts    1, " in out
    assert "  1 before          721" in out
    assert [line[:10] for line in out.splitlines() if "█" in line] == ["2025-11-09", "2025-11-10"]
    assert out.splitlines()[-1].endswith("press/force")


def test_coverage_shows_each_day_of_a_tag(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, data, "coverage", "press/f*", "--days", "3")
    line = out.splitlines()[-1]
    assert line.split()[0] == "60.0%"  # twelve hours of each of two days, and all of the twelve of the last
    assert "▄▄█" in line
    assert "press/state" not in out


def test_a_sample_is_put_right_from_the_command_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = ("correct", "press/force", "2025-11-08T00:01:00Z", "7.25", "--by", "J. Holt", "--why", "sensor stuck")
    assert "is 7.25 from now on" in said(capsys, data, *right)
    out = said(capsys, data, "corrections")
    assert "J. Holt: press/force at 2025-11-08T00:01:00Z is 7.25 (sensor stuck)" in out
    assert "put right 1 sample by J. Holt" in said(capsys, data, "show")
    for wrong, why in (
        (("correct", "press/none", *right[2:]), "no tag is called press/none"),
        ((*right[:2], "2025-11-08T00:01:00", *right[3:]), "no time zone"),
        ((*right[:3], "much", *right[4:]), "no value of kind f64"),
    ):
        assert main(["history", "--data", str(data), *wrong]) == 2
        assert why in capsys.readouterr().err


def test_what_was_slow_is_remembered_over_a_restart(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no question of the last days took longer" in said(capsys, data, "slowest")
    monkeypatch.setattr(slowest, "FROM_S", 0.0)
    with Store(data / "history", background=False) as store:
        for _ in range(slowest.KEPT + 5):
            store.query(Aggregate(bucket_ns=NS_PER_HOUR), [1, 2], T0, T0 + NS_PER_DAY)
    out = said(capsys, data, "slowest")
    assert len(out.splitlines()) == slowest.KEPT + 1
    assert "Aggregate bucket_ns=3600000000000 over 24.0 h: press/force, press/state" in out
    seconds = [float(line.split()[0]) for line in out.splitlines()[1:]]
    assert seconds == sorted(seconds, reverse=True)


def test_macros_are_written_for_the_site_and_for_a_backup(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, data, "backup", str(data / "copy"))
    assert "duckdb -init" in said(capsys, data, "sql", str(data / "copy"), "--out", str(data / "copy.sql"))
    printed = said(capsys, data, "sql")
    for text in (printed, (data / "copy.sql").read_text()):
        with duckdb.connect() as db:
            db.execute(text)
            [row] = db.sql("SELECT f64 FROM history_last(['press/force'], '2025-11-08 06:00+00')").fetchall()
            assert row == (0.5,)


def test_sizes_are_said_as_people_say_them() -> None:
    assert [size(count) for count in (0, 999, 1500, 2_500_000, 3.1e9, 4e13)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2.5 MB",
        "3.1 GB",
        "40.0 TB",
    ]


def test_a_folder_without_history_is_named(tmp_path: Path) -> None:
    assert main(["history", "--data", str(tmp_path), "coverage"]) == 2


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        ("2025-11-08T00:00:00.0005Z", "1", "has no sample at 2025-11-08T00:00:00.000500Z to put right; the one before"),
        ("1960-01-01T00:00:00Z", "1", "none stands before it either"),
        ("2999-01-01T00:00:00Z", "1", "no sample stands at that moment"),
        ("2025-11-08T00:00:00Z", "1e999", "'1e999' is no value of kind f64"),
        ("yesterday", "1", "write it as 2026-11-22T06:00:00.250Z"),
    ],
)
def test_a_slip_of_the_pen_puts_nothing_right(
    data: Path, capsys: pytest.CaptureFixture[str], at: str, value: str, why: str
) -> None:
    task = ["history", "--data", str(data), "correct", "press/force", at, value, "--by", "Ann", "--why", "stuck"]
    assert main(task) == 2
    assert why in capsys.readouterr().err
    assert main(["history", "--data", str(data), "corrections"]) == 0
    assert "nobody put a sample right" in capsys.readouterr().out
