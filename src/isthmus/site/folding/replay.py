"""Folds a stretch of the past again under another plant file, beside the running site, and writes nothing.

"What would last March look like under the new OEE policy": the same folds, the same samples, the same
sayings of people; only the plant file differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from isthmus.model.records import Key, Record
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, Interval
from isthmus.site.folding.checkpoints import begun, kept_before
from isthmus.site.folding.merge import History, Want
from isthmus.site.folding.unit import Unit
from isthmus.site.historian.reader import Reader
from isthmus.site.records.database import Database
from isthmus.site.records.views_db import ViewsReader
from isthmus.site.views import facts

_STRETCH_NS: Final = 2 * NS_PER_HOUR


class Difference(NamedTuple):
    """One fact as it stands and as it would be; None where there is none."""

    now: Record | None
    then: Record | None


def replay(  # noqa: PLR0913  where, what, when, and where the facts stand
    folder: Path,
    unit: Unit,
    kinds: tuple[type[Record], ...],
    start_ns: int,
    end_ns: int,
    *,
    database: Database | None = None,
) -> Iterator[Difference]:
    """What would differ among the facts of these kinds within [start_ns, end_ns), in order of time.

    `folder` is the site's data folder. Begins with the states that the site kept before the stretch;
    where it kept none, a day earlier, but not before the site began to fold. Facts are read from
    `database` where the site has one.
    """
    views = ViewsReader(folder / "views.sqlite") if database is None else database
    try:
        with Reader(folder / "history") as history:
            folded = _folded(folder, unit, history, views, Interval(start_ns, end_ns))
            would = {fact.key: fact for fact in folded if isinstance(fact, kinds)}
        stands = facts.between(views, kinds, start_ns, end_ns, path=unit.path)
    finally:
        if database is None:
            views.close()
    is_so = {fact.key: fact for fact in stands if not fact.gone}
    for key in sorted(is_so.keys() | would.keys(), key=_place):
        now, then = is_so.get(key), would.get(key)
        if now is None or then is None or _content(now) != _content(then):
            yield Difference(now, then)


def _folded(folder: Path, unit: Unit, history: Reader, views: facts.Tables, span: Interval) -> Iterator[Record]:
    start_ns, end_ns = span
    origin = begun(folder / "checkpoints.sqlite", unit.path) or 0
    kept = kept_before(folder / "checkpoints.sqlite", unit.path, unit.shape, start_ns)
    moment = kept or unit.fresh(max(start_ns - NS_PER_DAY, origin))
    known = [] if kept else facts.newest_before(views, unit.reads, moment.time_ns)
    first = kept is None
    samples = History(history, history.tags)
    while moment.time_ns < end_ns:
        end = min(moment.time_ns + _STRETCH_NS, end_ns)
        series = samples.read(Want(unit.tags, moment.time_ns, end, before=first))
        said = known + facts.between(views, unit.reads, moment.time_ns, end)
        outside = [record for record in said if not record.gone and unit.concerns(record)]
        folded = unit.fold(moment, end, series, outside)
        yield from (fact for fact in folded.facts if fact.time_ns >= start_ns)
        moment, known, first = unit.moment(end, folded.states), [], False


def _content(fact: Record) -> dict[str, object]:
    """What a fact says, but for its revision and the name of its policy."""
    said: dict[str, object] = msgspec.structs.asdict(fact)
    return {name: value for name, value in said.items() if name not in {"revision", "policy"}}


def _place(key: Key) -> tuple[int, str, int]:
    return key.time_ns, key.kind, key.ordinal
