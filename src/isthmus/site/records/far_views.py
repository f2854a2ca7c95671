"""Views in a database that may be away: they are either as new as the log, or they say so.

A thread of its own makes contact and folds what was missed; nobody who appends waits for it. While the
tables lag, every question is answered with DatabaseAway, so that neither a page nor a door nor a fold
works from what is out of date.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from isthmus.model.errors import DatabaseAway
from isthmus.site.records.database import Parameters
from isthmus.site.records.log import Log
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.records.view import View
from isthmus.site.records.views_db import Views

_log: Final = logging.getLogger(__name__)
_AGAIN_S: Final = 2.0
_FIRST_S: Final = 15.0
"""How long a site that starts waits for its tables; it goes on without them then."""
_TELL_S: Final = 5.0


class NamedLog(Log, Protocol):
    """A log that is told from others by its first frame."""

    first: str

    @property
    def position(self) -> int:
        """The position behind the newest record."""
        ...


class FarViews:
    """`Views` over a database that is reached by a network; the same verbs."""

    def __init__(self, database: PostgresDatabase, views: Sequence[View], log: NamedLog) -> None:
        self.database = database
        self.back: Callable[[], None] = lambda: None
        """Called by the thread of its own each time the tables are as new as the log again."""
        self._views, self._log = views, log
        self._tables: Views | None = None
        self._cause = f"{database.where} was not reached yet"
        self._lock = threading.RLock()
        self._lost, self._current, self._closed = threading.Event(), threading.Event(), threading.Event()
        self._lost.set()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="views")
        self._thread.start()
        self._current.wait(_FIRST_S)

    @property
    def position(self) -> int:
        """The log's position up to which every view that works has folded; 0 while nobody knows."""
        tables = self._tables
        return tables.position if tables is not None else 0

    @property
    def away(self) -> str:
        """Why the tables cannot be read, "" when they can."""
        return "" if self._current.is_set() else self._cause

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Read, from any thread. Raises sqlite3.Error for a wrong statement, DatabaseAway while the tables lag."""
        if not self._current.is_set():
            raise DatabaseAway(self._cause)
        return self.database.query(sql, parameters)

    def catch_up(self, log: Log) -> int:
        """Fold in what the log holds; while the database is away its own thread does so later."""
        if self._current.is_set():
            with self._lock:
                self._fold(log)
        return self.position

    def close(self) -> None:
        """Close every connection."""
        self._closed.set()
        self._lost.set()
        self.database.close()
        self._thread.join(_FIRST_S)
        with self._lock:
            if self._tables is not None:
                self._tables.release()

    def _contact(self) -> Views:
        """The tables, as far as they were folded. Raises DatabaseAway."""
        if self._tables is None:
            self._tables = Views(self.database, self._views)
            self._tables.belongs_to(self._log.first, self._log.position)
        return self._tables

    def _fold(self, log: Log) -> bool:
        """Whether the tables are as new as the log now."""
        try:
            self._contact().catch_up(log)
        except DatabaseAway as error:
            self._lose(error)
            return False
        return True

    def _lose(self, error: DatabaseAway) -> None:
        if str(error) != self._cause:
            _log.warning("pages and the business system wait: %s; the site goes on taking in", error)
        self._cause = str(error)
        self._current.clear()
        if self._tables is not None:
            self._tables.release()
            self._tables = None
        self._lost.set()

    def _keep(self) -> None:
        """Make contact, fold what was missed without holding anybody up, and come back."""
        while not self._closed.is_set():
            self._lost.wait()
            try:
                caught_up = not self._closed.is_set() and self._return()
            except sqlite3.Error as error:
                caught_up = False
                if not self._closed.is_set():
                    _log.exception("the tables of records are wrong; it is tried again")
                    self._cause = f"{self.database.where}: {error}"
            if not caught_up:
                self._closed.wait(_AGAIN_S)

    def _return(self) -> bool:
        told = time.monotonic()
        try:
            with self._lock:
                tables = self._contact()
            while (left := self._log.position - tables.position) > 0 and not self._closed.is_set():
                if time.monotonic() - told > _TELL_S:
                    self._cause = f"tables in {self.database.where} are made from the log: {left:,} records are left"
                    _log.info("%s", self._cause)
                    told = time.monotonic()
                before = tables.position
                tables.step(self._log)
                if tables.position == before:
                    break  # every view that is left stands still
        except DatabaseAway as error:
            with self._lock:
                self._lose(error)
            return False
        with self._lock:
            if not self._fold(self._log):
                return False
            tables.belongs_to(self._log.first, self._log.position)
            self._lost.clear()
            self._current.set()
        self.back()
        return True
