"""What people put right of a tag: its samples as they are and as they came, and each act with who and why."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec

from isthmus.model.query import Aggregate, Raw
from isthmus.model.time import NS_PER_DAY
from isthmus.site.historian.corrections import Correction
from isthmus.web.figures.tags import Sample, rows_of
from isthmus.web.house import House

MOST: Final = 5_000
"""Samples that are put right at once."""
LISTED: Final = 200
"""Samples that a page lists."""
ACTS: Final = 20
"""Acts that a page lists; the API has them all."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a stretch: as it is, and as it came where somebody put it right."""

    now: Sample
    came: Sample | None
    """None where no device ever sent it, or nobody touched it."""
    said: Correction | None
    """The correction that stands."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody put right in one go."""

    said_ns: int
    by: str
    why: str
    first_ns: int
    last_ns: int
    samples: int
    standing: int
    """Of these, how many nobody put right again since."""
    old: Any
    """Value of the first sample before it; None where there was none to believe."""
    new: Any


def count(house: House, tag: int, start_ns: int, end_ns: int) -> int:
    """How many samples history has of a tag in a stretch: cheap, also of a year."""
    table = house.site.historian.query(Aggregate(bucket_ns=NS_PER_DAY), [tag], start_ns, end_ns)
    return sum(table["n"].to_pylist())


def samples(house: House, tag: int, start_ns: int, end_ns: int, known_ns: int | None = None) -> list[Sample]:
    """The samples of a tag in a stretch, as they were known at `known_ns`; 0 for as they came."""
    table = house.site.historian.query(Raw(), [tag], start_ns, end_ns, known_ns=known_ns)
    return rows_of(table, {tag: house.site.tags.info(tag)})


def stored(house: House, tag: int, start_ns: int, end_ns: int, known_ns: int | None) -> list[Stored]:
    """The samples of a stretch with what was put right of them."""
    standing = {
        each.time_ns: each
        for each in _said(house, tag)
        if start_ns <= each.time_ns < end_ns and (known_ns is None or each.said_ns <= known_ns)
    }
    came = {each.time_ns: each for each in samples(house, tag, start_ns, end_ns, 0)} if standing else {}
    return [
        Stored(
            now=each, came=came.get(each.time_ns) if each.time_ns in standing else None, said=standing.get(each.time_ns)
        )
        for each in samples(house, tag, start_ns, end_ns, known_ns)
    ]


def acts(house: House, tag: int) -> list[Act]:
    """Everything that people put right of a tag, the newest first, at most ACTS."""
    newest: dict[int, int] = {}
    together: defaultdict[tuple[int, str, str], list[Correction]] = defaultdict(list)
    for each in _said(house, tag):
        newest[each.time_ns] = each.said_ns
        together[each.said_ns, each.by, each.why].append(each)
    return [_act(house, tag, together[key], newest) for key in sorted(together, reverse=True)[:ACTS]]


def of_act(house: House, tag: int, said_ns: int) -> list[Correction]:
    """The corrections of an act that nobody put right again since."""
    newest = {each.time_ns: each for each in _said(house, tag)}
    return [each for each in newest.values() if each.said_ns == said_ns]


def _act(house: House, tag: int, said: list[Correction], newest: dict[int, int]) -> Act:
    first = min(said, key=lambda each: each.time_ns)
    before = samples(house, tag, first.time_ns, first.time_ns + 1, first.said_ns - 1)
    return Act(
        said_ns=first.said_ns,
        by=first.by,
        why=first.why,
        first_ns=first.time_ns,
        last_ns=max(each.time_ns for each in said),
        samples=len(said),
        standing=sum(newest[each.time_ns] == each.said_ns for each in said),
        old=before[0].value if before else None,
        new=first.value,
    )


def _said(house: House, tag: int) -> list[Correction]:
    return [each for each in house.site.historian.corrections() if each.tag == tag]
