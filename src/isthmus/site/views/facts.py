"""Every fact by its key, as its latest revision says it. Reruns of folds compare with this table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, ClassVar, Final, Protocol, Union

import msgspec

from isthmus.model.records import Record
from isthmus.model.records import kinds as all_kinds

_OF_KINDS: Final = (
    "SELECT body FROM facts WHERE kind IN (SELECT value FROM json_each(?)) AND time_ns >= ? AND time_ns < ?"
)
_OF_PATH: Final = (
    "SELECT body FROM facts WHERE path = ? AND time_ns >= ? AND time_ns < ? "
    "AND kind || '' IN (SELECT value FROM json_each(?))"
)
_NEWEST_OF: Final = (
    "SELECT body FROM facts WHERE kind = ? AND path = ? AND gone = 0 ORDER BY time_ns DESC, ordinal DESC LIMIT 1"
)
_NEWEST: Final = (
    "SELECT body FROM (SELECT body, row_number() OVER (PARTITION BY kind, path ORDER BY time_ns DESC, ordinal DESC) "
    "AS place FROM facts WHERE kind IN (SELECT value FROM json_each(?)) AND time_ns < ? AND gone = 0) AS newest "
    "WHERE place = 1"
)


class Facts:
    """Table `facts`: `body` is the record as JSON; `gone` is 1 where it is no longer so."""

    name: ClassVar[str] = "facts"
    reads: ClassVar[tuple[type[Record], ...]] = (Record,)
    schema: ClassVar[str] = """
        CREATE TABLE facts (
            kind TEXT NOT NULL, path TEXT NOT NULL, time_ns INTEGER NOT NULL, ordinal INTEGER NOT NULL,
            revision INTEGER NOT NULL, gone INTEGER NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (kind, path, time_ns, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX facts_by_path ON facts (path, time_ns);
        CREATE INDEX facts_by_kind ON facts (kind, time_ns);
    """

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """The latest revision stands; of two with one revision, the later said."""
        body = msgspec.json.encode(record).decode()
        db.execute(
            "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, path, time_ns, ordinal) DO UPDATE SET "
            "revision = excluded.revision, gone = excluded.gone, position = excluded.position, body = excluded.body "
            "WHERE excluded.revision >= facts.revision",
            (*record.key, record.revision, record.gone, position, body),
        )


class Tables(Protocol):
    """What answers questions about the views: the site's `Views`, or a reader beside it."""

    def query(self, sql: str, parameters: Sequence[Any] = ..., /) -> list[sqlite3.Row]:
        """Read."""
        ...


def records(rows: Iterable[sqlite3.Row]) -> list[Record]:
    """The records of rows of `facts` that were read with their `body`."""
    decoder = _decoder()
    return [decoder.decode(row["body"]) for row in rows]


def between(
    views: Tables, kinds: Sequence[type[Record]], start_ns: int, end_ns: int, *, path: str | None = None
) -> list[Record]:
    """The facts of these kinds within [start_ns, end_ns), also those that are gone; of one path or of all."""
    names = msgspec.json.encode([kind.__name__ for kind in kinds]).decode()
    if path is None:
        return records(views.query(_OF_KINDS, (names, start_ns, end_ns)))
    return records(views.query(_OF_PATH, (path, start_ns, end_ns, names)))


def newest(views: Tables, paths: Sequence[str]) -> list[Record]:
    """Of each of these paths and each kind the newest fact that is still so."""
    pairs = [(kind, path) for path in paths for kind in all_kinds()]
    return [record for pair in pairs for record in records(views.query(_NEWEST_OF, pair))]


def newest_before(views: Tables, kinds: Sequence[type[Record]], time_ns: int) -> list[Record]:
    """Of each kind and path the newest fact before a moment that is still so."""
    names = msgspec.json.encode([kind.__name__ for kind in kinds]).decode()
    return records(views.query(_NEWEST, (names, time_ns)))


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    union: Any = Union[tuple(all_kinds().values())]  # noqa: UP007  made at run time
    return msgspec.json.Decoder(union)
