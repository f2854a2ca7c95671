"""What ran where: runs that began, runs that ended with what came of them, and what people said of jobs."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from isthmus.model.records import Record
from isthmus.model.records.people import JobStarted, JobStopped
from isthmus.model.records.production import RunEnded, RunSettled, RunStarted
from isthmus.site.records import tables

_WHAT = "order_no TEXT NOT NULL, product TEXT NOT NULL, operation TEXT NOT NULL, sequence INTEGER NOT NULL"
_MADE = (
    "good REAL NOT NULL, scrap REAL NOT NULL, rework REAL NOT NULL, run_ns INTEGER NOT NULL, setup_ns INTEGER NOT NULL"
)


class Runs:
    """Tables `runs_started`, `runs_ended`, `runs_settled`; `runs_begun`, `runs_halted` by people; and `runs`.

    `runs` has each run once: `time_ns` is its start, `end_ns` is null while it goes on.
    """

    name: ClassVar[str] = "runs"
    reads: ClassVar[tuple[type[Record], ...]] = (RunStarted, RunEnded, RunSettled, JobStarted, JobStopped)
    schema: ClassVar[str] = (
        tables.facts("runs_started", f"{_WHAT}, by TEXT NOT NULL")
        + tables.facts(
            "runs_ended",
            f"start_ns INTEGER NOT NULL, {_WHAT}, {_MADE}, down_ns INTEGER NOT NULL, "
            "unobserved_ns INTEGER NOT NULL, finished INTEGER NOT NULL",
        )
        + tables.facts(
            "runs_settled",
            f"start_ns INTEGER NOT NULL, {_WHAT}, {_MADE}, first INTEGER NOT NULL, final INTEGER NOT NULL",
        )
        + tables.facts(
            "runs_begun",
            "order_no TEXT NOT NULL, operation TEXT NOT NULL, by TEXT NOT NULL, said_ns INTEGER NOT NULL",
        )
        + tables.facts(
            "runs_halted",
            "order_no TEXT NOT NULL, finished INTEGER NOT NULL, by TEXT NOT NULL, said_ns INTEGER NOT NULL",
        )
        + """
CREATE INDEX runs_started_order ON runs_started (order_no);
CREATE INDEX runs_ended_order ON runs_ended (order_no);
CREATE INDEX runs_ended_start ON runs_ended (path, start_ns);
CREATE VIEW runs AS
SELECT began.path, began.time_ns, over.time_ns AS end_ns, began.order_no, began.product, began.operation,
       began.sequence, began.by, over.finished, ifnull(over.good, 0) AS good, ifnull(over.scrap, 0) AS scrap,
       ifnull(over.rework, 0) AS rework, over.run_ns, over.setup_ns, over.down_ns, over.unobserved_ns
FROM runs_started AS began LEFT JOIN runs_ended AS over
  ON over.path = began.path AND over.start_ns = began.time_ns AND over.order_no = began.order_no;
"""
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put the run, its part or the saying in its place."""
        del position
        if isinstance(record, RunStarted):
            tables.put(db, "runs_started", record, {**_what(record), "by": record.by})
        elif isinstance(record, RunEnded):
            lost = {"down_ns": record.down_ns, "unobserved_ns": record.unobserved_ns, "finished": int(record.finished)}
            tables.put(db, "runs_ended", record, {**_made(record), **_what(record), **lost})
        elif isinstance(record, RunSettled):
            ends = {"first": int(record.first), "final": int(record.final)}
            tables.put(db, "runs_settled", record, {**_made(record), **_what(record), **ends})
        elif isinstance(record, JobStarted):
            said = {"by": record.by, "said_ns": record.said_ns}
            tables.put(db, "runs_begun", record, {"order_no": record.order, "operation": record.operation, **said})
        elif isinstance(record, JobStopped):
            said = {"by": record.by, "said_ns": record.said_ns}
            tables.put(db, "runs_halted", record, {"order_no": record.order, "finished": int(record.finished), **said})


def _what(record: RunStarted | RunEnded | RunSettled) -> dict[str, Any]:
    return {
        "order_no": record.order,
        "product": record.product,
        "operation": record.operation,
        "sequence": record.sequence,
    }


def _made(record: RunEnded | RunSettled) -> dict[str, Any]:
    return {
        "start_ns": record.start_ns,
        "good": record.good,
        "scrap": record.scrap,
        "rework": record.rework,
        "run_ns": record.run_ns,
        "setup_ns": record.setup_ns,
    }
