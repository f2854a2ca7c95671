"""A historian and a book of tags in memory, for tests that are about something else than the store.

It keeps the promises of site/historian: a repeat by (source, epoch, seq) is passed over, and of two
samples with one (tag, time) the later arrival stands. It answers `Raw` and `Last`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import Last, Operator, Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, kind_of
from isthmus.site.historian.corrections import Correction

_ANSWER = pa.schema(
    [
        ("tag", pa.int32()),
        ("time_ns", pa.int64()),
        ("status", pa.uint32()),
        ("f64", pa.float64()),
        ("i64", pa.int64()),
        ("str", pa.string()),
    ]
)
_PLACE = {ValueKind.F64: 0, ValueKind.I64: 1, ValueKind.BOOL: 1, ValueKind.STR: 2}
Row = tuple[int, float | None, int | None, str | None]


class MemoryVersion(NamedTuple):
    """The one number that a name has here."""

    id: int
    info: TagInfo
    valid_to_ns: int | None = None


class MemoryTags:
    """Names and numbers, counted from 1."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._infos: dict[int, TagInfo] = {}

    def intern_all(self, infos: Sequence[TagInfo]) -> list[int]:
        for info in infos:
            number = self._numbers.setdefault(info.name, len(self._numbers) + 1)
            self._infos[number] = info
        return [self._numbers[info.name] for info in infos]

    def find(self, name: str) -> int | None:
        return self._numbers.get(name)

    def info(self, tag: int) -> TagInfo:
        return self._infos[tag]

    def versions(self, name: str) -> list[MemoryVersion]:
        number = self._numbers.get(name)
        return [] if number is None else [MemoryVersion(number, self._infos[number])]

    def former(self) -> list[MemoryVersion]:
        return []

    def all(self) -> Mapping[int, TagInfo]:
        return dict(self._infos)


class MemoryHistorian:
    """Samples by tag and time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, dict[int, Row]] = {}
        self._taken: set[tuple[int, int, int]] = set()
        self.full = False
        """True: the disk is full, nothing is taken in."""

    def append(self, batches: Sequence[Batch]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        with self._lock:
            for batch in batches:
                name = (batch.source, batch.epoch, batch.seq)
                if name not in self._taken:
                    self._taken.add(name)
                    self._take(batch)

    def taken(self, source: int, epoch: int, seq: int) -> bool:
        return (source, epoch, seq) in self._taken

    def query(
        self, operator: Operator, tags: Sequence[int], start_ns: int, end_ns: int, *, known_ns: int | None = None
    ) -> pa.Table:
        assert known_ns is None
        assert isinstance(operator, Raw | Last), operator
        found = []
        with self._lock:
            for tag in sorted(tags):
                times = sorted(at for at in self._rows.get(tag, {}) if at < end_ns)
                inside = [at for at in times if at >= start_ns]
                if isinstance(operator, Last):
                    inside = times[-1:]
                elif operator.before and len(inside) < len(times):
                    inside = [times[-len(inside) - 1], *inside]
                found += [(tag, at, *self._rows[tag][at]) for at in inside]
        return pa.table(
            [pa.array([row[at] for row in found], kind.type) for at, kind in enumerate(_ANSWER)], schema=_ANSWER
        )

    def bursts(self, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
        """This one keeps none."""
        raise NotImplementedError((tags, start_ns, end_ns))

    def burst_times(self, tag: int, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """This one keeps none."""
        raise NotImplementedError((tag, start_ns, end_ns))

    def correct(self, said: Sequence[Correction]) -> None:
        """Nobody puts anything right here."""
        raise NotImplementedError(said)

    def corrections(self) -> list[Correction]:
        return []

    def maintain(self) -> None:
        """Nothing is ever due."""

    def _take(self, batch: Batch) -> None:
        if kind_of(batch.columns) is ValueKind.WAVEFORM:
            return  # a burst is no sample
        place = _PLACE[kind_of(batch.columns)]
        for row in batch.columns.to_pylist():
            value: list[float | int | str | None] = [None, None, None]
            value[place] = int(row["value"]) if row["value"] is not None and place == 1 else row["value"]
            self._rows.setdefault(row["tag"], {})[row["time_ns"]] = (row["status"], *value)
