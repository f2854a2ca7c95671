"""What views share: tables keyed like facts, in which the highest revision stands and `gone` removes.

Two shapes serve every view. A table of *facts* has a row per key. A table of the *latest* has a row
per path, the newest fact of it; the facts behind it stand in `<table>_all`, so that a fact taken
back uncovers the one before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from isthmus.model.records import Record

_KEY: Final = "path TEXT NOT NULL, time_ns INTEGER NOT NULL, ordinal INTEGER NOT NULL, revision INTEGER NOT NULL"


Row = Mapping[str, Any]


def facts(table: str, columns: str) -> str:
    """CREATE TABLE for one row per key; `columns` are further SQL column definitions."""
    return f"CREATE TABLE {table} ({_KEY}, {columns}, PRIMARY KEY (path, time_ns, ordinal)) WITHOUT ROWID;\n"


def latest(table: str, columns: str) -> str:
    """CREATE TABLE for one row per path, and for the facts behind it."""
    return f"CREATE TABLE {table} ({_KEY}, {columns}, PRIMARY KEY (path)) WITHOUT ROWID;\n" + facts(
        f"{table}_all", columns
    )


def put(db: sqlite3.Connection, table: str, record: Record, values: Row) -> bool:
    """Let one record take its place among the facts; False when a higher revision already stands there."""
    key = (record.path, record.time_ns, record.ordinal)
    row = db.execute(
        f"SELECT revision FROM {table} WHERE path = ? AND time_ns = ? AND ordinal = ?",  # noqa: S608  our own name
        key,
    ).fetchone()
    if row is not None and row[0] > record.revision:
        return False
    if record.gone:
        db.execute(f"DELETE FROM {table} WHERE path = ? AND time_ns = ? AND ordinal = ?", key)  # noqa: S608  as above
        return True
    names = ", ".join(("path", "time_ns", "ordinal", "revision", *values))
    marks = ", ".join("?" * (4 + len(values)))
    db.execute(
        f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})",  # noqa: S608  as above
        (*key, record.revision, *values.values()),
    )
    return True


def put_latest(db: sqlite3.Connection, table: str, record: Record, values: Row) -> None:
    """Let one record take its place, and let the newest fact of its path stand in `table`."""
    if not put(db, f"{table}_all", record, values):
        return
    db.execute(f"DELETE FROM {table} WHERE path = ?", (record.path,))  # noqa: S608  our own name
    db.execute(
        f"INSERT INTO {table} SELECT * FROM {table}_all WHERE path = ? ORDER BY time_ns DESC, ordinal DESC LIMIT 1",  # noqa: S608
        (record.path,),
    )
