"""The views on disk: tables that pages and doors read, folded from the log, in SQLite or PostgreSQL.

One writer, any number of readers. Each view's position is stored in the transaction that changed its
tables, so after a crash it goes on exactly where it was. A view whose schema changed is dropped and
folded anew. A view that raises is a bug: it is told and stands still, the others go on.
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final, cast

import msgspec

from isthmus.model.errors import DatabaseAway
from isthmus.model.records import Record
from isthmus.site.records.database import BUSY_S, Database, Parameters, SqliteDatabase
from isthmus.site.records.log import Log
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.records.view import View

_log = logging.getLogger(__name__)
_BATCH: Final = 5_000
_KNOWN: Final = """
CREATE TABLE IF NOT EXISTS views_known (name TEXT PRIMARY KEY, shape TEXT, position INTEGER);
CREATE TABLE IF NOT EXISTS views_log (number INTEGER PRIMARY KEY, first TEXT NOT NULL);
"""


class ViewsReader:
    """The tables for reading alone, beside the process that writes them. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
        self._db.row_factory = sqlite3.Row

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Read. Raises sqlite3.Error for a wrong statement."""
        return self._db.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class Views:
    """The tables of all views, kept up with one log. A path is a SQLite file's."""

    def __init__(self, place: Path | Database, views: Sequence[View]) -> None:
        self.database: Database = SqliteDatabase(place) if isinstance(place, Path) else place
        self._views = {view.name: view for view in views}
        self._positions: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._writer = threading.RLock()
        # A view is written for sqlite3's connection; another engine's answers to the same verbs.
        self._db = cast("sqlite3.Connection", self.database.connect())
        try:
            if isinstance(self.database, PostgresDatabase):
                self.database.lock(self._db)
            self._db.executescript(_KNOWN)
            for view in views:
                self._prepare(view)
        except BaseException:
            self._db.close()  # it may hold the lock of the one who writes
            raise

    @property
    def position(self) -> int:
        """The log's position up to which every view that works has folded."""
        return min((at for name, at in self._positions.items() if name not in self._stopped), default=0)

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Read, from any thread. Raises sqlite3.Error for a wrong statement, DatabaseAway."""
        return self.database.query(sql, parameters)

    def belongs_to(self, first: str, position: int) -> None:
        """Fold anew from the beginning where the tables were made from another log, or from more of it.

        `first` names a log by the hash of its first frame; "" for one that is empty.
        """
        stored = self._db.execute("SELECT first FROM views_log").fetchone()
        with self._writer:
            if (stored and stored[0] and stored[0] != first) or max(self._positions.values(), default=0) > position:
                _log.warning("the tables in %s were made from another log; they are made anew", self.database.where)
                self._db.execute("DELETE FROM views_known")
                for view in self._views.values():
                    self._prepare(view)
            self._db.execute("INSERT OR REPLACE INTO views_log VALUES (1, ?)", (first,))

    def catch_up(self, log: Log) -> int:
        """Fold in what the log holds behind each view's position; returns the position reached."""
        with self._writer:
            records = log.read(self.position)
            while batch := list(islice(records, _BATCH)):
                self.apply(batch)
            return self.position

    def step(self, log: Log) -> None:
        """Fold in the next few thousand records alone."""
        with self._writer:
            self.apply(islice(log.read(self.position), _BATCH))

    def apply(self, records: Iterable[tuple[int, Record]]) -> None:
        """Fold records in, each with the position behind it, in one transaction. Raises OSError for a full disk."""
        batch = list(records)
        if not batch:
            return
        with self._writer:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._note([view.name for view in self._views.values() if self._fold(view, batch)], batch[-1][0])
                self._db.execute("COMMIT")
            except (sqlite3.Error, DatabaseAway) as error:
                if isinstance(error, DatabaseAway):
                    raise
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                self._positions = {name: at for name, at in self._stored().items() if name in self._views}
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, f"the disk under {self.database.where} is full") from error
                raise

    def close(self) -> None:
        """Close every connection; who reads at this moment gets an sqlite3.Error, and so does who comes later."""
        with self._writer:
            self.database.close()
            self._db.close()

    def release(self) -> None:
        """Close the connection that writes alone: another `Views` may be made over the same database."""
        with self._writer:
            self._db.close()

    def _fold(self, view: View, batch: Sequence[tuple[int, Record]]) -> bool:
        """Fold the batch into one view; False where it stands still."""
        done = self._positions[view.name]
        wanted = [each for each in batch if each[0] > done and isinstance(each[1], view.reads)]
        if view.name in self._stopped or not wanted:
            return view.name not in self._stopped
        self._db.execute("SAVEPOINT view")
        try:
            for position, record in wanted:
                view.apply(self._db, position, record)
        except Exception as error:
            if _passes(error):
                raise  # no fault of the view, and it is tried again
            self._db.execute("ROLLBACK TO view")
            self._stopped.add(view.name)
            _log.exception("view %s stands still behind record %d: it is wrong; the others go on", view.name, done)
        self._db.execute("RELEASE view")
        return view.name not in self._stopped

    def _note(self, names: Iterable[str], position: int) -> None:
        """How far these views are, where that is further than before; in the transaction that made them so."""
        moved = [name for name in names if self._positions[name] < position]
        said = msgspec.json.encode(moved).decode()
        self._db.execute(
            "UPDATE views_known SET position = ? WHERE name IN (SELECT value FROM json_each(?))", (position, said)
        )
        self._positions.update(dict.fromkeys(moved, position))

    def _prepare(self, view: View) -> None:
        """Make a view's tables, or make them anew when its schema is another than the stored one."""
        shape = blake2b(view.schema.encode(), digest_size=16).hexdigest()
        known = self._db.execute("SELECT shape, position FROM views_known WHERE name = ?", (view.name,)).fetchone()
        if known and known["shape"] == shape:
            self._positions[view.name] = known["position"]
            return
        # executescript commits by itself, so the row is written last: until then the view counts as unmade.
        self._db.execute("DELETE FROM views_known WHERE name = ?", (view.name,))
        tables = [
            (name, what)
            for name, what in self.database.tables(self._db)
            if name == view.name or name.startswith(f"{view.name}_")
        ]
        # An SQL view goes before the tables that it reads.
        for name, what in sorted(tables, key=lambda each: each[1] != "view"):
            self._db.execute(f'DROP {what} IF EXISTS "{name}"')
        self._db.executescript(view.schema)
        self._db.execute("INSERT INTO views_known VALUES (?, ?, 0)", (view.name, shape))
        self._positions[view.name] = 0

    def _stored(self) -> dict[str, int]:
        return {row["name"]: row["position"] for row in self._db.execute("SELECT name, position FROM views_known")}


def _passes(error: Exception) -> bool:
    """The disk is full, the file is locked, the server is away."""
    return isinstance(error, DatabaseAway) or (
        isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR
    )
