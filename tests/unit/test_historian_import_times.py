"""Local times of other systems: the autumn's doubled hour keeps both its halves, the spring's missing hour is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.model.query import Raw
from isthmus.model.time import NS_PER_MINUTE, NS_PER_S, from_datetime, parse
from isthmus.site.historian.bringing import imports
from isthmus.site.historian.bringing.imports import Columns, How, Unfit, import_file
from isthmus.site.historian.store import Store

EVER = 2**62
BERLIN = How(zone="Europe/Berlin")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "history", background=False) as opened:
        yield opened


def times(store: Store, name: str) -> list[int]:
    tag = store.tags.find(name)
    assert tag is not None
    return [int(each) for each in store.query(Raw(), [tag], 0, EVER)["time_ns"].to_pylist()]


@pytest.mark.parametrize("rows", [10_000, 5])
@pytest.mark.parametrize("case", [(10, False), (10, True), (60, False), (60, True), (7, False)])
def test_both_halves_of_the_doubled_hour_are_kept(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, case: tuple[int, bool]
) -> None:
    minutes, backwards = case
    monkeypatch.setattr(imports, "ROWS", rows)
    first = datetime(2025, 10, 25, 22, tzinfo=UTC)
    moments = [first + timedelta(minutes=at) for at in range(0, 300, minutes)]
    told = [each.astimezone(ZoneInfo("Europe/Berlin")).strftime("%d.%m.%Y %H:%M:%S") for each in moments]
    lines = [f"{tag};{when};{at}\n" for at, when in enumerate(told) for tag in ("meter", "other")]
    path = tmp_path / "meters.csv"
    path.write_text("tag;time;value\n" + "".join(reversed(lines) if backwards else lines))
    done = import_file(store, path, "ion", BERLIN)
    assert (done.rows, done.unread) == (2 * len(moments), 0)
    assert done.doubled == 2 * sum(1 <= (each - first) / timedelta(hours=1) - 1 < 3 for each in moments)
    for name in ("ion/meter", "ion/other"):
        assert times(store, name) == [from_datetime(each) for each in moments]


def test_an_hour_that_no_clock_of_the_zone_showed_is_listed_with_the_mend(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "logger.csv"
    path.write_text("tag,time,value\na,2025-03-30 01:59:59,1\na,2025-03-30 02:30:00,2\na,2025-03-30 03:00:00,3\n")
    unfit: list[Unfit] = []
    done = import_file(store, path, "log", BERLIN, unfit=unfit.append)
    assert (done.rows, done.unread) == (2, 1)
    assert times(store, "log/a") == [parse("2025-03-30T00:59:59Z"), parse("2025-03-30T01:00:00Z")]
    assert unfit[0].line == 3
    assert "left out by the zone's clock" in unfit[0].why
    assert "Etc/GMT-1" in unfit[0].why


def test_the_same_file_in_pieces_is_the_same_file(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("tag,time,value\na,2025-10-26 02:15:00.000000123,1\na,2025-10-26 02:15:00.000000123,2\n")
    assert import_file(store, path, "x", BERLIN).rows == 2
    assert import_file(store, path, "x", BERLIN).rows == 2
    start = parse("2025-10-26T00:15:00Z") + 123
    assert times(store, "x/a") == [start, start + 60 * NS_PER_MINUTE]


def test_times_of_a_parquet_file_that_name_no_zone_are_read_in_the_one_given(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "pandas.parquet"
    naive = pa.array([parse("2025-07-01T12:00:00Z") + 5], pa.timestamp("ns"))
    zoned = naive.cast(pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"tag": ["a"], "time": naive, "zoned": zoned, "value": [1.5]}), path)
    import_file(store, path, "naive", BERLIN)
    import_file(store, path, "zoned", BERLIN._replace(named=Columns(time="zoned")))
    assert [each // NS_PER_S for each in times(store, "zoned/a")] == [parse("2025-07-01T12:00:00Z") // NS_PER_S]
    assert times(store, "naive/a") == [parse("2025-07-01T10:00:00Z") + 5]


def test_months_as_german_windows_writes_them_are_read(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "pi.csv"
    months = ["Mär", "Mrz", "Mai", "Okt", "Dez"]
    path.write_text("".join(f"A,{at:02}-{month}-25 08:00:00,1\n" for at, month in enumerate(months, 1)), "utf-8")
    assert import_file(store, path, "pi", How(dialect="pi")).unread == 0
    found = [datetime.fromtimestamp(each // NS_PER_S, UTC).strftime("%m-%d") for each in times(store, "pi/A")]
    assert found == ["03-01", "03-02", "05-03", "10-04", "12-05"]
