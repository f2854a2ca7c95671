"""What a fold is given over a stretch: its samples, cut at the records it reads, and those records.

At equal times samples come before records; so a record at `t` stands between a stretch that ends at
t + 1 ns and one that begins there. Records of one time come by kind, path and ordinal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.calendar import Calendar, shifts_between
from isthmus.model.fold import Item
from isthmus.model.query import Operator, Raw
from isthmus.model.records import Record
from isthmus.model.records.site import Tick
from isthmus.model.samples import Samples, Series, ValueKind
from isthmus.model.time import NS_PER_MINUTE
from isthmus.site.tags import Tags

_NEAR_NS: Final = 2 * NS_PER_MINUTE


class Asked(Protocol):
    """What answers questions about samples: the historian, or a reader beside it."""

    def query(self, operator: Operator, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
        """As `Historian.query`."""
        ...


def items(
    tags: Sequence[str], series: Mapping[str, Series], records: Sequence[Record], start_ns: int, end_ns: int
) -> Iterator[Item]:
    """One fold's input over [start_ns, end_ns), in order; `records` stand within it, in any order.

    A fold with tags is given every stretch, also one without samples: time went on in it.
    """
    records = sorted(records, key=lambda one: (one.time_ns, type(one).__name__, one.path, one.ordinal))
    if not tags:
        yield from records
        return
    mine = {tag: series[tag] for tag in tags if tag in series}
    moments = [(time_ns, list(at)) for time_ns, at in groupby(records, key=lambda one: one.time_ns)]
    edges = [start_ns, *(max(time_ns + 1, start_ns) for time_ns, _ in moments), end_ns]
    cuts = {tag: np.searchsorted(one.time_ns, edges).tolist() for tag, one in mine.items()}
    for index, (begin, end) in enumerate(pairwise(edges)):
        if begin < end:
            yield Samples(begin, end, _slice(mine, cuts, index))
        if index < len(moments):
            yield from moments[index][1]


def ticks(path: str, calendar: Calendar, zone: ZoneInfo, start_ns: int, end_ns: int) -> list[Record]:
    """A tick at each whole minute and at each edge of a shift within [start_ns, end_ns)."""
    first = -(-start_ns // NS_PER_MINUTE) * NS_PER_MINUTE
    moments = set(range(first, end_ns, NS_PER_MINUTE))
    for shift in shifts_between(calendar, zone, start_ns - 1, end_ns):
        moments.update(edge for edge in (shift.start_ns, shift.end_ns) if start_ns <= edge < end_ns)
    return [Tick(path=path, time_ns=moment) for moment in sorted(moments)]


class Want(NamedTuple):
    """Samples that somebody needs: of these tags, over [start_ns, end_ns)."""

    names: Sequence[str]
    start_ns: int
    end_ns: int
    before: bool = False
    """True: also what was in force at the start, as if it had been said then."""


class History:
    """Reads samples by the names of their tags."""

    def __init__(self, historian: Asked, tags: Tags) -> None:
        self._historian, self._tags = historian, tags
        self._numbers: dict[str, tuple[int, list[int]]] = {}

    def numbers(self, name: str) -> list[int]:
        """The numbers behind which a tag's samples stand, also from before its unit changed; of one kind."""
        now = self._tags.find(name)
        if now is None:
            return []
        known = self._numbers.get(name)
        if known is None or known[0] != now:
            kind = self._tags.info(now).kind
            known = (now, [version.id for version in self._tags.versions(name) if version.info.kind == kind])
            self._numbers[name] = known
        return known[1]

    def read(self, want: Want) -> dict[str, Series]:
        """The samples as columns by tag; a tag without any is absent."""
        numbers = {name: self.numbers(name) for name in want.names}
        wanted = sorted({number for found in numbers.values() for number in found})
        if not wanted or want.start_ns >= want.end_ns:
            return {}
        table = self._historian.query(Raw(before=want.before), wanted, want.start_ns, want.end_ns)
        tag = table.column("tag").to_numpy()
        lows, highs = np.searchsorted(tag, wanted).tolist(), np.searchsorted(tag, wanted, side="right").tolist()
        where = {number: (low, high) for number, low, high in zip(wanted, lows, highs, strict=True) if low < high}
        out: dict[str, Series] = {}
        for name, found in numbers.items():
            parts = [
                _series(table.slice(low, high - low), self._tags.info(number).kind)
                for number in found
                if number in where
                for low, high in [where[number]]
            ]
            if parts:
                series = parts[0] if len(parts) == 1 else _joined(parts)
                out[name] = _from(series, want.start_ns) if want.before else series
        return out

    def read_all(self, wants: Sequence[Want]) -> list[dict[str, Series]]:
        """Each as `read`. What lies near the newest end is asked for together: one question, not one a machine."""
        newest = max((want.end_ns for want in wants), default=0)
        near = [want for want in wants if _is_near(want, newest)]
        if len(near) < 2:  # noqa: PLR2004  one question either way
            return [self.read(want) for want in wants]
        names = tuple(dict.fromkeys(name for want in near for name in want.names))
        together = self.read(Want(names, min(want.start_ns for want in near), newest))
        return [_window(together, want) if _is_near(want, newest) else self.read(want) for want in wants]


def _is_near(want: Want, newest_ns: int) -> bool:
    return want.start_ns >= newest_ns - _NEAR_NS and not want.before


def _from(series: Series, start_ns: int) -> Series:
    """What stood before the start counts as said at the start; only the last of it, and only if nothing else was."""
    first = max(int(np.searchsorted(series.time_ns, start_ns, side="right")) - 1, 0)
    time_ns = np.maximum(series.time_ns[first:], start_ns)
    return Series(time_ns, series.status[first:], series.value[first:], series.has_value[first:])


def _window(series: Mapping[str, Series], want: Want) -> dict[str, Series]:
    mine = {name: series[name] for name in want.names if name in series}
    edges = (want.start_ns, want.end_ns)
    return _slice(mine, {name: np.searchsorted(one.time_ns, edges).tolist() for name, one in mine.items()}, 0)


def _joined(parts: Sequence[Series]) -> Series:
    """Samples of several numbers of one tag, in time order; at equal times the later number stands."""
    time_ns = np.concatenate([part.time_ns for part in parts])
    order = np.argsort(time_ns, kind="stable")
    last = np.append(np.diff(time_ns[order]) != 0, np.True_)
    rows = order[last]
    return Series(*(np.concatenate([part[column] for part in parts])[rows] for column in range(4)))


def _series(table: pa.Table, kind: ValueKind) -> Series:
    column = {ValueKind.F64: "f64", ValueKind.STR: "str"}.get(kind, "i64")
    given = table.column(column).combine_chunks()
    has = given.is_valid().to_numpy(zero_copy_only=False)
    value: NDArray[Any]
    if kind is ValueKind.STR:
        value = np.array(given.to_pylist(), dtype=object)
    else:
        value = given.fill_null(0).to_numpy(zero_copy_only=False)
    if kind is ValueKind.BOOL:
        value = value.astype(np.bool_)
    return Series(table.column("time_ns").to_numpy(), table.column("status").to_numpy().astype(np.uint32), value, has)


def _slice(series: Mapping[str, Series], cuts: Mapping[str, Sequence[int]], index: int) -> dict[str, Series]:
    out: dict[str, Series] = {}
    for tag, one in series.items():
        low, high = cuts[tag][index], cuts[tag][index + 1]
        if low < high:
            part = slice(low, high)
            out[tag] = Series(one.time_ns[part], one.status[part], one.value[part], one.has_value[part])
    return out
