"""Where tables of records and people stand: SQLite beside the log, or PostgreSQL on another machine.

SQL is written once, as SQLite reads it; `site/records/dialect.py` says which of it PostgreSQL is told in other
words. Rows are `sqlite3.Row` and errors `sqlite3.Error` whichever engine answers, so nobody above this
file can tell them apart, but for DatabaseAway: a file is never away.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

BUSY_S: Final = 10.0
Parameters = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that it changed."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401  a row, or None
        """The next row."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One connection, used by one thread at a time; each statement stands by itself unless BEGIN was said."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Cursor:
        """One statement. Raises sqlite3.Error, DatabaseAway."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> object:
        """One statement for each set of parameters."""
        ...

    def executescript(self, sql: str, /) -> object:
        """Several statements without parameters."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Database(Protocol):
    """One place for tables."""

    @property
    def where(self) -> str:
        """As a person is told, without secrets."""
        ...

    def connect(self) -> Connection:
        """A connection that writes. Raises DatabaseAway."""
        ...

    def query(self, sql: str, parameters: Parameters = ...) -> list[sqlite3.Row]:
        """Read, from any thread. Raises sqlite3.Error for a wrong statement, DatabaseAway."""
        ...

    def tables(self, db: Connection) -> list[tuple[str, str]]:
        """Every table and view: its name, and which of both it is."""
        ...

    def close(self) -> None:
        """Close what reads; who reads at this moment gets an sqlite3.Error, and so does who comes later."""
        ...


class _Reader(NamedTuple):
    """One thread's connection, and what is held while it reads."""

    connection: sqlite3.Connection
    lock: threading.Lock


class SqliteDatabase:
    """One file; each thread reads by a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers: list[_Reader] = []
        self._own = threading.local()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    def connect(self) -> sqlite3.Connection:
        """A connection that writes ahead, so that readers never wait."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Read by the thread's own connection."""
        reader = self._reader()
        with reader.lock:
            return reader.connection.execute(sql, parameters).fetchall()

    def tables(self, db: Connection) -> list[tuple[str, str]]:
        """From the file's own list."""
        rows = db.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
        return [(row["name"], row["type"]) for row in rows]

    def close(self) -> None:
        """Close every reader."""
        with self._lock:
            self._closed = True
            for reader in self._readers:
                # SQLite does not survive a connection that is closed while a thread reads by it.
                reader.connection.interrupt()
                with reader.lock:
                    reader.connection.close()
            self._readers.clear()

    def _connect(self) -> sqlite3.Connection:
        # Connections are closed by another thread than the one that used them, never used by two at once.
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        return connection

    def _reader(self) -> _Reader:
        found: _Reader | None = getattr(self._own, "reader", None)
        if found is None:
            with self._lock:
                if self._closed:
                    msg = "the tables are closed"
                    raise sqlite3.ProgrammingError(msg)
                found = _Reader(self._connect(), threading.Lock())
                found.connection.execute("PRAGMA query_only = ON")
                self._readers.append(found)
            self._own.reader = found
        return found
