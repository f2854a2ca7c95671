"""PostgreSQL 14 or newer as the place of records and people; see site/records/database.py.

Everything stands in a schema of its own, `isthmus`. Every statement has a deadline that holds even when
the server only sleeps: a watch cuts the connection, and who waited hears DatabaseAway. Nothing here
tries again but with a connection that had died while nobody used it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from isthmus.model.errors import DatabaseAway, UsageError
from isthmus.site.records import dialect
from isthmus.site.records.database import Connection, Parameters
from isthmus.site.records.dialect import Said, Shape

if TYPE_CHECKING:
    import psycopg

SCHEMA: Final = "isthmus"
DEADLINE_S: Final = 10.0
"""Longest wait for one statement. Tables and their indexes are made empty, so nothing of ours takes long."""
_CONNECT_S: Final = 5
_READERS: Final = 8
_PAUSE_S: Final = 2.0
"""After a failed contact nobody waits for another one for so long: each hears at once that it is away."""
_LOOK_S: Final = 0.5
_OLDEST: Final = 140_000
_SESSION: Final = f"""
SET search_path TO {SCHEMA}, pg_catalog;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000;
"""
"""The server shall notice within half a minute that a line to us was cut: a session that lingers holds the lock."""
_MOST_KNOWN: Final = 2_000
_WRITER: Final = 0x15_74_6D_75
"""Number of the lock that the one writing site holds."""


class PostgresDatabase:
    """One database, for one site. `password` is asked for at each contact, as it may change."""

    def __init__(self, address: str, password: Callable[[], str | None] = lambda: None) -> None:
        try:
            import psycopg  # noqa: F401, PLC0415  an extra
        except ImportError as error:
            msg = "a database of PostgreSQL needs one more library: pip install 'isthmus[postgresql]'"
            raise UsageError(msg) from error
        self._address, self._password = address, password
        self._idle: list[_Connection] = []
        self._room = threading.BoundedSemaphore(_READERS)
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        self._shapes: dict[str, Shape] = {}
        self._rows = _Rows()
        self._failed_at, self._cause = -_PAUSE_S, ""
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._watch_deadlines, daemon=True, name="database watch")
        self._watch.start()

    @property
    def where(self) -> str:
        """The address, without a password."""
        parts = urlsplit(self._address)
        return f"PostgreSQL at {parts.hostname or 'this machine'}:{parts.port or 5432}{parts.path}"

    def connect(self) -> Connection:
        """A connection that writes; makes the schema where there is none."""
        made = self._connect(DEADLINE_S)
        try:
            made.plain(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            made.plain(dialect.WORDS)
        except BaseException:
            made.close()
            raise
        return made

    def lock(self, db: Connection) -> None:
        """Be the one site that writes, as long as the connection holds. Raises DatabaseAway when another is."""
        if not db.execute("SELECT pg_try_advisory_lock(?) AS got", (_WRITER,)).fetchone()["got"]:
            msg = f"{self.where} is written by another site, or by a session of ours that has not ended yet"
            raise DatabaseAway(msg)
        db.execute("SET synchronous_commit = off")  # tables are made from the log: a crash costs seconds of folding

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Read by one of a few connections."""
        if not self._room.acquire(timeout=DEADLINE_S):
            msg = f"{self.where}: all {_READERS} connections that read are busy"
            raise DatabaseAway(msg)
        try:
            with self._lock:
                reader = self._idle.pop() if self._idle else None
            if reader is not None:
                try:
                    return self._read(reader, sql, parameters)
                except DatabaseAway:
                    self._forget_idle()  # the server was started anew since: all of them are dead
            return self._read(self._reader(), sql, parameters)
        finally:
            self._room.release()

    def tables(self, db: Connection) -> list[tuple[str, str]]:
        """From the schema's list."""
        rows = db.execute(
            "SELECT table_name AS name, table_type AS type FROM information_schema.tables WHERE table_schema = ?",
            (SCHEMA,),
        ).fetchall()
        return [(row["name"], "view" if row["type"] == "VIEW" else "table") for row in rows]

    def close(self) -> None:
        """Close every connection; those at work are cut."""
        self._closed.set()
        self._forget_idle()
        with self._lock:
            left = list(self._open)
        for connection in left:
            connection.cut()

    def _connect(self, deadline_s: float, *, read: bool = False) -> _Connection:
        import psycopg  # noqa: PLC0415  an extra

        if self._closed.is_set():
            msg = "the tables are closed"
            raise sqlite3.ProgrammingError(msg)
        if time.monotonic() - self._failed_at < _PAUSE_S:
            raise DatabaseAway(self._cause)
        try:
            password = self._password()
        except UsageError as error:
            raise DatabaseAway(str(error)) from error
        try:
            raw = psycopg.connect(
                self._address,
                password=password,
                autocommit=True,
                connect_timeout=_CONNECT_S,
                application_name="isthmus",
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=3,
                tcp_user_timeout=int(deadline_s * 1000),
                cursor_factory=psycopg.ClientCursor if read else psycopg.Cursor,
            )
        except psycopg.Error as error:
            self._cause = f"{self.where}: {_first_line(error)}"
            self._failed_at = time.monotonic()
            raise DatabaseAway(self._cause) from error
        if raw.info.server_version < _OLDEST:
            raw.close()
            msg = f"{self.where} is version {raw.info.server_version // 10_000}; it must be 14 or newer"
            raise DatabaseAway(msg)
        made = _Connection(self, raw, deadline_s)
        with self._lock:
            self._open.add(made)
        made.plain(_SESSION)
        return made

    def _reader(self) -> _Connection:
        made = self._connect(DEADLINE_S, read=True)
        made.plain("SET default_transaction_read_only = on")
        return made

    def _read(self, reader: _Connection, sql: str, parameters: Parameters) -> list[sqlite3.Row]:
        try:
            found = reader.execute(sql, parameters).fetchall()
        except DatabaseAway:
            reader.close()
            raise
        except BaseException:
            self._give_back(reader)
            raise
        self._give_back(reader)
        return found

    def _give_back(self, reader: _Connection) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._idle.append(reader)
                return
        reader.close()

    def _forget_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def shape(self, db: _Connection, table: str) -> Shape:
        """A table's columns and key, asked once."""
        found = self._shapes.get(table)
        if found is None:
            columns = db.execute(
                "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? "
                "ORDER BY ordinal_position",
                (SCHEMA, table),
            ).fetchall()
            key = db.execute(
                "SELECT a.attname AS name FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
                "AND a.attnum = ANY(i.indkey) WHERE i.indisprimary AND i.indrelid = CAST(? AS regclass)",
                (f"{SCHEMA}.{table}",),
            ).fetchall()
            found = Shape(tuple(row["name"] for row in columns), tuple(row["name"] for row in key))
            self._shapes[table] = found
        return found

    def shapes_changed(self) -> None:
        """Tables were made anew."""
        self._shapes.clear()

    def row_factory(self, cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], sqlite3.Row]:
        """How psycopg makes rows."""
        return self._rows.of(tuple(column.name for column in cursor.description or ()))

    def gone(self, connection: _Connection) -> None:
        """A connection is closed."""
        with self._lock:
            self._open.discard(connection)

    def _watch_deadlines(self) -> None:
        while not self._closed.wait(_LOOK_S):
            now = time.monotonic()
            with self._lock:
                late = [each for each in self._open if each.since_s and now - each.since_s > each.deadline_s]
            for connection in late:
                connection.cut()


class _Connection:
    """One connection, with SQLite's words, rows and errors."""

    def __init__(self, database: PostgresDatabase, raw: psycopg.Connection[Any], deadline_s: float) -> None:
        self._database, self._raw, self.deadline_s = database, raw, deadline_s
        self.since_s = 0.0
        """When the statement that is under way began; 0 where none is."""
        self._known: dict[str, Said] = {}
        raw.row_factory = database.row_factory
        _adapt(raw)

    def execute(self, sql: str, parameters: Parameters = (), /) -> psycopg.Cursor[Any]:
        """One statement."""
        said = self._said(sql)
        given = dialect.arranged(said.order, parameters)
        with self._at_work():
            return self._raw.execute(said.sql, given)

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> object:
        """One statement for each set, in one journey."""
        said = self._said(sql)
        with self._at_work():
            cursor = self._raw.cursor()
            cursor.executemany(said.sql, [dialect.arranged(said.order, each) for each in parameters])
            return cursor

    def _said(self, sql: str) -> Said:
        found = self._known.get(sql)
        if found is None:
            found = dialect.said(sql, lambda table: self._database.shape(self, table))
            if len(self._known) < _MOST_KNOWN:
                self._known[sql] = found
        return found

    def executescript(self, sql: str, /) -> object:
        """Statements that make tables."""
        self._known.clear()
        self._database.shapes_changed()
        return self.plain(dialect.script(sql))

    def plain(self, sql: str) -> object:
        """Statements in PostgreSQL's own words, without parameters."""
        with self._at_work():
            return self._raw.execute(sql.encode())

    def close(self) -> None:
        """Close it."""
        self._database.gone(self)
        with contextlib.suppress(Exception):  # it is given up whatever it says
            self._raw.close()

    def cut(self) -> None:
        """Cut the line under whoever waits on it: from another thread the connection itself must not be touched."""
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(self._raw.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Within the deadline, and with SQLite's errors."""
        import psycopg  # noqa: PLC0415  an extra

        self.since_s = time.monotonic()
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            late = time.monotonic() - self.since_s > self.deadline_s
            why = f"it did not answer within {self.deadline_s:.0f} s" if late else _first_line(error)
            msg = f"{self._database.where}: {why}"
            raise DatabaseAway(msg) from error
        except psycopg.IntegrityError as error:
            raise sqlite3.IntegrityError(_first_line(error)) from error
        except psycopg.Error as error:
            raise sqlite3.ProgrammingError(_first_line(error)) from error
        finally:
            self.since_s = 0.0


class _Rows:
    """Makes `sqlite3.Row` of values that did not come from SQLite: the class wants a cursor for its names alone."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._lock = threading.Lock()
        self._cursors: dict[tuple[str, ...], sqlite3.Cursor] = {}

    def of(self, names: tuple[str, ...]) -> Callable[[Sequence[Any]], sqlite3.Row]:
        """A maker of rows with these names."""
        with self._lock:
            cursor = self._cursors.get(names)
            if cursor is None:
                columns = ", ".join('NULL AS "' + name.replace('"', '""') + '"' for name in names) or "NULL"
                cursor = self._cursors[names] = self._db.execute(f"SELECT {columns}")
        return lambda values: sqlite3.Row(cursor, tuple(values))


def _adapt(raw: psycopg.Connection[Any]) -> None:
    """Values as SQLite takes and gives them."""
    from psycopg.adapt import Loader  # noqa: PLC0415  an extra
    from psycopg.types.numeric import Int8Dumper  # noqa: PLC0415  as above
    from psycopg.types.string import StrDumper  # noqa: PLC0415  as above

    class Whole(Int8Dumper):
        """An int or a bool, of 64 bits always: the statement's plan is the same for each."""

        def dump(self, obj: Any) -> bytes:  # noqa: ANN401
            return str(int(obj)).encode()

    class Text(StrDumper):
        """A text; PostgreSQL knows no NUL, and what a device says may hold one."""

        def dump(self, obj: str) -> Any:  # noqa: ANN401
            return super().dump(obj.replace("\0", "\ufffd"))

    class Number(Loader):
        """A sum of whole numbers is one too."""

        def load(self, data: Any) -> int | float:  # noqa: ANN401
            text = bytes(data).decode()
            return float(text) if "." in text or not text.lstrip("-").isdigit() else int(text)

    raw.adapters.register_dumper(int, Whole)
    raw.adapters.register_dumper(bool, Whole)
    raw.adapters.register_dumper(str, Text)
    raw.adapters.register_loader("numeric", Number)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
