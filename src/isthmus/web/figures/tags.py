"""Tags as they are now, and as they were: last values, trends, raw samples."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
import pyarrow as pa

from isthmus.model import status as st
from isthmus.model.plant import Machine
from isthmus.model.query import Aggregate, Decimate, Gaps, Raw
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.web.figures import sources
from isthmus.web.house import House

MAX_SAMPLES = 500
_LATELY_NS: Final = 2 * NS_PER_S
"""How old the list of names may be that an open page is held against."""
_METERED = frozenset({"Wh", "kWh", "MWh", "J", "kJ", "MJ", "GJ", "m³", "m3", "l", "pcs"})
"""Units of running meters, whose line only ever climbs: worth a look, but not the first."""


class TagNow(msgspec.Struct, frozen=True, kw_only=True):
    """A tag's newest sample."""

    name: str
    unit: str
    kind: str
    value: Any
    """None where the sample carries no value."""
    status: int
    status_words: str
    time_ns: int | None
    """None when no sample ever came."""
    time_of: str
    """Whose clock: the source's, or the edge's at arrival."""
    own: bool
    """True when the machine's own figures are made of it."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One stored sample."""

    tag: str
    time_ns: int
    status: int
    status_words: str
    value: Any
    unit: str


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """One tag over a stretch, thinned so that it looks the same; value null where there was none."""

    tag: str
    unit: str
    step: bool
    start_ns: int
    end_ns: int
    time_s: list[float]
    value: list[float | None]


def machine_tags(house: House, machine: Machine) -> list[TagNow]:
    """Every tag of a machine's sources that the site knows, the machine's own first."""
    own = sources.tags_of(machine)
    names = list(own)
    from_sources = set(sources.sources_of(machine))
    shared = sources.shared(house)
    infos = {info.name: info for info in house.site.tags.all().values()}
    # A source that serves several machines would show every machine the tags of the others.
    names += [
        name
        for name in sorted(infos)
        if name not in own and name.partition("/")[0] in from_sources and name.partition("/")[0] not in shared
    ]
    return [tag_now(house, name, infos.get(name), own=name in own) for name in names]


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """What a tag was before its kind or unit changed."""

    name: str
    """The name to ask by, as press/force#17."""
    kind: str
    unit: str
    until_ns: int


def names(house: House, words: str) -> list[str]:
    """Names of the tags that hold each of the words, in order."""
    wanted = words.lower().split()
    return sorted(
        info.name for info in house.site.tags.all().values() if all(word in info.name.lower() for word in wanted)
    )


def names_lately(house: House, words: str) -> list[str]:
    """As `names`, at most two seconds old: every open page asks several times a second."""
    return _lately(house, words, house.clock() // _LATELY_NS)


def listed(house: House, chosen: list[str]) -> list[tuple[int, TagNow]]:
    """These tags with their numbers, as they are now."""
    own = _in_figures(house)
    numbered = [(name, number) for name in chosen if (number := house.site.tags.find(name)) is not None]
    return [(number, tag_now(house, name, house.site.tags.info(number), own=name in own)) for name, number in numbered]


def number_of(house: House, name: str) -> int | None:
    """The number of a tag, or of a former one, as press/force#17; None for neither."""
    tag, (of, _, former) = house.site.tags.find(name), name.rpartition("#")
    if tag is not None or not former.isdecimal():
        return tag
    return next((each.id for each in house.site.tags.versions(of) if each.id == int(former)), None)


def formers(house: House, name: str) -> list[Former]:
    """What a tag was before, the newest first."""
    return [
        Former(name=f"{name}#{each.id}", kind=str(each.info.kind), unit=each.info.unit, until_ns=each.valid_to_ns)
        for each in reversed(house.site.tags.versions(name))
        if each.valid_to_ns is not None
    ]


@lru_cache(maxsize=16)
def _lately(house: House, words: str, tick: int) -> list[str]:
    del tick
    return names(house, words)


@lru_cache(maxsize=8)
def _in_figures(house: House) -> frozenset[str]:
    """Tags that figures are made of; the plant file of a running site does not change."""
    return frozenset(name for machine in house.site.plant.machines.values() for name in sources.tags_of(machine))


def source_tags(house: House, source: str) -> list[TagNow]:
    """Every tag of a source that the site knows, by name."""
    infos = {info.name: info for info in house.site.tags.all().values()}
    return [tag_now(house, name, infos[name], own=False) for name in sorted(infos) if name.partition("/")[0] == source]


def samples_between(house: House, tags: list[str], start_ns: int, end_ns: int) -> tuple[list[Sample], bool]:
    """Raw samples with those in force at the start, by time; True when there are more than are given."""
    known = {number: name for name in tags if (number := house.site.tags.find(name)) is not None}
    if not known:
        return [], False
    table = house.site.historian.query(Raw(before=True), list(known), start_ns, end_ns)
    infos = {number: house.site.tags.info(number) for number in known}
    rows = rows_of(table, infos)
    rows.sort(key=lambda sample: (sample.time_ns, sample.tag))
    return rows[:MAX_SAMPLES], len(rows) > MAX_SAMPLES


def trend(  # noqa: PLR0913, PLR0917  what a drawing needs
    house: House, tag: str, start_ns: int, end_ns: int, points: int, known_ns: int | None = None
) -> Trend | None:
    """One tag's trend, None when the site does not know it or it carries text; `known_ns` as in Historian.query."""
    asked = number_of(house, tag)
    if asked is None:
        return None
    info = house.site.tags.info(asked)
    if info.kind in {ValueKind.STR, ValueKind.WAVEFORM}:
        return None
    table = house.site.historian.query(Decimate(points=points), [asked], start_ns, end_ns, known_ns=known_ns)
    line = dict.fromkeys(_breaks(house, asked, start_ns, end_ns, points, known_ns))
    line |= dict(zip(table["time_ns"].to_pylist(), map(float, table["value"].to_pylist()), strict=True))
    moments = sorted(line)
    return Trend(
        tag=tag,
        unit=info.unit,
        step=info.step,
        start_ns=start_ns,
        end_ns=end_ns,
        time_s=[moment / 1e9 for moment in moments],
        value=[line[moment] for moment in moments],
    )


def _breaks(  # noqa: PLR0913, PLR0917  as `trend`
    house: House, number: int, start_ns: int, end_ns: int, points: int, known_ns: int | None
) -> list[int]:
    """Where a line must break, since from then on nothing could be believed, longer than a point of it is wide."""
    ask = house.site.historian.query
    days = ask(Aggregate(bucket_ns=NS_PER_DAY), [number], start_ns, end_ns, known_ns=known_ns)
    if days["n"].to_pylist() == days["n_good"].to_pylist():
        return []
    table = ask(Gaps(longer_ns=(end_ns - start_ns) // points), [number], start_ns, end_ns, known_ns=known_ns)
    return [moment for moment in table["start_ns"].to_pylist() if moment > start_ns]


def trendable(tags: list[TagNow]) -> list[TagNow]:
    """Tags that can be drawn as a line: measured ones first, then meters and counters, then switches."""
    drawn = [tag for tag in tags if tag.kind not in {ValueKind.STR, ValueKind.WAVEFORM}]
    return sorted(
        drawn, key=lambda tag: (tag.kind != ValueKind.F64 or tag.unit in _METERED, tag.kind == ValueKind.BOOL)
    )


def tag_now(house: House, name: str, info: TagInfo | None, *, own: bool) -> TagNow:
    """A tag as it is now."""
    last = house.site.namespace.last(name)
    status = last.status if last else st.BAD_WAITING_FOR_INITIAL_DATA
    return TagNow(
        name=name,
        unit=info.unit if info else "",
        kind=str(info.kind) if info else "",
        value=last.value if last else None,
        status=status,
        status_words=st.words(status),
        time_ns=last.time_ns if last else None,
        time_of=info.time_of if info else "source",
        own=own,
    )


def rows_of(table: pa.Table, infos: dict[int, TagInfo]) -> list[Sample]:
    """The rows of a `Raw` answer, each value as its tag's kind has it."""
    out = []
    for row in table.to_pylist():
        info = infos[row["tag"]]
        number = row["i64"] if row["i64"] is not None else row["f64"]
        if info.kind is ValueKind.F64 and number is not None:
            number = float(number)
        if info.kind is ValueKind.BOOL and number is not None:
            number = bool(number)
        out.append(
            Sample(
                tag=info.name,
                time_ns=row["time_ns"],
                status=row["status"],
                status_words=st.words(row["status"]),
                value=row["str"] if info.kind is ValueKind.STR else number,
                unit=info.unit,
            )
        )
    return out
