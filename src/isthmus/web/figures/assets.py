"""The asset record as pages show it: filtered and paged in the database, however many assets there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from isthmus.model.inventory import ROLES
from isthmus.model.records.assets import (
    AssetAdvised,
    AssetDecided,
    AssetFinding,
    AssetKnown,
    Field,
    FlowSeen,
)
from isthmus.web import words
from isthmus.web.figures import asked as asked_
from isthmus.web.house import House

PAGE: Final = 50
SORTS: Final[Mapping[str, tuple[str, str]]] = {
    "name": ("name", "k.name = '', k.name, k.id"),
    "address": ("address", "k.address = '', k.address, k.id"),
    "seen": ("last seen, newest first", "k.last_ns DESC, k.id"),
    "new": ("first seen, newest first", "k.first_ns DESC, k.id"),
    "maker": ("maker and model", "k.maker = '', k.maker, k.model, k.id"),
    "weak": (
        "advisories, worst first",
        "CASE WHEN a.answer = 'affected' THEN 0 ELSE 1 END, coalesce(a.score, 0) DESC, k.id",
    ),
    "gaps": ("record, emptiest first", "k.filled, k.id"),
}
"""By name, what a person calls the order and the SQL of it."""
_SENSITIVE_SORTS: Final = frozenset({"address", "weak"})
_MOST_FLOWS: Final = 200
_DRAWN: Final = 400


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a person looks for; "" for everything."""

    words: str = ""
    zone: str = ""
    role: str = ""
    maker: str = ""
    state: str = ""
    answer: str = ""
    sort: str = "name"
    page: int = 1

    def query(self, **changes: str | int) -> str:
        """The address's query with some of it changed."""
        from urllib.parse import urlencode  # noqa: PLC0415  small

        names = {"words": "q"}
        told = {name: changes.get(name, getattr(self, name)) for name in self.__struct_fields__}
        usual = {"sort": "name", "page": 1}
        kept = {names.get(name, name): value for name, value in told.items() if value not in ("", usual.get(name))}
        return urlencode(kept)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the inventory."""

    rows: Sequence[sqlite3.Row]
    total: int
    """Assets that fit."""
    everything: int
    findings: Mapping[str, int]
    """Open findings by asset of the page."""

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, -(-self.total // PAGE))


def asked(query: Mapping[str, str], *, details: bool) -> Asked:
    """What the address asks for; what somebody may not see he may not search or sort by."""
    page = query.get("page", "1")
    sort = query.get("sort", "name")
    known = sort in SORTS and (details or sort not in _SENSITIVE_SORTS)
    return Asked(
        words=query.get("q", "").strip()[:120],
        zone=query.get("zone", ""),
        role=query.get("role", ""),
        maker=query.get("maker", ""),
        state=query.get("state", ""),
        answer=query.get("answer", "") if details else "",
        sort=sort if known else "name",
        page=max(1, int(page)) if page.isdigit() and len(page) < 7 else 1,  # noqa: PLR2004  a page, not a number to overflow
    )


def listed(house: House, what: Asked, *, details: bool) -> Listed:
    """The page that was asked for."""
    where, values = _where(what, details=details)
    join = "FROM assets_known k LEFT JOIN assets_advised a ON a.id = k.id LEFT JOIN assets_words w ON w.id = k.id"
    views = house.site.views
    total = int(views.query(f"SELECT count(*) AS n {join} {where}", values)[0]["n"])
    page = min(what.page, max(1, -(-total // PAGE)))
    order = SORTS[what.sort][1]
    rows = views.query(
        f"SELECT k.*, a.answer, a.score {join} {where} ORDER BY {order} LIMIT ? OFFSET ?",
        (*values, PAGE, (page - 1) * PAGE),
    )
    names = msgspec.json.encode([row["id"] for row in rows]).decode()
    counts = views.query(
        "SELECT o.asset, count(*) AS n FROM assets_finding_of o JOIN assets_findings f ON f.id = o.finding "
        "WHERE o.asset IN (SELECT value FROM json_each(?)) AND f.state = 'staged' AND f.rank < 3 GROUP BY o.asset",
        (names,),
    )
    everything = int(views.query("SELECT count(*) AS n FROM assets_known")[0]["n"])
    return Listed(rows=rows, total=total, everything=everything, findings={row["asset"]: row["n"] for row in counts})


def _where(what: Asked, *, details: bool) -> tuple[str, list[str]]:
    parts: list[str] = []
    values: list[str] = []
    for column in ("zone", "role", "maker", "state"):
        said = getattr(what, column)
        if said:
            parts.append(f"k.{column} = ?")
            values.append("" if said == "-" else said)
    if what.answer:
        parts.append("coalesce(a.answer, 'no data') = ?")
        values.append(what.answer)
    searched = "w.words" if details else "lower(k.name || ' ' || k.maker || ' ' || k.model || ' ' || k.location)"
    for word in what.words.lower().split()[:8]:
        parts.append(f"instr({searched}, ?) > 0")
        values.append(word)
    return ("WHERE " + " AND ".join(parts) if parts else ""), values


def choices(house: House) -> dict[str, list[tuple[str, str, int]]]:
    """For each filter what there is: value, as people say it, how many."""
    out: dict[str, list[tuple[str, str, int]]] = {}
    for column in ("zone", "role", "maker", "state"):
        rows = house.site.views.query(
            f"SELECT {column} AS value, count(*) AS n FROM assets_known GROUP BY {column} ORDER BY n DESC, value LIMIT 60"  # noqa: S608  our own names
        )
        out[column] = [(row["value"] or "-", _said(column, row["value"]), row["n"]) for row in rows]
    return out


def _said(column: str, value: str) -> str:
    if column == "role":
        return ROLES.get(value, value)
    return value or {"zone": "no zone", "maker": "not known"}.get(column, words.NOTHING)


def completeness(house: House) -> list[sqlite3.Row]:
    """By zone how many assets there are and how full their record is."""
    return house.site.views.query(
        "SELECT zone, count(*) AS n, avg(filled) AS filled FROM assets_known GROUP BY zone ORDER BY n DESC, zone LIMIT 20"
    )


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a field, over all ways of knowing it."""

    name: str
    value: str
    how: str
    methods: tuple[str, ...]
    confidence: float
    first_ns: int
    last_ns: int
    source: str
    frame: int


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """One asset with everything around it."""

    id: str
    known: AssetKnown
    state: str
    values: tuple[Value, ...]
    modules: Sequence[sqlite3.Row]
    parent: Sequence[sqlite3.Row]
    flows: Sequence[FlowSeen]
    peers: Mapping[str, tuple[str, str]]
    """By address the id and name of what stands there."""
    findings: Sequence[tuple[AssetFinding, str]]
    advised: AssetAdvised | None
    decided: Sequence[AssetDecided]
    past: Sequence[tuple[int, str]]
    """When the record changed, and what in it."""


def whole(house: House, name: str) -> Whole | None:
    """The asset of an id, or of an id that it had before; None when there is none."""
    views = house.site.views
    rows = views.query(
        "SELECT k.id, k.state, b.body FROM assets_known k JOIN assets_body b ON b.id = k.id "
        "WHERE k.id IN (SELECT id FROM assets_alias WHERE alias = ?) LIMIT 1",
        (name,),
    )
    if not rows:
        return None
    known = msgspec.json.decode(rows[0]["body"], type=AssetKnown)
    own = rows[0]["id"]
    places = [row["place"] for row in views.query("SELECT place FROM assets_place WHERE id = ?", (own,))]
    flows = _flows(house, places)
    ends = sorted({end for flow in flows for end in (flow.client, flow.server)} - set(places))
    advised = views.query("SELECT body FROM assets_advised WHERE id = ?", (own,))
    decided = _decided(house, known.aliases)
    return Whole(
        id=own,
        known=known,
        state=rows[0]["state"],
        values=tuple(collapsed([*_just_said(decided, known.time_ns), *known.fields])),
        modules=views.query("SELECT * FROM assets_known WHERE parent = ? AND id <> ? ORDER BY model, id", (own, own)),
        parent=views.query("SELECT * FROM assets_known WHERE id = ?", (known.parent,)),
        flows=flows,
        peers=_peers(house, ends),
        findings=_findings_of(house, own),
        advised=msgspec.json.decode(advised[0]["body"], type=AssetAdvised) if advised else None,
        decided=decided,
        past=_past(house, known.path),
    )


def _just_said(decided: Sequence[AssetDecided], known_ns: int) -> list[Field]:
    """What people said since the record was judged last; the newest first."""
    return [
        Field(
            name=name,
            value=value,
            how="accepted",
            method=f"said by {said.by}",
            confidence=1.0,
            first_ns=said.said_ns,
            last_ns=said.said_ns,
        )
        for said in decided
        if said.decision == "set" and said.said_ns > known_ns
        for name, value in said.fields.items()
    ]


def collapsed(fields: Sequence[Field]) -> list[Value]:
    """The same value known in several ways is one line; the surest way leads."""
    out: dict[tuple[str, str], Value] = {}
    ordered = sorted(fields, key=lambda field: field.name)
    for field in ordered:
        before = out.get((field.name, field.value))
        if before is None:
            out[field.name, field.value] = Value(
                name=field.name,
                value=field.value,
                how=field.how,
                methods=(field.method,),
                confidence=field.confidence,
                first_ns=field.first_ns,
                last_ns=field.last_ns,
                source=field.source,
                frame=field.frame,
            )
            continue
        out[field.name, field.value] = Value(
            name=before.name,
            value=before.value,
            how=before.how,
            methods=tuple(dict.fromkeys([*before.methods, field.method])),
            confidence=max(before.confidence, field.confidence),
            first_ns=min(before.first_ns, field.first_ns),
            last_ns=max(before.last_ns, field.last_ns),
            source=before.source or field.source,
            frame=before.frame or field.frame,
        )
    return list(out.values())


def _flows(house: House, places: Sequence[str]) -> list[FlowSeen]:
    names = msgspec.json.encode(list(places)).decode()
    rows = house.site.views.query(
        "SELECT body FROM assets_flows WHERE client IN (SELECT value FROM json_each(?1)) "
        "UNION SELECT body FROM assets_flows WHERE server IN (SELECT value FROM json_each(?1)) LIMIT ?2",
        (names, _MOST_FLOWS * 4),
    )
    flows = [msgspec.json.decode(row["body"], type=FlowSeen) for row in rows]
    flows.sort(key=lambda flow: (flow.act in ("read", "other", "identify"), -flow.packets, flow.time_ns))
    return flows[:_MOST_FLOWS]


def _peers(house: House, ends: Sequence[str]) -> dict[str, tuple[str, str]]:
    rows = house.site.views.query(
        "SELECT p.place, k.id, k.name, k.model FROM assets_place p JOIN assets_known k ON k.id = p.id "
        "WHERE p.place IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(list(ends)).decode(),),
    )
    return {row["place"]: (row["id"], row["name"] or row["model"]) for row in rows}


def _findings_of(house: House, name: str) -> list[tuple[AssetFinding, str]]:
    rows = house.site.views.query(
        "SELECT f.body, f.state FROM assets_finding_of o JOIN assets_findings f ON f.id = o.finding "
        "WHERE o.asset = ? AND f.rank < 3 ORDER BY f.state <> 'staged', f.rank, f.id LIMIT 100",
        (name,),
    )
    return [(msgspec.json.decode(row["body"], type=AssetFinding), row["state"]) for row in rows]


def _decided(house: House, aliases: Sequence[str]) -> list[AssetDecided]:
    rows = house.site.views.query(
        "SELECT body FROM assets_decided WHERE of IN (SELECT value FROM json_each(?)) ORDER BY said_ns DESC LIMIT 100",
        (msgspec.json.encode(list(aliases)).decode(),),
    )
    return [msgspec.json.decode(row["body"], type=AssetDecided) for row in rows]


def _past(house: House, path: str) -> list[tuple[int, str]]:
    """What of the standing values changed from one judgement to the next, the newest first."""
    rows = house.site.views.query(
        "SELECT body FROM facts WHERE kind = 'AssetKnown' AND path = ? ORDER BY time_ns DESC LIMIT 40", (path,)
    )
    states = [msgspec.json.decode(row["body"], type=AssetKnown) for row in reversed(rows)]
    out = []
    for index, one in enumerate(states):
        if index == 0:
            out.append((one.time_ns, "first known"))
            continue
        before = states[index - 1]
        names = dict.fromkeys(field.name for field in (*before.fields, *one.fields))
        changed = [
            f"{name}: {before.best(name) or words.NOTHING} became {one.best(name) or words.NOTHING}"
            for name in names
            if before.best(name) != one.best(name)
        ]
        if one.role != before.role:
            changed.append(f"role: {ROLES.get(before.role)} became {ROLES.get(one.role)}")
        out.append((one.time_ns, "; ".join(changed) or "seen again, nothing else changed"))
    return out[::-1]


def findings(house: House, state: str, severity: str, what: str) -> tuple[list[tuple[AssetFinding, str]], int]:
    """Findings to work through, the worst first, at most a hundred, and how many there are."""
    parts, values = ["rank < 3"], []
    for column, said in (("state", state), ("severity", severity), ("what", what)):
        if said:
            parts.append(f"{column} = ?")
            values.append(said)
    where = " AND ".join(parts)
    views = house.site.views
    total = views.query(f"SELECT count(*) AS n FROM assets_findings WHERE {where}", values)[0]["n"]  # noqa: S608  ours
    rows = views.query(
        f"SELECT body, state FROM assets_findings WHERE {where} ORDER BY rank, last_ns DESC, id LIMIT 100",  # noqa: S608
        values,
    )
    return [(msgspec.json.decode(row["body"], type=AssetFinding), row["state"]) for row in rows], int(total)


def names(house: House, ids: Sequence[str]) -> dict[str, str]:
    """What these assets are called."""
    rows = house.site.views.query(
        "SELECT id, name, model, address, mac FROM assets_known WHERE id IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(sorted(set(ids))).decode(),),
    )
    return {row["id"]: row["name"] or row["model"] or row["address"] or row["mac"] or row["id"] for row in rows}


def waiting(house: House) -> int:
    """How many findings of high severity wait for a person."""
    rows = house.site.views.query("SELECT count(*) AS n FROM assets_findings WHERE state = 'staged' AND rank = 0")
    return int(rows[0]["n"])


def source_names(house: House) -> dict[str, str]:
    """By digest, the name under which something was read."""
    rows = house.site.views.query("SELECT path, name FROM assets_sources")
    return {row["path"].rpartition("/")[2]: row["name"] for row in rows}


def drawn(house: House) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """Nodes and edges of the map; with many assets a node stands for a role within a zone."""
    views = house.site.views
    single = int(views.query("SELECT count(*) AS n FROM assets_known WHERE parent = ''")[0]["n"]) <= 60  # noqa: PLR2004  as many as a page can show by name
    node = "id" if single else "zone || '/' || role"
    nodes: list[Any] = views.query(
        f"SELECT {node} AS key, zone, role, count(*) AS n, min(CASE WHEN name <> '' THEN name WHEN model <> '' "  # noqa: S608  ours
        f"THEN model ELSE address END) AS label FROM assets_known WHERE parent = '' GROUP BY {'id' if single else 'zone, role'} ORDER BY zone, role, label"
    )
    edges: list[Any] = views.query(
        f"""
        WITH here AS (
            SELECT p.place, max(k.{"id" if single else "zone || '/' || k.role"}) AS key
            FROM assets_place p JOIN assets_known k ON k.id = p.id WHERE k.parent = '' GROUP BY p.place
        )
        SELECT c.key AS client, coalesce(s.key, '*') AS server, group_concat(DISTINCT nullif(f.service, '')) AS services,
            count(*) AS n
        FROM assets_flows f JOIN here c ON c.place = f.client LEFT JOIN here s ON s.place = f.server
        WHERE f.client <> f.server AND (s.key IS NOT NULL OR {_OUTSIDE})
        GROUP BY 1, 2 ORDER BY n DESC, client, server LIMIT ?
        """,  # noqa: S608  of our own pieces
        (_DRAWN,),
    )
    ours, asks = asked_.asked(house, _sources_drawn(house, single=single), single=single)
    return [*map(dict, nodes), *ours], [*map(dict, edges), *asks], single


def _sources_drawn(house: House, *, single: bool) -> dict[str, tuple[str, str]]:
    """By source, the dot of the device that it reads, and its zone, where the record has the device."""
    views = house.site.views
    if not views.query("SELECT address FROM connections_source LIMIT 1"):
        return {}
    rows = views.query(
        "SELECT k.id, k.zone, k.role, b.body FROM assets_body AS b "
        "JOIN assets_known AS k ON k.id = b.id AND k.parent = '' "
        """WHERE b.body LIKE '%"name":"source"%' ORDER BY k.id"""
    )
    return {
        source: (row["id"] if single else f"{row['zone']}/{row['role']}", row["zone"])
        for row in rows
        for source in _sources_of(row["body"])
    }


def _sources_of(body: str) -> list[str]:
    """The sources that read a device, as its body says."""
    fields = msgspec.json.decode(body, type=AssetKnown).fields
    return [str(field.value) for field in fields if field.name == "source"]


def _each(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


_OUTSIDE: Final = (
    "(f.server LIKE '%.%' AND f.server NOT LIKE '10.%' AND f.server NOT LIKE '192.168.%' AND f.server NOT LIKE '169.254.%' "
    "AND f.server NOT LIKE '127.%' AND f.server NOT LIKE '%.255' "
    f"AND substr(f.server, 1, 4) NOT IN ({_each(f'{number}.' for number in range(224, 256))}) "
    f"AND substr(f.server, 1, 7) NOT IN ({_each(f'172.{number}.' for number in range(16, 32))}))"
)
"""A server that no asset is and that stands outside: private, group and loopback ranges left out."""
