"""The states of every machine as intervals: from `time_ns` to `end_ns`, which is null for the last one."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from isthmus.model.records import Record
from isthmus.model.records.production import StateChanged
from isthmus.site.records import tables

_RELINK = """
UPDATE states SET end_ns = (
    SELECT later.time_ns FROM states AS later
    WHERE later.path = states.path AND (later.time_ns, later.ordinal) > (states.time_ns, states.ordinal)
    ORDER BY later.time_ns, later.ordinal LIMIT 1)
WHERE path = :path AND time_ns <= :time AND time_ns >= ifnull(
    (SELECT max(before.time_ns) FROM states AS before WHERE before.path = :path AND before.time_ns < :time), 0)
"""


class States:
    """Table `states`: path, time_ns, end_ns, state, native, stop_code."""

    name: ClassVar[str] = "states"
    reads: ClassVar[tuple[type[Record], ...]] = (StateChanged,)
    schema: ClassVar[str] = tables.facts(
        "states", "end_ns INTEGER, state TEXT NOT NULL, native TEXT NOT NULL, stop_code TEXT NOT NULL"
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put the state in its place; only it and the one before it change their ends."""
        del position
        assert isinstance(record, StateChanged)  # noqa: S101  `reads` says so
        values = {"state": str(record.state), "native": record.native, "stop_code": record.stop_code}
        if tables.put(db, "states", record, values):
            db.execute(_RELINK, {"path": record.path, "time": record.time_ns})
