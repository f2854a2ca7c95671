"""Questions about the records of all sites: what was ordered, made, stopped and why, and which lots went where.

A record stands as it was said last: a higher revision replaces a lower one, and one that is `gone` is
left out. Names of people are left out too, unless they are asked for: most questions over sites need none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import msgspec

from isthmus.centre.record_stock import RecordStock
from isthmus.model.errors import StoreDamaged
from isthmus.model.records import kinds
from isthmus.site.records import shipped_log

PEOPLE: Final = frozenset({"by", "asked_by"})
"""Fields that name who said or did something."""
NOBODY: Final = frozenset({"", "machine"})
"""What stands there for a source that says it by itself."""
_SAME: Final = ("kind", "path", "time_ns", "ordinal")


class Asked(NamedTuple):
    """Which records. All that is given holds."""

    start_ns: int
    """Of the record's own time, which is the end of what it tells of; from here on."""
    end_ns: int
    """Until before here."""
    kinds: frozenset[str] = frozenset()
    """None for every kind."""
    path: str = "*"
    """A pattern of `*` and `?`."""
    about: str = ""
    """An order, a lot, a material: one of the record's texts is just this."""
    every: bool = False
    """Each revision, and what is gone, as it was logged."""
    people: bool = False
    """With the names of people."""


class Found(NamedTuple):
    """A record of a site."""

    site: str
    position: int
    """Its place in the site's log, from 1."""
    facts: Mapping[str, Any]
    """By field; fields that were left out have the value that their kind gives them."""


def read(stock: RecordStock, sites: Iterable[str], asked: Asked) -> Iterator[Found]:
    """The records that fit, site by site, in the order of their times. Raises StoreDamaged.

    When a file went meanwhile, because nobody took stock for long, stock is taken and it is read once more.
    """
    for site in sites:
        try:
            found = _of(stock, site, asked)
        except StoreDamaged:
            stock.take()
            found = _of(stock, site, asked)
        yield from found


def fields_of(kind: str) -> tuple[str, ...]:
    """The fields of a kind in the order of its class, without those that every record has; () for an unknown one."""
    known = kinds().get(kind)
    return () if known is None else tuple(name for name in known.__struct_fields__ if name not in _EACH)


def _of(stock: RecordStock, site: str, asked: Asked) -> list[Found]:
    found: dict[object, Found] = {}
    for held in stock.runs(site, asked.start_ns, asked.end_ns):
        for position, facts in shipped_log.said(stock.read(site, held)):
            if not _fits(facts, asked):
                continue
            same = position if asked.every else tuple(facts.get(name, 0) for name in _SAME)
            before = found.get(same)
            if before is None:
                if not asked.about or _names(facts, asked.about):
                    found[same] = Found(site, position, facts)
            elif before.facts.get("revision", 0) <= facts.get("revision", 0):
                found[same] = Found(site, position, facts)  # also one that is of something else now
    rows = [each for each in found.values() if asked.every or not each.facts.get("gone", False)]
    rows = [each for each in rows if not asked.about or _names(each.facts, asked.about)]
    rows.sort(key=lambda each: (each.facts["time_ns"], each.position))
    return [each._replace(facts=_whole(each.facts, people=asked.people)) for each in rows]


def _fits(facts: Mapping[str, Any], asked: Asked) -> bool:
    """Whether a record is asked for, whatever a later revision says in its place."""
    return (
        asked.start_ns <= facts["time_ns"] < asked.end_ns
        and (not asked.kinds or facts["kind"] in asked.kinds)
        and (asked.path == "*" or fnmatchcase(facts["path"], asked.path))
    )


def _names(what: object, text: str) -> bool:
    """Whether a text stands anywhere in a record."""
    if isinstance(what, dict):
        return any(_names(each, text) for name, each in what.items() if name not in PEOPLE)
    if isinstance(what, list | tuple):
        return any(_names(each, text) for each in what)
    return what == text


def _whole(facts: Mapping[str, Any], *, people: bool) -> dict[str, Any]:
    """With the fields that were left out, and without the names of people unless they are asked for."""
    known = kinds().get(facts["kind"])
    out: dict[str, Any] = {"kind": facts["kind"]}
    for field in msgspec.structs.fields(known) if known is not None else ():
        if field.default is not msgspec.NODEFAULT:
            out[field.encode_name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            out[field.encode_name] = field.default_factory()
    out |= facts
    return out if people else {name: _unnamed(name, value) for name, value in out.items()}


def _unnamed(name: str, value: Any) -> Any:  # noqa: ANN401  whatever a record holds
    if name in PEOPLE:
        return value if isinstance(value, str) and value in NOBODY else "-"
    if isinstance(value, dict):
        return {key: _unnamed(key, each) for key, each in value.items()}
    return [_unnamed("", each) for each in value] if isinstance(value, list | tuple) else value


_EACH: Final = frozenset({"path", "time_ns", "ordinal", "revision", "gone"})
