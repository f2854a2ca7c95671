"""The views on disk: one SQLite file that pages and doors read, folded from the log.

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
from typing import Any, Final, NamedTuple

from isthmus.model.records import Record
from isthmus.site.log import Log
from isthmus.site.view import View

_log = logging.getLogger(__name__)
_BATCH: Final = 5_000
_BUSY_S: Final = 10.0
_KNOWN: Final = "CREATE TABLE IF NOT EXISTS views_known (name TEXT PRIMARY KEY, shape TEXT, position INTEGER)"


class ViewsReader:
    """The tables for reading alone, beside the process that writes them. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        self._db.row_factory = sqlite3.Row

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read. Raises sqlite3.Error for a wrong statement."""
        return self._db.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class _Reader(NamedTuple):
    """One thread's connection, and what is held while it reads."""

    connection: sqlite3.Connection
    lock: threading.Lock


class Views:
    """The tables of all views, kept up with one log."""

    def __init__(self, path: Path, views: Sequence[View]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._views = {view.name: view for view in views}
        self._positions: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._writer = threading.RLock()
        self._closed = False
        self._readers: list[_Reader] = []
        self._reader = threading.local()
        self._db = self._connect()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(_KNOWN)
        for view in views:
            self._prepare(view)

    @property
    def position(self) -> int:
        """The log's position up to which every view that works has folded."""
        return min((at for name, at in self._positions.items() if name not in self._stopped), default=0)

    def query(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """Read, from any thread. Raises sqlite3.Error for a wrong statement."""
        reader = self._own_reader()
        with reader.lock:
            return reader.connection.execute(sql, parameters).fetchall()

    def catch_up(self, log: Log) -> int:
        """Fold in what the log holds behind each view's position; returns the position reached."""
        with self._writer:
            records = log.read(self.position)
            while batch := list(islice(records, _BATCH)):
                self.apply(batch)
            return self.position

    def apply(self, records: Iterable[tuple[int, Record]]) -> None:
        """Fold records in, each with the position behind it, in one transaction. Raises OSError for a full disk."""
        batch = list(records)
        if not batch:
            return
        with self._writer:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for view in self._views.values():
                    self._fold(view, batch)
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                self._positions = {name: at for name, at in self._stored().items() if name in self._views}
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, f"the disk under {self.path} is full") from error
                raise

    def close(self) -> None:
        """Close every connection; who reads at this moment gets an sqlite3.Error, and so does who comes later."""
        with self._writer:
            self._closed = True
            for reader in self._readers:
                # SQLite does not survive a connection that is closed while a thread reads by it.
                reader.connection.interrupt()
                with reader.lock:
                    reader.connection.close()
            self._readers.clear()
            self._db.close()

    def _fold(self, view: View, batch: Sequence[tuple[int, Record]]) -> None:
        done, last = self._positions[view.name], batch[-1][0]
        if view.name in self._stopped or last <= done:
            return
        self._db.execute("SAVEPOINT view")
        try:
            for position, record in batch:
                if position > done and isinstance(record, view.reads):
                    view.apply(self._db, position, record)
            self._db.execute("UPDATE views_known SET position = ? WHERE name = ?", (last, view.name))
        except Exception as error:
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise  # the disk is full or the file is locked: no fault of the view, and it is tried again
            self._db.execute("ROLLBACK TO view")
            self._stopped.add(view.name)
            _log.exception("view %s stands still behind record %d: it is wrong; the others go on", view.name, done)
        else:
            self._positions[view.name] = last
        self._db.execute("RELEASE view")

    def _prepare(self, view: View) -> None:
        """Make a view's tables, or make them anew when its schema is another than the stored one."""
        shape = blake2b(view.schema.encode(), digest_size=16).hexdigest()
        known = self._db.execute("SELECT shape, position FROM views_known WHERE name = ?", (view.name,)).fetchone()
        if known and known["shape"] == shape:
            self._positions[view.name] = known["position"]
            return
        # executescript commits by itself, so the row is written last: until then the view counts as unmade.
        self._db.execute("DELETE FROM views_known WHERE name = ?", (view.name,))
        tables = self._db.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
        for table in tables:
            if table["name"] == view.name or table["name"].startswith(f"{view.name}_"):
                self._db.execute(f'DROP {table["type"]} IF EXISTS "{table["name"]}"')
        self._db.executescript(view.schema)
        self._db.execute("INSERT INTO views_known VALUES (?, ?, 0)", (view.name, shape))
        self._positions[view.name] = 0

    def _stored(self) -> dict[str, int]:
        return {row["name"]: row["position"] for row in self._db.execute("SELECT name, position FROM views_known")}

    def _connect(self) -> sqlite3.Connection:
        # Connections are closed by another thread than the one that used them, never used by two at once.
        connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        return connection

    def _own_reader(self) -> _Reader:
        found: _Reader | None = getattr(self._reader, "own", None)
        if found is None:
            with self._writer:
                if self._closed:
                    msg = "the views are closed"
                    raise sqlite3.ProgrammingError(msg)
                found = _Reader(self._connect(), threading.Lock())
                found.connection.execute("PRAGMA query_only = ON")
                self._readers.append(found)
            self._reader.own = found
        return found
