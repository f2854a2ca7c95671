"""The macros that people run with DuckDB alone answer as the operators do."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from isthmus.model import query as q
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S, Interval, to_datetime
from isthmus.model.waveforms import bursts
from isthmus.site.config import HistorianSection
from isthmus.site.historian.asking.sql import macro_name, script
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
START, END = T0 + 7 * NS_PER_HOUR, T0 + NS_PER_DAY + 5 * NS_PER_HOUR
NAMES = ["plc/level", "plc/parts", "plc/state", "it's/Störung", "plc/never"]
KINDS = [ValueKind.F64, ValueKind.I64, ValueKind.STR, ValueKind.STR, ValueKind.F64]
WINDOWS = (Interval(START, T0 + NS_PER_DAY), Interval(T0 + NS_PER_DAY, END))
MOMENTS = (T0 + 8 * NS_PER_HOUR, T0 + NS_PER_DAY, END - 1000)


def moment(time_ns: int) -> str:
    return f"'{to_datetime(time_ns).isoformat()}'"


def several(moments: Iterable[int]) -> str:
    return f"[{', '.join(map(moment, moments))}]"


def sent(store: Store, seq: int, first_s: int, last_s: int, odd: float = 0) -> None:
    """Samples of every kind: a bad one, a NaN, a counter that falls back, µs and ns now and then."""
    seconds = range(first_s, last_s, 600)
    times = [T0 + at * NS_PER_S + (at % 7 == 0) * 1_500 + (at % 11 == 0) * 3 for at in seconds]
    values: list[list[Any]] = [
        [math.nan if at % 4200 == 0 else round(at / 700 + odd, 2) for at in seconds],
        [at // 600 % 50 for at in seconds],
        [("RUN", "IDLE", None)[at // 600 % 3] for at in seconds],
        [f"reason {at // 600 % 5}" for at in seconds],
    ]
    status = [0x80050000 if at % 6000 == 0 else 0 for at in seconds]
    batches = [
        Batch(tag, 1, seq, T0 + 10 * NS_PER_DAY, columns(kind, [tag] * len(times), times, status, value))
        for tag, (kind, value) in enumerate(zip(KINDS, values, strict=False), 1)
    ]
    store.append(batches)
    store.seal()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("it's history")
    with Store(folder, HistorianSection(future_s=1e9), background=False) as opened:
        opened.tags.intern_all([TagInfo(name=n, kind=k) for n, k in zip(NAMES, KINDS, strict=True)])
        sent(opened, 1, 0, 50_000)
        sent(opened, 2, 50_400, 120_000)
        sent(opened, 3, 30_000, 60_000, odd=0.5)  # late, and other values at the same moments
        sent(opened, 4, 31_200, 32_000, odd=0.75)  # later still
        said = [(1, 36_000, 99.5), (1, 33_000, None), (3, 36_000, "DOWN's"), (2, 90_001, 7), (1, 36_000, 99.25)]
        opened.correct(
            [
                Correction(tag=tag, time_ns=T0 + at * NS_PER_S, value=value, said_ns=number, by="Ann", why="test")
                for number, (tag, at, value) in enumerate(said)
            ]
        )
        yield opened


@pytest.fixture(scope="module")
def opened(store: Store) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        db.execute(script(store.folder, T0))
        yield db


STRETCH = f"{NAMES!r}, {moment(START)}, {moment(END)}".replace('"it\'s/Störung"', "'it''s/Störung'")
HOURLY = f"{STRETCH}, INTERVAL 1 HOUR"
ASKED: list[tuple[q.Operator, str]] = [
    (q.Last(), f"{STRETCH.rpartition(', ')[0].rpartition(', ')[0]}, {moment(END)}"),
    (q.Raw(), STRETCH),
    (q.Raw(before=True), f"{STRETCH}, before := true"),
    (q.Aggregate(bucket_ns=NS_PER_HOUR), HOURLY),
    (q.TimeWeightedMean(bucket_ns=NS_PER_HOUR), HOURLY),
    (
        q.StateDurations(windows=WINDOWS),
        f"{STRETCH}, {several(each.start_ns for each in WINDOWS)}, {several(each.end_ns for each in WINDOWS)}",
    ),
    (q.AsOf(at_ns=MOMENTS), f"{STRETCH.rpartition(', ')[0].rpartition(', ')[0]}, {several(MOMENTS)}"),
    (q.Decimate(points=20), f"{STRETCH}, points := 20"),
    (q.Decimate(points=4), f"{STRETCH}, points := 4"),
    (q.CounterDelta(bucket_ns=NS_PER_HOUR), HOURLY),
    (q.CounterDelta(bucket_ns=NS_PER_HOUR, width=6), f"{HOURLY}, bits := 6"),
    (q.Integral(bucket_ns=NS_PER_HOUR), HOURLY),
    (q.Coverage(bucket_ns=NS_PER_HOUR), HOURLY),
    (q.Gaps(longer_ns=20 * NS_PER_MINUTE), f"{STRETCH}, INTERVAL 20 MINUTE"),
    (q.TopReasons(limit=4), f"{STRETCH}, most := 4"),
]


@pytest.mark.parametrize(
    ("operator", "arguments"), ASKED, ids=[f"{type(op).__name__}-{at}" for at, (op, _) in enumerate(ASKED)]
)
def test_a_macro_answers_as_its_operator(
    store: Store, opened: duckdb.DuckDBPyConnection, operator: q.Operator, arguments: str
) -> None:
    expected = store.query(operator, [1, 2, 3, 4, 5], START, END)
    wanted = ", ".join(f'"{name}"' for name in expected.column_names)
    found = opened.sql(f"SELECT {wanted} FROM {macro_name(type(operator))}({arguments})").to_arrow_table()  # noqa: S608
    assert expected.num_rows > 0
    order = [(name, "ascending") for name in expected.column_names]
    pairs = zip(found.sort_by(order).to_pylist(), expected.sort_by(order).to_pylist(), strict=True)
    for row, said in pairs:
        assert row == {
            name: pytest.approx(each, rel=1e-12, nan_ok=True) if isinstance(each, float) else each
            for name, each in said.items()
        }
    assert found.schema.types == expected.schema.types


def test_every_operator_has_a_macro() -> None:
    assert {type(operator) for operator, _ in ASKED} == set(q.Operator.__args__)


def test_the_view_shows_each_sample_once_as_it_stands_now(store: Store, opened: duckdb.DuckDBPyConnection) -> None:
    rows = opened.sql("SELECT tag, time_ns, value FROM history_samples WHERE tag = 1 AND day = '2025-11-08'").fetchall()
    assert len({row[:2] for row in rows}) == len(rows)
    said = {row[1]: row[2] for row in rows}
    assert said.get(T0 + 36_000 * NS_PER_S, "99.25") == "99.25"
    everything = store.query(q.Raw(), [1, 2, 3, 4, 5], 0, 2**62)
    [(count,)] = opened.sql("SELECT count(*) FROM history_samples").fetchall()
    assert count == everything.num_rows


def test_a_process_without_isthmus_runs_it(store: Store, tmp_path: Path) -> None:
    text = tmp_path / "history.sql"
    text.write_text(script(store.folder, T0))
    code = (
        "import sys, duckdb; db = duckdb.connect(); db.execute(open(sys.argv[1]).read());"
        "print(len(db.sql(\"FROM history_aggregate(['plc/level'], '2025-11-08', '2025-11-09', INTERVAL 1 DAY)\").fetchall()));"
        "assert not any(name.startswith('isthmus') for name in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(text)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "1\n", done.stderr


def test_bursts_are_a_view(tmp_path: Path) -> None:
    with Store(tmp_path, HistorianSection(future_s=1e9), background=False) as store:
        store.tags.intern_all([TagInfo(name="press/v", kind=ValueKind.WAVEFORM)])
        for seq, readings in enumerate([[1.0, -2.0], [0.5, 0.25, 1.5], None], 1):
            burst = bursts([1], [T0 + seq % 2], [0], [39062.5], [readings])
            store.append([Batch(1, 1, seq, T0, burst)])
            store.waveforms.seal()
    with duckdb.connect() as db:
        db.execute(script(tmp_path, T0))
        rows = db.sql("SELECT name, time_ns, interval_ns, readings FROM history_bursts ORDER BY time_ns").fetchall()
    assert rows == [("press/v", T0, 39062.5, [0.5, 0.25, 1.5]), ("press/v", T0 + 1, 39062.5, None)]


@pytest.mark.parametrize("every", ["1 MONTH", "1 YEAR", "0 HOUR", "14 MONTH"])
def test_a_month_is_not_taken_for_thirty_days(opened: duckdb.DuckDBPyConnection, every: str) -> None:
    with pytest.raises(duckdb.Error, match="months are not equally long"):
        opened.sql(f"FROM history_counter_delta({STRETCH}, INTERVAL {every})").fetchall()
    assert opened.sql(f"FROM history_counter_delta({STRETCH}, INTERVAL 36 HOUR)").fetchall()


def test_an_empty_history_gives_empty_answers(tmp_path: Path) -> None:
    with Store(tmp_path, background=False):
        pass
    with duckdb.connect() as db:
        db.execute(script(tmp_path, T0))
        assert db.sql("FROM history_last([], now())").fetchall() == []
        with pytest.raises(duckdb.Error, match="no tag is called a"):
            db.sql("FROM history_last(['a'], now())").fetchall()
        assert db.sql("FROM history_bursts").fetchall() == []


@pytest.mark.parametrize(
    ("operator", "arguments"), ASKED, ids=[f"{type(op).__name__}-{at}" for at, (op, _) in enumerate(ASKED)]
)
def test_a_name_that_nobody_knows_is_said(
    opened: duckdb.DuckDBPyConnection, operator: q.Operator, arguments: str
) -> None:
    wrong = arguments.replace("plc/level", "plc/levle")
    with pytest.raises(duckdb.Error, match="no tag is called plc/levle; FROM history_tags lists them all"):
        opened.sql(f"SELECT * FROM {macro_name(type(operator))}({wrong})").fetchall()  # noqa: S608


def test_a_name_that_nobody_knows_is_said_where_nothing_was_recorded(opened: duckdb.DuckDBPyConnection) -> None:
    ages_ago = "'1990-01-01', '1990-01-02', INTERVAL 1 HOUR"
    assert opened.sql(f"FROM history_aggregate(['plc/level'], {ages_ago})").fetchall() == []
    with pytest.raises(duckdb.Error, match="no tag is called nobody"):
        opened.sql(f"FROM history_aggregate(['plc/level', 'nobody'], {ages_ago})").fetchall()


def test_what_a_name_was_before_its_kind_changed_is_asked_for_by_its_number(tmp_path: Path) -> None:
    with Store(tmp_path, HistorianSection(future_s=1e9), background=False) as store:
        for seq, (kind, value) in enumerate([(ValueKind.F64, 1.5), (ValueKind.STR, "RUN"), (ValueKind.I64, 7)], 1):
            tag = store.tags.intern(TagInfo(name="press/force", kind=kind))
            store.append([Batch(1, 1, seq, T0, columns(kind, [tag], [T0 + seq], [0], [value]))])
            store.seal()
    with duckdb.connect() as db:
        db.execute(script(tmp_path, T0))
        asked = {
            name: db.sql(f"SELECT name, time_ns - {T0} FROM history_last(['{name}'], '2025-11-09')").fetchall()  # noqa: S608
            for name in ("press/force", "press/force#1", "press/force#2", "press/force#3")
        }
        both = db.sql("FROM history_raw(['press/force', 'press/force#3', 'press/force#1'], '2025-11-08', '2025-11-09')")
        assert both.shape[0] == 2
        with pytest.raises(duckdb.Error, match="no tag is called press/force#4"):
            db.sql("FROM history_last(['press/force#4'], now())").fetchall()
        assert db.sql("SELECT name FROM history_tags WHERE until IS NOT NULL").fetchall() == [
            ("press/force#1",),
            ("press/force#2",),
        ]
    assert asked == {
        "press/force": [("press/force", 3)],
        "press/force#1": [("press/force#1", 1)],
        "press/force#2": [("press/force#2", 2)],
        "press/force#3": [("press/force", 3)],
    }
