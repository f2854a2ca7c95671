"""What the log of records promises; `site/records/records_log.py` keeps it on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from isthmus.model.records import Record


class Log(Protocol):
    """An append-only, hash-chained sequence of records."""

    def append(self, records: Sequence[Record]) -> int:
        """Append; on disk when this returns. The position behind them. Raises OSError with nothing appended."""
        ...

    def read(self, position: int) -> Iterator[tuple[int, Record]]:
        """Records from `position` on, each with the position behind it. Position 0 is the beginning."""
        ...
