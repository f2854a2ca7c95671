"""The tables that pages read: right under revisions, under facts taken back, and in any order of saying."""

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.records import Record
from isthmus.model.records.business import ErpItem, JobOrdered, Step
from isthmus.model.records.edge import ConduitCut, ConduitReopened, SourceChanged, TagFault
from isthmus.model.records.people import JobStarted, JobStopped, ReasonGiven
from isthmus.model.records.production import (
    Counted,
    Elements,
    Indicator,
    RunEnded,
    RunStarted,
    StateChanged,
    StopExplained,
)
from isthmus.model.states import State
from isthmus.site.records.database import Database, SqliteDatabase
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.views import found

AT = "acme/north/area/line/m1"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgresql"))])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Every claim holds whichever engine keeps the tables."""
    database: Database = (
        SqliteDatabase(tmp_path / "views.sqlite")
        if request.param == "sqlite"
        else PostgresDatabase(request.getfixturevalue("postgres").database())
    )
    made = database.connect()
    for view in found():
        made.executescript(view.schema)
    yield made
    made.close()
    database.close()


def fold(db: sqlite3.Connection, *records: Record) -> None:
    for position, record in enumerate(records):
        for view in found():
            if isinstance(record, view.reads):
                view.apply(db, position, record)


def rows(db: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in db.execute(sql)]


def state(time_ns: int, what: State, revision: int = 0, *, gone: bool = False) -> StateChanged:
    return StateChanged(path=AT, time_ns=time_ns, state=what, revision=revision, gone=gone)


INTERVALS = "SELECT time_ns, end_ns, state FROM states ORDER BY time_ns"


def test_states_are_intervals_that_end_where_the_next_begins(db: sqlite3.Connection) -> None:
    fold(db, state(10, State.RUN), state(30, State.DOWN), state(40, State.RUN))
    assert rows(db, INTERVALS) == [(10, 30, "RUN"), (30, 40, "DOWN"), (40, None, "RUN")]


def test_states_said_in_any_order_give_the_same_intervals(db: sqlite3.Connection) -> None:
    said = [state(10, State.RUN), state(30, State.DOWN), state(40, State.RUN), state(50, State.IDLE)]
    for order in itertools.permutations(said):
        db.execute("DELETE FROM states")
        fold(db, *order)
        assert rows(db, INTERVALS) == [(10, 30, "RUN"), (30, 40, "DOWN"), (40, 50, "RUN"), (50, None, "IDLE")]


def test_a_state_taken_back_lets_the_one_before_it_last(db: sqlite3.Connection) -> None:
    fold(db, state(10, State.RUN), state(30, State.DOWN), state(40, State.RUN))
    fold(db, state(30, State.DOWN, 1, gone=True))
    assert rows(db, INTERVALS) == [(10, 40, "RUN"), (40, None, "RUN")]
    fold(db, state(40, State.RUN, 1, gone=True))
    assert rows(db, INTERVALS) == [(10, None, "RUN")]
    fold(db, state(30, State.SETUP, 2))
    assert rows(db, INTERVALS) == [(10, 30, "RUN"), (30, None, "SETUP")]


def test_a_higher_revision_replaces_and_a_lower_one_that_comes_late_does_not(db: sqlite3.Connection) -> None:
    fold(db, Counted(path=AT, time_ns=5, good=3, revision=2), Counted(path=AT, time_ns=5, good=9, revision=1))
    assert rows(db, "SELECT good FROM counts") == [(3.0,)]
    fold(db, Counted(path=AT, time_ns=5, good=4, revision=3))
    assert rows(db, "SELECT good FROM counts") == [(4.0,)]
    fold(db, Counted(path=AT, time_ns=5, revision=4, gone=True))
    assert rows(db, "SELECT sum(good) FROM counts") == [(None,)]


def test_machines_do_not_touch_each_other(db: sqlite3.Connection) -> None:
    other = StateChanged(path=AT + "2", time_ns=20, state=State.OFF)
    fold(db, state(10, State.RUN), other, state(30, State.DOWN))
    assert rows(db, "SELECT path, time_ns, end_ns FROM states ORDER BY path, time_ns") == [
        (AT, 10, 30),
        (AT, 30, None),
        (AT + "2", 20, None),
    ]


def run_ended(start: int, end: int, good: float, revision: int = 0, *, gone: bool = False) -> RunEnded:
    return RunEnded(path=AT, time_ns=end, start_ns=start, order="1", good=good, revision=revision, gone=gone)


def test_a_run_is_open_until_its_end_is_said_and_again_when_the_end_is_taken_back(db: sqlite3.Connection) -> None:
    sql = "SELECT time_ns, end_ns, good FROM runs ORDER BY time_ns"
    fold(db, RunStarted(path=AT, time_ns=10, order="1"))
    assert rows(db, sql) == [(10, None, 0)]
    fold(db, run_ended(10, 50, 7), RunStarted(path=AT, time_ns=60, order="1"))
    assert rows(db, sql) == [(10, 50, 7), (60, None, 0)]
    fold(db, run_ended(10, 50, 7, 1, gone=True), run_ended(10, 55, 8))
    assert rows(db, sql) == [(10, 55, 8), (60, None, 0)]


def test_a_person_may_stop_one_job_and_start_the_next_at_one_moment(db: sqlite3.Connection) -> None:
    fold(db, JobStopped(path=AT, time_ns=5, order="1", by="ann", said_ns=5))
    fold(db, JobStarted(path=AT, time_ns=5, order="2", by="ann", said_ns=5))
    assert rows(db, "SELECT order_no FROM runs_halted UNION ALL SELECT order_no FROM runs_begun") == [("1",), ("2",)]


def test_stops_and_what_people_said_of_them_stand_side_by_side(db: sqlite3.Connection) -> None:
    fold(db, StopExplained(path=AT, time_ns=50, start_ns=30, state=State.DOWN))
    said = ReasonGiven(path=AT, time_ns=30, end_ns=50, reason="TOOL", by="ann", said_ns=99)
    fold(db, said, StopExplained(path=AT, time_ns=50, start_ns=30, state=State.DOWN, reason="TOOL", revision=1))
    assert rows(db, "SELECT start_ns, time_ns, reason FROM stops") == [(30, 50, "TOOL")]
    assert rows(db, "SELECT reason, by, said_ns FROM stops_said") == [("TOOL", "ann", 99)]


def item(time_ns: int, state: str, revision: int = 0, *, gone: bool = False) -> ErpItem:
    made = {"path": "acme/north#erp/k", "order": "1", "command": "quantity", "body": "{}", "state": state}
    fields = {"time_ns": time_ns, "revision": revision, "gone": gone}
    return ErpItem(**made, **fields)  # type: ignore[arg-type]


def test_a_report_stands_as_last_said_and_its_way_is_kept(db: sqlite3.Connection) -> None:
    fold(db, item(1, "pending"), item(2, "sending"), item(3, "parked"))
    assert rows(db, "SELECT state FROM erp") == [("parked",)]
    assert rows(db, "SELECT state FROM erp_all ORDER BY time_ns") == [("pending",), ("sending",), ("parked",)]
    fold(db, item(3, "parked", 1, gone=True))
    assert rows(db, "SELECT state FROM erp") == [("sending",)]


def test_of_two_words_about_one_path_the_newer_in_its_own_time_stands(db: sqlite3.Connection) -> None:
    def order(time_ns: int, quantity: float) -> JobOrdered:
        step = Step(sequence=10, operation="turn")
        return JobOrdered(
            path="acme/north#order/1", time_ns=time_ns, order="1", product="P", quantity=quantity, steps=(step,)
        )

    fold(db, order(9, 70), order(4, 50))
    assert rows(db, "SELECT quantity FROM orders") == [(70.0,)]
    assert '"turn"' in str(rows(db, "SELECT steps FROM orders")[0][0])


def test_a_source_names_its_faulty_tags_until_they_are_mended(db: sqlite3.Connection) -> None:
    path = "acme/north#source/m1"
    fault = TagFault("coolant", 0x808C0000, "sensor failure")
    fold(db, SourceChanged(path=path, time_ns=1, state="up", tags=9, faults=(fault,)))
    assert "coolant" in str(rows(db, "SELECT faults FROM connections_source")[0][0])
    fold(db, SourceChanged(path=path, time_ns=2, state="up", tags=9))
    assert rows(db, "SELECT faults FROM connections_source") == [("[]",)]


def test_a_conduit_is_cut_until_two_people_reopened_it(db: sqlite3.Connection) -> None:
    path = "acme/north#conduit/uplink"
    fold(db, ConduitCut(path=path, time_ns=1, level=2, by="ann", reason="drill"))
    assert rows(db, "SELECT cut, by FROM connections_gate") == [(1, "ann")]
    fold(db, ConduitReopened(path=path, time_ns=2, by=("ann", "bob"), reason="drill is over"))
    assert rows(db, "SELECT cut, by FROM connections_gate") == [(0, "ann and bob")]


def test_an_indicator_keeps_its_elements_and_an_unknown_ratio_stays_unknown(db: sqlite3.Connection) -> None:
    indicator = Indicator(
        path=AT,
        time_ns=100,
        start_ns=0,
        window="shift",
        name="Early",
        policy="P · 1",
        elements=Elements(apt_ns=60, adet_ns=30, unobserved_ns=10),
        pbt_ns=100,
        good=0,
        scrap=0,
        rework=0,
        ideal_ns=0,
        good_ideal_ns=0,
        availability=0.6,
        effectiveness=0.0,
        quality=None,
        oee=0.0,
        coverage=0.9,
    )
    fold(db, indicator)
    assert rows(db, "SELECT apt_ns, adet_ns, unobserved_ns, quality, coverage FROM indicators") == [
        (60, 30, 10, None, 0.9)
    ]
