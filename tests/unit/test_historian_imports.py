"""A past brought along from files: right in time and kind, and no sample twice however often it is started."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.cli import main
from isthmus.model.errors import UsageError
from isthmus.model.query import Raw
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.status import BAD_NO_DATA, BAD_TYPE_MISMATCH
from isthmus.model.time import parse
from isthmus.site.historian.bringing import exports, imports
from isthmus.site.historian.bringing.imports import Columns, How, Unfit, import_file
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
    done = import_file(store, path, "pi", How(named=Columns("Tag", "Timestamp", "Value"), zone="Europe/London"))
    assert done[:3] == (4, 0, 1)
    assert samples(store, "pi/oven.temp") == [
        (parse("2026-07-01T11:00:00.123Z"), 21.5, 0),
        (parse("2026-07-01T11:00:01Z"), None, BAD_NO_DATA),
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
    import_file(store, tmp_path / "old.parquet", "dcs", How(named=Columns(status="code")))
    start = 1_767_571_200 * 10**9
    assert samples(store, "dcs/flow") == [(start, 1.25, 0), (start + 500_000_000, None, 0x80050000)]
    lines = tmp_path / "old.lp"
    lines.write_text(
        'press,line=a\\ 1 force=12.5,count=7i,on=t,note="a \\"b\\", c" 1767571200000000000\n# remark\nnonsense\n'
    )
    assert import_file(store, lines, "influx")[:3] == (4, 0, 1)
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


def listed(store: Store, path: Path, source: str = "x", how: How | None = None) -> tuple[imports.Imported, list[Unfit]]:
    unfit: list[Unfit] = []
    return import_file(store, path, source, how, unfit=unfit.append), unfit


def test_a_pi_export_keeps_its_states_and_says_why_a_value_is_bad(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "pi.csv"
    path.write_text(
        "* piconfig, 2026\n"
        "SINUSOID,22-Nov-25 14:05:00,51.25\n"
        "SINUSOID,22-Nov-25 14:05:01.12,Bad Input\n"
        "SINUSOID,22-Nov-2025 14:05:02.12345,No Data\n"
        "SINUSOID,22-Nov-25 14:05:03,12.5,Questionable\n"
        "SINUSOID,22-Nov-25 14:05:04,13,Substituted\n"
        "SINUSOID,22-Nov-25 14:05:05,Rotten\n"
        "VALVE,22-Nov-25 14:05:00,OPEN\n"
        "VALVE,22-Nov-25 14:05:01,I/O Timeout\n"
        "VALVE,32-Nov-25 14:05:01,OPEN\n"
        ",22-Nov-25 14:05:01,1\n"
        "VALVE,22-Nov-65 14:05:01,OPEN\n"
    )
    store.tags.intern_all([TagInfo(name="pi/SINUSOID", kind=ValueKind.F64)])
    done, unfit = listed(store, path, "pi", How(zone="Europe/Berlin"))
    assert done[:3] == (8, 1, 3)
    start = parse("2025-11-22T13:05:00Z")
    assert samples(store, "pi/SINUSOID") == [
        (start, 51.25, 0),
        (start + 1_120_000_000, None, 0x808C0000),
        (start + 2_123_450_000, None, BAD_NO_DATA),
        (start + 3 * 10**9, 12.5, 0x40000000),
        (start + 4 * 10**9, 13.0, 0x00960000),
        (start + 5 * 10**9, None, BAD_TYPE_MISMATCH),
    ]
    assert samples(store, "pi/VALVE") == [(start, "OPEN", 0), (start + 10**9, None, 0x800A0000)]
    assert [(each.line, each.kept) for each in unfit] == [(10, False), (11, False), (12, False), (7, True)]
    assert "'32-Nov-25 14:05:01' cannot be read" in unfit[0].why
    assert "no tag" in unfit[1].why
    assert "future" in unfit[2].why or "earliest" in unfit[2].why


def test_ignitions_two_exports_give_the_same_samples(store: Store, tmp_path: Path) -> None:
    wide = tmp_path / "shown.csv"
    wide.write_text(
        "t_stamp,Line 1/Speed,Line 1/State\n2026-01-05 00:00:00.250,1.5,RUN\n2026-01-05 00:00:01,,IDLE\na,b,c,d,e\n"
    )
    start = parse("2026-01-05T00:00:00Z")
    tables, names = tmp_path / "sqlt_data_1_2026_01.csv", tmp_path / "sqlth_te.csv"
    names.write_text("id,tagpath,scid\n7,Line 1/Speed,1\n8,Line 1/State,1\n")
    ms = start // 10**6
    tables.write_text(
        '"tagid","intvalue","floatvalue","stringvalue","datevalue","dataintegrity","t_stamp"\n'
        f"7,NULL,1.5,NULL,NULL,192,{ms + 250}\n8,,,RUN,,192,{ms + 250}\n8,,,IDLE,,64,{ms + 1000}\n"
        f"7,,2.5,,,24,{ms + 2000}\n7,,3.5,,,512,{ms + 3000}\n9,,1,,,192,{ms}\n8,1\n"
    )
    done, unfit = listed(store, wide, "shown")
    assert done[:3] == (3, 0, 1)
    done, unfit = listed(store, tables, "db", How(names=exports.tag_names(names)))
    assert done[:3] == (5, 0, 2)
    assert [each.line for each in unfit] == [7, 8]
    for tag in ("Line 1/Speed", "Line 1/State"):
        assert [row[:2] for row in samples(store, f"shown/{tag}")] == [row[:2] for row in samples(store, f"db/{tag}")][
            :2
        ][: len(samples(store, f"shown/{tag}"))]
    assert [status for _, _, status in samples(store, "db/Line 1/Speed")] == [0, 0x80000000, 0x80000000]
    assert samples(store, "db/Line 1/State")[1] == (start + 10**9, "IDLE", 0x40000000)


def test_influx_queries_annotated_and_plain(store: Store, tmp_path: Path) -> None:
    annotated = tmp_path / "flux.csv"
    annotated.write_text(
        "#group,false,false,true,true,false,false,true,true,true\n"
        "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string\n"
        "#default,_result,,,,,,,,\n"
        ",result,table,_start,_stop,_time,_value,_field,_measurement,line\n"
        ",,0,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-01-05T00:00:00.123456789Z,12.5,force,press,a 1\n"
        "\n"
        ",result,table,_start,_stop,_time,_value,_field,_measurement,line,shift\n"
        ",,1,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-01-05T00:00:01Z,RUN,state,press,a 1,early\n"
    )
    assert listed(store, annotated, "influx")[0][:3] == (2, 0, 0)
    start = parse("2026-01-05T00:00:00Z")
    assert samples(store, "influx/press,line=a 1.force") == [(start + 123_456_789, 12.5, 0)]
    assert samples(store, "influx/press,line=a 1,shift=early.state") == [(start + 10**9, "RUN", 0)]
    plain = tmp_path / "cli.csv"
    plain.write_text(f"name,time,force,count\npress,{start + 7},12.5,\npress,{start + 8},,3\n")
    assert listed(store, plain, "one")[0][:3] == (2, 0, 0)
    assert samples(store, "one/press.force") == [(start + 7, 12.5, 0)]
    assert samples(store, "one/press.count") == [(start + 8, 3.0, 0)]


def test_a_semicolon_file_of_windows_with_commas_in_its_numbers(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "deutsch.csv"
    path.write_bytes("tag;time;value\nÖltemperatur;2026-01-05 00:00:00;21,5\n".encode("cp1252"))
    import_file(store, path, "x")
    assert [value for _, value, _ in samples(store, "x/Öltemperatur")] == [21.5]


def test_whole_numbers_beyond_a_double_keep_every_digit(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    large = 2**53 + 1
    path.write_text(
        f"tag,time,value\na,2026-01-05T00:00:00Z,{large}\na,2026-01-05T00:00:01Z,{2**63 - 1}\na,2026-01-05T00:00:02Z,{2**63}\n"
    )
    done, unfit = listed(store, path)
    assert done[:3] == (3, 1, 0)
    assert [value for _, value, _ in samples(store, "x/a")] == [large, 2**63 - 1, None]
    assert str(2**63) in unfit[0].why


def test_the_command_lists_what_did_not_fit_and_shows_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "past.csv"
    path.write_text("tag,time,value\na,2026-01-05T00:00:00Z,1\na,soon,2\n")
    data = ["history", "--data", str(tmp_path / "site")]
    assert main([*data, "import", "--source", "old", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "1 rows left out, 0 kept" in out
    assert "100%  1 samples" in err
    rows = (tmp_path / "past.csv.rejected.csv").read_text().splitlines()
    assert rows[1].endswith(",3,a,its time 'soon' cannot be read,no")
    with pytest.raises(SystemExit):
        main([*data, "import", "--help"])
    assert "isthmus history import pi-2019.csv" in capsys.readouterr().out


@pytest.mark.long
def test_an_import_killed_in_the_middle_is_just_started_again(tmp_path: Path) -> None:
    path, data = tmp_path / "long.csv", tmp_path / "site"
    count = 160_000
    path.write_text("tag,time,value\n" + "".join(f"t{n % 7},{1_767_571_200 + n},{n}\n" for n in range(count)))
    command = [sys.executable, "-m", "isthmus", "history", "--data", str(data), "import", "--source", "x", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        log, end = data / "history" / "wal", time.monotonic() + 40
        while process.poll() is None and time.monotonic() < end:
            if sum(each.stat().st_size for each in log.glob("*.seg")) > 1_000:
                break
        process.kill()
        process.wait()
    with Store(data / "history", background=False) as store:
        taken = store.query(Raw(), list(store.tags.all()), 0, EVER).num_rows
        assert 0 < taken < count
        assert import_file(store, path, "x").rows == count
        found = store.query(Raw(), list(store.tags.all()), 0, EVER)
        assert found.num_rows == count
        assert sum(found["f64"].to_pylist()) == sum(range(count))
