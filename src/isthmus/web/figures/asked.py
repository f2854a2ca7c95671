"""Which edge asks which device, as dots and lines of the map: what no capture need show, since we do it ourselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from isthmus.model.equipment import named
from isthmus.web.figures import sources
from isthmus.web.house import House

MOST: Final = 16
"""Devices that a drawing shows one by one; more lines would hide each other, and are drawn by edge and security."""
EDGE_ZONE: Final = "supervisory"
SITE: Final = "#site"
_UNSAFE: Final = "none"


def asked(
    house: House, devices: Mapping[str, tuple[str, str]] | None = None, *, single: bool | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Dots of edges, of the site and of devices that are not among `devices`; lines from each edge to what it asks.

    `devices` has by source the key and the zone of a dot that is drawn already.
    """
    known = devices or {}
    told = sources.all_sources(house)
    alone = len(told) <= MOST if single is None else single
    nodes: dict[str, dict[str, Any]] = {}
    lines: Counter[tuple[str, str, str]] = Counter()
    silent: Counter[tuple[str, str, str]] = Counter()
    for one in told:
        edge = f"#edge/{one.edge or 'edge'}"
        security = one.security or _UNSAFE
        if one.name in known:
            key = known[one.name][0]
        elif alone:
            key = f"#source/{one.name}"
            nodes[key] = _dot(key, "control", "machine", one.name, f"/connections#source-{one.name}")
        else:
            sort = "silent" if not one.up else "no security" if security == _UNSAFE else security
            key = f"#sources/{edge}/{sort}"
            fresh = _dot(key, "control", "machine", sort, "/connections#sources") | {"n": 0, "alone": False}
            nodes.setdefault(key, fresh)["n"] += 1
        name = edge.partition("/")[2]
        nodes.setdefault(edge, _dot(edge, EDGE_ZONE, "edge", name, "/connections#conduits-of"))
        lines[edge, key, security] += 1
        silent[edge, key, security] += not one.up
    edges = [_line(*ends, count, silent[ends]) for ends, count in lines.items()]
    for each in [node for node in nodes.values() if node["role"] == "edge"]:
        nodes.setdefault(SITE, _dot(SITE, "enterprise", "site", "this site", "/plant"))
        through = [named(path, "conduit") or path for path in house.site.contact.conduits_of(each["label"])]
        said = f"conduit {', '.join(through)}" if through else "its conduit"
        edges.append({"client": each["key"], "server": SITE, "services": said, "n": 1, "kind": "conduit", "said": said})
    return list(nodes.values()), edges


def _dot(key: str, zone: str, role: str, label: str, link: str) -> dict[str, Any]:
    return {"key": key, "zone": zone, "role": role, "n": 1, "label": label, "link": link}


def _line(edge: str, key: str, security: str, count: int, silent: int) -> dict[str, Any]:
    said = f"asks {count:,} device{'s' * (count != 1)}, security {security}"
    if silent:
        said += ", silent now" if count == 1 else f", {silent:,} silent now"
    kind = "quiet" if silent else "asks"
    return {"client": edge, "server": key, "services": said, "n": count, "kind": kind, "said": said}
