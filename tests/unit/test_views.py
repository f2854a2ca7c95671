"""Views: the log folded into tables that survive crashes and are made anew when their shape changes."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from isthmus.model.records import Record
from isthmus.model.records.edge import LinkChanged
from isthmus.model.records.production import Counted, StateChanged
from isthmus.model.states import State
from isthmus.site import views as found_views
from isthmus.site.records.records_log import RecordsLog
from isthmus.site.records.views_db import Views
from isthmus.site.views.facts import Facts, records

PATH = "acme/northgate/machining/line-a/cnc-01"


class Sums:
    name: ClassVar[str] = "sums"
    reads: ClassVar[tuple[type[Record], ...]] = (Counted,)
    schema: ClassVar[str] = "CREATE TABLE sums (path TEXT PRIMARY KEY, good REAL);"

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        del position
        assert isinstance(record, Counted)
        db.execute(
            "INSERT INTO sums VALUES (?, ?) ON CONFLICT DO UPDATE SET good = good + excluded.good",
            (record.path, record.good),
        )


class Wrong(Sums):
    name: ClassVar[str] = "wrong"
    schema: ClassVar[str] = "CREATE TABLE wrong (x);"

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        del position, record
        db.execute("INSERT INTO wrong VALUES (1)")
        msg = "no such thing"
        raise ValueError(msg)


def count(time_ns: int, good: float = 1, **more: Any) -> Counted:  # noqa: ANN401
    return Counted(path=PATH, time_ns=time_ns, good=good, **more)


def test_a_view_catches_up_on_start_and_counts_each_record_once(tmp_path: Path) -> None:
    log = RecordsLog(tmp_path / "log")
    log.append([count(1), count(2)])
    for _ in range(2):
        views = Views(tmp_path / "views.sqlite", [Sums()])
        assert views.catch_up(log) == 2
        assert views.query("SELECT good FROM sums")[0]["good"] == 2
        views.close()
    log.close()


def test_a_changed_schema_folds_the_log_anew(tmp_path: Path) -> None:
    class Wider(Sums):
        schema: ClassVar[str] = """
            CREATE TABLE sums (path TEXT PRIMARY KEY, good REAL, note TEXT);
            CREATE INDEX sums_by_good ON sums (good);
        """

        def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
            del position
            assert isinstance(record, Counted)
            db.execute("INSERT OR REPLACE INTO sums VALUES (?, ?, 'new')", (record.path, record.good))

    log = RecordsLog(tmp_path / "log")
    log.append([count(1, 5), count(2, 3)])
    views = Views(tmp_path / "views.sqlite", [Sums(), Facts()])
    views.catch_up(log)
    views.close()
    views = Views(tmp_path / "views.sqlite", [Wider(), Facts()])
    views.catch_up(log)
    assert tuple(views.query("SELECT good, note FROM sums")[0]) == (3, "new")
    assert len(views.query("SELECT * FROM facts")) == 2
    views.close()
    log.close()


def test_a_view_that_is_wrong_stands_still_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = RecordsLog(tmp_path / "log")
    views = Views(tmp_path / "views.sqlite", [Wrong(), Sums()])
    for time_ns in (1, 2):
        log.append([count(time_ns)])
        assert views.catch_up(log) == time_ns
    assert views.query("SELECT good FROM sums")[0]["good"] == 2
    assert views.query("SELECT * FROM wrong") == []
    assert "view wrong stands still" in caplog.text
    views.close()
    log.close()


def test_the_latest_revision_of_a_key_stands_whatever_comes_after(tmp_path: Path) -> None:
    log = RecordsLog(tmp_path / "log")
    views = Views(tmp_path / "views.sqlite", [Facts()])
    log.append(
        [count(1, 5), count(1, 7, revision=2), count(1, 6, revision=1), count(2), count(2, revision=1, gone=True)]
    )
    views.catch_up(log)
    rows = views.query("SELECT * FROM facts WHERE gone = 0")
    assert records(rows) == [count(1, 7, revision=2)]
    assert (rows[0]["kind"], rows[0]["revision"], rows[0]["position"]) == ("Counted", 2, 2)
    views.close()
    log.close()


def test_a_fact_comes_back_from_the_table_exactly_as_it_was(tmp_path: Path) -> None:
    said = [
        StateChanged(path=PATH, time_ns=1 << 60, state=State.DOWN, native="Störung", stop_code="E7"),
        LinkChanged(path="acme/northgate#conduit/uplink", time_ns=3, up=False, cause="refused"),
        count(9, 0.1 + 0.2),
    ]
    views = Views(tmp_path / "views.sqlite", [Facts()])
    views.apply(enumerate(said, 1))
    assert records(views.query("SELECT body FROM facts ORDER BY position")) == said
    views.close()


def test_readers_in_other_threads_see_whole_transactions_only(tmp_path: Path) -> None:
    views = Views(tmp_path / "views.sqlite", [Facts()])
    seen: set[int] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(views.query("SELECT count(*) FROM facts")[0][0])

    thread = threading.Thread(target=read)
    thread.start()
    for batch in range(20):
        views.apply((batch * 10 + number + 1, count(batch * 10 + number)) for number in range(10))
    done.set()
    thread.join()
    assert all(rows % 10 == 0 for rows in seen)
    views.close()


def test_views_in_the_folder_are_found_by_themselves() -> None:
    assert "facts" in {view.name for view in found_views.found()}


def test_closing_beside_a_thread_that_reads_ends_its_reading_and_nothing_else(tmp_path: Path) -> None:
    views = Views(tmp_path / "views.sqlite", [Sums()])
    views.apply([(n, Counted(path=f"{PATH}{n}", time_ns=n, good=1)) for n in range(1, 400)])
    ended: list[str] = []

    def read() -> None:
        try:
            while True:
                views.query("SELECT count(*) FROM sums AS a, sums AS b")
        except sqlite3.Error as error:
            ended.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    views.close()
    for thread in threads:
        thread.join(10)
    assert len(ended) == len(threads)
    with pytest.raises(sqlite3.ProgrammingError):
        views.query("SELECT 1")


def test_a_full_disk_is_said_as_one_and_the_views_go_on_where_they_were(tmp_path: Path) -> None:
    log, views = RecordsLog(tmp_path / "log"), Views(tmp_path / "views.sqlite", [Facts()])
    [(pages,)] = views._db.execute("PRAGMA page_count").fetchall()
    views._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    log.append([LinkChanged(path=f"acme#conduit/{number:0500}", time_ns=number, up=True) for number in range(100)])
    with pytest.raises(OSError, match="is full"):
        views.catch_up(log)
    assert views.position == 0
    views._db.execute("PRAGMA max_page_count = 100000")
    assert views.catch_up(log) == 100
    assert views.query("SELECT count(*) AS n FROM facts")[0]["n"] == 100
    views.close()
    log.close()
