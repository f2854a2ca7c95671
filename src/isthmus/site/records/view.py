"""What a view is: the log folded into SQLite tables that pages and doors read.

Files in `views/` are found by themselves. A view is dropped and folded anew from the log when its
schema changes, so it holds nothing that the log does not.
"""

from __future__ import annotations

import sqlite3
from typing import ClassVar, Protocol

from isthmus.model.records import Record


class View(Protocol):
    """One set of tables. Records come with every revision; the latest of a key stands."""

    name: ClassVar[str]
    reads: ClassVar[tuple[type[Record], ...]]
    schema: ClassVar[str]
    """CREATE TABLE statements; tables are named `<name>` or `<name>_...`."""

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Fold one record in. Runs inside the transaction that also stores the position."""
        ...
