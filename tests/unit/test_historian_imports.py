"""A past brought along from files: right in time and kind, and no sample twice however often it is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.cli import main
from isthmus.model.errors import UsageError
from isthmus.model.query import Raw
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.status import BAD_TYPE_MISMATCH
from isthmus.model.time import parse
from isthmus.site.historian import imports
from isthmus.site.historian.imports import Columns, import_file
from isthmus.site.historian.store import Store

EVER = 2**62


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "history", background=False) as opened:
        yield opened


def samples(store: Store, name: str) -> list[tuple[int, object, int]]:
    tag = store.tags.find(name)
    assert tag is not None, [info.name for info in store.tags.all().values()]
    rows = store.query(Raw(), [tag], 0, EVER).to_pylist()
    values = (next((row[kind] for kind in ("f64", "i64", "str") if row[kind] is not None), None) for row in rows)
    return [(row["time_ns"], value, row["status"]) for row, value in zip(rows, values, strict=True)]


def test_a_csv_of_another_historian_with_local_times_and_words_of_its_own(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "Tag,Timestamp,Value\n"
        "oven.temp,2026-07-01 12:00:00.123,21.5\n"
        "oven.temp,2026-07-01 12:00:01,No Data\n"
        "oven.temp,2026-07-01 12:00:02Z,22\n"
        "oven.state,2026-07-01T12:00:00,Held\n"
        "oven.temp,yesterday,5\n"
    )
    store.tags.intern_all([TagInfo(name="pi/oven.temp", kind=ValueKind.F64, unit="°C")])
    done = import_file(store, path, "pi", named=Columns("Tag", "Timestamp", "Value"), zone="Europe/London")
    assert done == (4, 1, 1)
    assert samples(store, "pi/oven.temp") == [
        (parse("2026-07-01T11:00:00.123Z"), 21.5, 0),
        (parse("2026-07-01T11:00:01Z"), None, BAD_TYPE_MISMATCH),
        (parse("2026-07-01T12:00:02Z"), 22.0, 0),
    ]
    assert samples(store, "pi/oven.state") == [(parse("2026-07-01T11:00:00Z"), "Held", 0)]


def test_numbers_since_1970_are_told_apart_by_their_size(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "epochs.csv"
    path.write_text(
        "tag,time,value\na,1767571200,1\nb,1767571200001,2\nc,1767571200000001,3\nd,1767571200000000001,4\n"
    )
    import_file(store, path, "x")
    start = 1_767_571_200 * 10**9
    assert [samples(store, f"x/{name}")[0][0] - start for name in "abcd"] == [0, 10**6, 1000, 1]


def test_parquet_and_line_protocol(store: Store, tmp_path: Path) -> None:
    times = pa.array([1_767_571_200_000, 1_767_571_200_500], pa.timestamp("ms", tz="UTC"))
    table = pa.table({"tag": ["flow", "flow"], "time": times, "value": [1.25, None], "code": [0, 0x80050000]})
    pq.write_table(table, tmp_path / "old.parquet")
    import_file(store, tmp_path / "old.parquet", "dcs", named=Columns(status="code"))
    start = 1_767_571_200 * 10**9
    assert samples(store, "dcs/flow") == [(start, 1.25, 0), (start + 500_000_000, None, 0x80050000)]
    lines = tmp_path / "old.lp"
    lines.write_text(
        'press,line=a\\ 1 force=12.5,count=7i,on=t,note="a \\"b\\", c" 1767571200000000000\n# remark\nnonsense\n'
    )
    assert import_file(store, lines, "influx") == (4, 0, 1)
    values = [samples(store, f"influx/press,line=a 1.{field}")[0][1] for field in ("force", "count", "on", "note")]
    assert values == [12.5, 7.0, 1.0, 'a "b", c']


def test_an_import_started_again_takes_nothing_twice(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ROWS", 2048)
    path = tmp_path / "long.csv"
    path.write_text("tag,time,value\n" + "".join(f"a,{1_767_571_200 + n},{n}\n" for n in range(10_000)))

    class Stopped(Exception):
        pass

    def stop(done: imports.Imported) -> None:
        if done.rows > 5000:
            raise Stopped

    with pytest.raises(Stopped):
        import_file(store, path, "x", progress=stop)
    assert 5000 < len(samples(store, "x/a")) < 10_000
    written = store._wal.end
    assert import_file(store, path, "x").rows == 10_000
    assert [value for _, value, _ in samples(store, "x/a")] == list(range(10_000))
    assert store._wal.end - written < written
    written = store._wal.end
    import_file(store, path, "x")
    assert store._wal.end == written


def test_what_cannot_be_read_says_why(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("Name,When,Reading\na,2026-01-01T00:00:00Z,1\n")
    with pytest.raises(UsageError, match="no column tag, time, value; it has Name, When, Reading"):
        import_file(store, path, "x")
    with pytest.raises(UsageError, match="is not there"):
        import_file(store, tmp_path / "none.csv", "x")


def test_people_import_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "past.csv"
    path.write_text("tag,time,value\na,2026-01-05T00:00:00Z,1\na,2026-01-05T00:00:01Z,2\n")
    data = ["history", "--data", str(tmp_path / "site")]
    assert main([*data, "import", "--source", "old", str(path)]) == 0
    assert "2 samples" in capsys.readouterr().out
    assert main([*data, "show"]) == 0
    assert "2 samples in the log" in capsys.readouterr().out
