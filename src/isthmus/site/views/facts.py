"""Every fact by its key, as its latest revision says it. Reruns of folds compare with this table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, Union

import msgspec

from isthmus.model.records import Record, kinds


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
            "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "revision = excluded.revision, gone = excluded.gone, position = excluded.position, body = excluded.body "
            "WHERE excluded.revision >= revision",
            (*record.key, record.revision, record.gone, position, body),
        )


def records(rows: Iterable[sqlite3.Row]) -> list[Record]:
    """The records of rows of `facts` that were read with their `body`."""
    decoder = _decoder()
    return [decoder.decode(row["body"]) for row in rows]


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    union: Any = Union[tuple(kinds().values())]  # noqa: UP007  made at run time
    return msgspec.json.Decoder(union)
