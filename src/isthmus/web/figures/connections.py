"""Sources, conduits and what was lost between them, with how much each source delivers."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from isthmus.model.equipment import named
from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE
from isthmus.web.figures import attention, refusals, sources
from isthmus.web.figures.sources import Source
from isthmus.web.house import House

_STILL_NS: Final = 15 * NS_PER_MINUTE
"""An edge whose source is refused asks again every ten minutes: one that did not is thought to be mended."""


class SourceNow(msgspec.Struct, frozen=True, kw_only=True):
    """One source with what it delivers."""

    source: Source
    title: str
    text: str
    """What is the matter, in words; "" when nothing is."""
    fresh: int
    """How many of its tags had a sample within the last minute."""
    heard: int
    """How many of its tags have any sample."""
    newest_ns: int | None


class ConduitNow(msgspec.Struct, frozen=True, kw_only=True):
    """One conduit as its edge last told of it."""

    name: str
    up: bool
    cut: bool
    """Closed on the OT side, or refused by the site."""
    silent: bool
    """Not closed by anybody, and yet an edge behind it is not heard."""
    since_ns: int
    words: str
    refused: str
    """What the site's own cut is at: cut, lift asked, or "" when there is none."""
    asked_by: str
    """Who asked for it to be lifted."""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """Samples that are not in history, counted."""

    source: str
    time_ns: int
    rows: int
    what: str


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page."""

    sources: tuple[SourceNow, ...]
    conduits: tuple[ConduitNow, ...]
    lost: tuple[Lost, ...]


def all_connections(house: House, now_ns: int) -> Connections:
    """Every source and conduit that was ever told of, and the losses of the last week."""
    return Connections(
        sources=tuple(_source(house, one, now_ns) for one in sources.all_sources(house)),
        conduits=tuple(_conduits(house, now_ns)),
        lost=tuple(_lost(house, now_ns)),
    )


def _source(house: House, source: Source, now_ns: int) -> SourceNow:
    prefix = f"{source.name}/"
    tags = [tag for tag in house.site.namespace.tags() if tag.startswith(prefix)]
    times = [last.time_ns for tag in tags if (last := house.site.namespace.last(tag))]
    title, text = (source.name, "") if source.up else attention.silent_words(house, source, now_ns)
    return SourceNow(
        source=source,
        title=title,
        text=text,
        fresh=sum(now_ns - time_ns < NS_PER_MINUTE for time_ns in times),
        heard=len(times),
        newest_ns=max(times, default=None),
    )


def _conduits(house: House, now_ns: int) -> list[ConduitNow]:
    gates = {row["path"]: row for row in house.site.views.query("SELECT * FROM connections_gate")}
    links = {row["path"]: row for row in house.site.views.query("SELECT * FROM connections_link")}
    refusals_ = refusals.refused(house)
    out = []
    strangers = _strangers(house, now_ns)
    for path in sorted(gates.keys() | links.keys() | refusals_.keys() | strangers.keys()):
        gate, link, refusal = gates.get(path), links.get(path), refusals_.get(path)
        cut = gate is not None and bool(gate["cut"])
        told_up = link is None or bool(link["up"])
        silent = {} if cut or refusal is not None or not told_up else house.site.contact.silent(path, now_ns)
        if refusal is not None:
            words = refusals.refusal_words(refusal)
        elif gate is not None and cut:
            words = f"Cut by {gate['by']} at level {gate['level']}: {gate['reason']}."
        elif silent:
            words = _silence(house, silent)
        elif link is not None and not link["up"]:
            words = f"{link['cause'].rstrip('.')}. {link['waiting_frames']} frames waited on the edge."
        elif gate is not None:
            words = f"Reopened by {gate['by']}: {gate['reason']}."
        else:
            words = "The edge reaches the site."
        said = [row["time_ns"] for row in (gate, link, refusal) if row is not None]
        since = min(silent.values()) if silent else max([*said, *(row["time_ns"] for row in strangers.get(path, ()))])
        out.append(
            ConduitNow(
                name=named(path, "conduit") or path,
                up=not cut and refusal is None and told_up and not silent,
                cut=cut or refusal is not None,
                silent=bool(silent),
                since_ns=since,
                words=" ".join(
                    [words, *(f"Refused from {row['edge']}: {row['why']}." for row in strangers.get(path, ()))]
                ),
                refused=refusal["step"] if refusal is not None else "",
                asked_by=refusal["by"] if refusal is not None and refusal["step"] == "lift asked" else "",
            )
        )
    return out


def _silence(house: House, silent: dict[str, int]) -> str:
    """Who is not heard, since when, and what that means."""
    if "" in silent:
        return f"No edge has been heard since the site began to listen at {house.local.second(silent[''])}."
    who = ", ".join(f"{edge} was last heard at {house.local.second(since_ns)}" for edge, since_ns in silent.items())
    return f"{who}. What an edge reads meanwhile it keeps, and it follows."


def _strangers(house: House, now_ns: int) -> dict[str, list[sqlite3.Row]]:
    """By conduit, who speaks for a source that is not its own: told within the last quarter of an hour, the newest each."""
    rows = house.site.views.query(
        "SELECT * FROM (SELECT told.*, row_number() OVER (PARTITION BY path, edge, source ORDER BY time_ns DESC, "
        "ordinal DESC) AS place FROM connections_refused AS told WHERE time_ns > ?) AS newest WHERE place = 1 "
        "ORDER BY path, edge, source",
        (now_ns - _STILL_NS,),
    )
    out: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        out.setdefault(row["path"], []).append(row)
    return out


def _lost(house: House, now_ns: int) -> list[Lost]:
    since = now_ns - 7 * NS_PER_DAY
    dropped = house.site.views.query("SELECT * FROM connections_dropped WHERE time_ns > ?", (since,))
    aside = house.site.views.query("SELECT * FROM connections_quarantined WHERE time_ns > ?", (since,))
    out = [
        Lost(
            source=named(row["path"], "source") or row["path"],
            time_ns=row["time_ns"],
            rows=row["rows"],
            what=f"dropped by the edge's buffer: {row['why']}",
        )
        for row in dropped
    ]
    for row in aside:
        tags = ", ".join(msgspec.json.decode(row["tags"], type=list[str])[:5])
        what = f"set aside on arrival: {row['why']}" + (f" ({tags})" if tags else "")
        out.append(
            Lost(
                source=named(row["path"], "source") or row["path"], time_ns=row["time_ns"], rows=row["rows"], what=what
            )
        )
    return sorted(out, key=lambda one: -one.time_ns)[:100]
