"""The record of an audit in a folder of its own: a hash-chained log, and tables made from it.

    audit/log              everything that was ever said or decided, in order
    audit/views.sqlite     made from the log; may be thrown away
    audit/settings.json    the plant's name, its zones, conduits and own ranges
    audit/advisories.gz    the advisories that were held against it last, for what changes after

It needs nothing else: no site, no plant file. One command at a time writes.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import sqlite3
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from isthmus.assets.csaf import Library
from isthmus.assets.decided import ended
from isthmus.model.equipment import beside
from isthmus.model.errors import IsthmusError, UsageError
from isthmus.model.records import Record
from isthmus.model.records.assets import AssetDecided, SourceRead
from isthmus.run.auditing.facts import AuditFacts, Settings
from isthmus.site import views as folder_of_views
from isthmus.site.records.records_log import RecordsLog
from isthmus.site.records.views_db import Views

_CHUNK: Final = 1 << 20
_ADVISORIES: Final = "advisories.gz"


class AuditStore(AuditFacts):
    """An audit's folder, open. Raises UsageError for a folder that is another command's now."""

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        self.folder = folder
        if not make and not (folder / "settings.json").exists():
            msg = f"{folder} holds no audit yet; begin with isthmus audit import FILE --into {folder}"
            raise UsageError(msg)
        if (folder / "log").exists() and not (folder / "settings.json").exists():
            msg = f"{folder} is a site's data, which its own process writes; give the audit a folder of its own, and "
            msg += "its record to the site with isthmus audit hand-over"
            raise UsageError(msg)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (folder / "audit.lock").open("w")
        except OSError as error:
            msg = f"{folder} cannot be written: {error.strerror}"
            raise IsthmusError(msg) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            msg = f"{folder} is in use by another isthmus audit command; wait until it ends"
            raise UsageError(msg) from error
        self._closed = False
        self.settings = self._read_settings()
        self.log = RecordsLog(folder / "log")
        self.views = self._views()
        self.views.catch_up(self.log)
        if over := ended(self.all(AssetDecided), time.time_ns()):
            self.append(over)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the log and the tables, and let others in."""
        self.close_stores()
        self._lock.close()

    def close_stores(self) -> None:
        """Close the log and the tables but keep others out: a site takes them over."""
        if not self._closed:
            self._closed = True
            self.log.close()
            self.views.close()

    def declare(self, settings: Settings) -> None:
        """Keep what the plant says of itself."""
        self.settings = settings
        waiting = self.folder / "settings.json.new"
        waiting.write_bytes(msgspec.json.format(msgspec.json.encode(settings)))
        waiting.replace(self.folder / "settings.json")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows of the tables made from the log."""
        return self.views.query(sql, parameters)

    def append(self, records: Sequence[Record]) -> None:
        """Log facts; in the tables when this returns."""
        self.log.append(records)
        self.views.catch_up(self.log)

    def library(self) -> Library | None:
        """The advisories that were held against the record last. None where there are none, or they cannot be read."""
        try:
            with gzip.open(self.folder / _ADVISORIES, "rb") as file:
                return msgspec.json.decode(file.read(), type=Library)
        except (OSError, EOFError, zlib.error, msgspec.MsgspecError):
            return None

    def keep_library(self, library: Library) -> None:
        """Keep the advisories beside the record, so that what changes later is held against them too."""
        waiting = self.folder / f"{_ADVISORIES}.new"
        with gzip.open(waiting, "wb", compresslevel=3) as file:
            file.write(msgspec.json.encode(library))
        waiting.replace(self.folder / _ADVISORIES)

    def has_source(self, digest: str) -> bool:
        """Whether a file with these bytes was read before."""
        path = beside(self.settings.path, "audit-source", digest)
        return bool(self.views.query("SELECT 1 FROM assets_sources WHERE path = ?", (path,)))

    def source_names(self) -> dict[str, str]:
        """By digest, the name under which a capture or list was read."""
        rows = self.views.query("SELECT path, name FROM assets_sources")
        return {row["path"].rpartition("/")[2]: row["name"] for row in rows}

    def sources(self) -> list[SourceRead]:
        """Everything that was read."""
        rows: list[Any] = self.views.query("SELECT * FROM assets_sources ORDER BY said_ns, path")
        return [
            SourceRead(
                path=row["path"],
                time_ns=row["said_ns"],
                name=row["name"],
                what=row["what"],
                by=row["by"],
                said_ns=row["said_ns"],
                packets=row["packets"],
                not_fitting=tuple(msgspec.json.decode(row["not_fitting"], type=list[str])),
            )
            for row in rows
        ]

    def _views(self) -> Views:
        """The tables; those that are damaged are made anew, since all of it stands in the log."""
        path = self.folder / "views.sqlite"
        try:
            return Views(path, folder_of_views.found())
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # no room, no right: not the file's fault
                raise
            for one in (path, path.with_name("views.sqlite-wal"), path.with_name("views.sqlite-shm")):
                one.unlink(missing_ok=True)
            return Views(path, folder_of_views.found())

    def _read_settings(self) -> Settings:
        file = self.folder / "settings.json"
        if not file.exists():
            settings = Settings()
            self.settings = settings
            self.declare(settings)
            return settings
        try:
            return msgspec.json.decode(file.read_bytes(), type=Settings)
        except msgspec.DecodeError as error:
            msg = f"{file} cannot be read: {error}\n    Mend it, or take it away to begin with none."
            raise UsageError(msg) from error


def digest_of(path: Path) -> str:
    """A file's name by its bytes: the same file under another name is the same source."""
    hashed = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()
