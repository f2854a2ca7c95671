"""What history consists of, in SQLite: the one place that says which segments count.

    about     key, value          schema version, generation, position of the write-ahead log, and so on
    tag       id, name, ...       see tags.py
    segment   id, day, path, ...  the id orders them: of two rows with one (tag, time) the higher stands
    taken     source, epoch, ...  which frames were taken in, see taken.py
    state     name, rows          the newest sealed sample of each tag: its times are the high-water marks
    snapshot  day, rows           the newest sample of each tag before a UTC day
    correction  tag, time, said, ...  what people put right, see corrections.py

What a seal or a compaction changes, it changes in one transaction. Each transaction that changes the
segments raises the generation by one. A segment that was merged or let go keeps its row, with the
generation at which it went, until no reader can hold it any more and its file is gone.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model.errors import StoreDamaged

NAME: Final = "manifest.sqlite"
SCHEMA_VERSION: Final = 2
BUSY_S: Final = 30.0

_DISK: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
"""What SQLite says of the disk, and not of the file."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT NOT NULL,
    time_of TEXT NOT NULL, step INTEGER NOT NULL, valid_from INTEGER NOT NULL, valid_to INTEGER);
CREATE UNIQUE INDEX IF NOT EXISTS tag_current ON tag (name) WHERE valid_to IS NULL;
CREATE TABLE IF NOT EXISTS segment (
    id INTEGER PRIMARY KEY AUTOINCREMENT, day INTEGER NOT NULL, level INTEGER NOT NULL, path TEXT NOT NULL,
    rows INTEGER NOT NULL, time_min INTEGER NOT NULL, time_max INTEGER NOT NULL,
    tag_min INTEGER NOT NULL, tag_max INTEGER NOT NULL, overlap INTEGER NOT NULL, unit TEXT NOT NULL,
    bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, gone INTEGER, bucket_ns INTEGER NOT NULL DEFAULT 0,
    tags BLOB NOT NULL DEFAULT x'', made_of TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS segment_day ON segment (day) WHERE gone IS NULL;
CREATE TABLE IF NOT EXISTS taken (
    source INTEGER NOT NULL, epoch INTEGER NOT NULL, ranges BLOB NOT NULL, PRIMARY KEY (source, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, rows BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshot (day INTEGER PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS correction (
    tag INTEGER NOT NULL, time INTEGER NOT NULL, said INTEGER NOT NULL, form INTEGER NOT NULL, bits INTEGER NOT NULL,
    word TEXT NOT NULL, status INTEGER NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (tag, time, said));
"""


Packed = bytes


_FROM_1: Final = """
BEGIN IMMEDIATE;
ALTER TABLE segment ADD COLUMN bucket_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN tags BLOB NOT NULL DEFAULT x'';
ALTER TABLE segment ADD COLUMN made_of TEXT NOT NULL DEFAULT '';
UPDATE about SET value = 2 WHERE key = 'schema';
COMMIT;
"""
"""Version 2 knows rollups."""


class Segment(NamedTuple):
    """One sealed file. Times are inclusive on both ends; `path` is relative to the history's folder."""

    id: int
    day: int
    """UTC days since 1970"""
    level: int
    """0 as sealed, higher after each merge"""
    path: str
    rows: int
    time_min: int
    time_max: int
    tag_min: int
    tag_max: int
    overlap: bool
    """True when its (tag, time) may also stand in another segment of the day."""
    unit: str
    bytes: int
    sha256: str
    bucket_ns: int = 0
    """0 for samples; a rollup's bucket, see rollup.py"""
    tags: Packed = b""
    """A rollup's tags and how many usable samples each has, see rollup.py."""
    made_of: str = ""
    """The ids of the segments that a rollup is made of, by comma."""


_COLUMNS: Final = ", ".join(Segment._fields)
_OVERLAP: Final = Segment._fields.index("overlap")


class Manifest:
    """The manifest, opened for writing (one process) or only for reading (any number)."""

    def __init__(self, folder: Path, *, writing: bool = True, name: str = NAME) -> None:
        self.path = folder / name
        self.lock = threading.RLock()
        self._last_id = 0
        mode = "rwc" if writing else "ro&immutable=1" if _settled(self.path) else "ro"
        try:
            self._db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_S,
            )
            if writing:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.executescript(_SCHEMA)
                self._db.execute("INSERT OR IGNORE INTO about VALUES ('schema', ?)", (SCHEMA_VERSION,))
                if self.about("schema") == 1:
                    self._db.executescript(_FROM_1)
            found = self.about("schema")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in _DISK:
                raise _os_error(self.path, error) from error
            msg = (
                f"{self.path} cannot be opened: {error}. `isthmus history rebuild` says what can be made anew of the "
                "files beside it; a backup is put back with `isthmus history restore`"
            )
            raise StoreDamaged(msg) from error
        if found != SCHEMA_VERSION:
            msg = f"{self.path} is of version {found}; this Isthmus reads version {SCHEMA_VERSION}. Install a newer one"
            raise StoreDamaged(msg)

    def close(self, *, single_file: bool = False) -> None:
        """Close the file; with `single_file` nothing beside it belongs to it any more, so it can be moved."""
        with self.lock:
            if single_file:
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on disk at its end. Raises OSError when the disk refuses."""
        with self.lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.OperationalError as error:
                raise _os_error(self.path, error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent look at everything."""
        with self.lock:
            nested = self._db.in_transaction
            if not nested:
                self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                if not nested and self._db.in_transaction:
                    self._db.execute("COMMIT")

    def about(self, key: str, default: int = 0) -> int:
        """One of the numbers that belong to the whole: generation, wal, received_ns, schema."""
        with self.lock:
            row = self._db.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row else default

    def segments(self) -> list[Segment]:
        """Every segment of samples that counts, in the order of their ids."""
        return [each for each in self.files() if not each.bucket_ns]

    def rollups(self) -> list[Segment]:
        """Every rollup that counts, in the order of their ids."""
        return [each for each in self.files() if each.bucket_ns]

    def files(self) -> list[Segment]:
        """Both."""
        with self.lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM segment WHERE gone IS NULL ORDER BY id").fetchall()  # noqa: S608  our own column names
        return [Segment._make(row)._replace(overlap=bool(row[_OVERLAP])) for row in rows]

    def gone(self) -> list[tuple[int, str, int]]:
        """Segments that no longer count but whose file may still be read: id, path, generation."""
        with self.lock:
            return self._db.execute("SELECT id, path, gone FROM segment WHERE gone IS NOT NULL").fetchall()

    def forget(self, ids: Iterable[int]) -> None:
        """The files of these are gone."""
        with self.transaction() as db:
            db.executemany("DELETE FROM segment WHERE id = ? AND gone IS NOT NULL", [(each,) for each in ids])

    def reserve(self, count: int = 1) -> int:
        """The first of `count` ids for new segments. Within a process none is given twice."""
        with self.lock:
            first = max(self.last_given("segment"), self._last_id) + 1
            self._last_id = first + count - 1
        return first

    def last_given(self, table: str) -> int:
        """The highest number that a `segment` or a `tag` ever had, 0 for none."""
        with self.lock:
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(row[0]) if row else 0

    def state(self, name: str) -> bytes | None:
        """A set of rows kept under a name."""
        with self.lock:
            row = self._db.execute("SELECT rows FROM state WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def taken(self) -> list[tuple[int, int, bytes]]:
        """Source, epoch and packed ranges of the frames taken in."""
        with self.lock:
            rows = self._db.execute("SELECT source, epoch, ranges FROM taken").fetchall()
        return [(source, epoch & 0xFFFF_FFFF_FFFF_FFFF, ranges) for source, epoch, ranges in rows]

    def snapshot_days(self) -> list[int]:
        """The days that have a snapshot, in order."""
        with self.lock:
            return [row[0] for row in self._db.execute("SELECT day FROM snapshot ORDER BY day")]

    def snapshot(self, day: int) -> bytes | None:
        """The rows of one day's snapshot."""
        with self.lock:
            row = self._db.execute("SELECT rows FROM snapshot WHERE day = ?", (day,)).fetchone()
        return row[0] if row else None

    def faults(self) -> list[str]:
        """What is wrong with the file itself, page by page; nothing, as a rule."""
        try:
            with self.lock:
                rows = self._db.execute("PRAGMA integrity_check(5)").fetchall()
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [row[0].replace("\n", " ") for row in rows if row[0] != "ok"]

    def backup(self, target: Path) -> None:
        """A consistent copy, while others write. Raises OSError (disk full)."""
        copy = sqlite3.connect(target)
        try:
            with self.lock:
                self._db.backup(copy)
        except sqlite3.OperationalError as error:
            raise _os_error(target, error) from error
        finally:
            copy.close()


def _settled(path: Path) -> bool:
    """Whether nobody can be writing: a disk that may only be read, with nothing beside the manifest."""
    if os.access(path.parent, os.W_OK):
        return False
    beside = path.with_name(path.name + "-wal")
    return not beside.exists() or not beside.stat().st_size


def _os_error(path: Path, error: sqlite3.DatabaseError) -> OSError:
    code = _DISK.get(error.sqlite_errorcode & 0xFF, errno.EIO)
    if code == errno.EIO and not os.statvfs(path.parent).f_bavail:
        code = errno.ENOSPC  # SQLite could not make room beside the file
    return OSError(code, str(error), str(path))


def put_about(db: sqlite3.Connection, key: str, value: int) -> None:
    """Set one of the numbers that belong to the whole."""
    db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))


def put_segments(db: sqlite3.Connection, new: Sequence[Segment], gone: Sequence[int] = ()) -> int:
    """Let `new` count and `gone` count no more; returns the generation that begins with it."""
    marks = ", ".join("?" * len(Segment._fields))
    db.executemany(f"INSERT INTO segment ({_COLUMNS}) VALUES ({marks})", new)  # noqa: S608  our own column names
    row = db.execute("SELECT value FROM about WHERE key = 'generation'").fetchone()
    generation = (int(row[0]) if row else 0) + 1
    put_about(db, "generation", generation)
    db.executemany("UPDATE segment SET gone = ? WHERE id = ?", [(generation, each) for each in gone])
    return generation


def tag_rows(db: sqlite3.Connection) -> list[tuple[int, str, str, str, str, int, int, int | None]]:
    """Every number that was ever given, in order: number, name, kind, unit, time_of, step, valid_from, valid_to."""
    return db.execute(
        "SELECT id, name, kind, unit, time_of, step, valid_from, valid_to FROM tag ORDER BY id"
    ).fetchall()


def put_tags(db: sqlite3.Connection, rows: Iterable[tuple[int, str, str, str, str, int, int, int | None]]) -> None:
    """Let these be all the tags."""
    db.execute("DELETE FROM tag")
    db.executemany("INSERT INTO tag VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def never_again(db: sqlite3.Connection, table: str, last: int) -> None:
    """Give no number up to `last` to a new `segment` or `tag`."""
    if not db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (last, table)).rowcount:
        db.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last))


def put_taken(db: sqlite3.Connection, rows: Iterable[tuple[int, int, bytes]]) -> None:
    """Store which frames were taken in. SQLite's integers are signed: an epoch above 2^63 wraps."""
    signed = [(source, epoch - (1 << 64) if epoch >= 1 << 63 else epoch, ranges) for source, epoch, ranges in rows]
    db.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?, ?)", signed)
