"""The map of connections: zones as bands, the enterprise above and safety below, as an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from isthmus.model.inventory import ROLES

_WIDTH: Final = 1200
_BAND_HEAD: Final = 132
_CELL: Final = 118
_ROW: Final = 74
_PAD: Final = 16
_ORDER: Final = ("internet", "enterprise", "office", "dmz", "supervisory", "control", "safety")
_WIDEST: Final = 200
_BESIDE: Final = 14
"""Letters that stand between the name of a zone and its first dot."""
_LETTER: Final = 6.6
"""Width of a letter of a label."""


def network(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]], *, single: bool) -> Markup:
    """The drawing. A dot is a device, or with many devices a role within a zone; a line is a conversation."""
    bands: dict[str, list[Mapping[str, Any]]] = {}
    outside = any(edge["server"] == "*" for edge in edges)
    if outside:
        bands["internet"] = [{"key": "*", "zone": "internet", "role": "", "n": 0, "label": "the internet"}]
    for node in sorted(nodes, key=lambda one: (place_of(one["zone"]), one["zone"])):
        bands.setdefault(node["zone"], []).append(node)
    at: dict[str, tuple[float, float]] = {}
    parts: list[Markup] = []
    top = 0
    room = _WIDTH - _BAND_HEAD - _PAD
    widest = max((len(members) for members in bands.values()), default=1)
    cell = max(_CELL, min(room // max(widest, 1), _WIDEST))
    per_row = room // cell
    for zone, members in bands.items():
        height = _PAD + _ROW * (-(-len(members) // per_row))
        parts.append(_band(zone, top, height))
        for index, node in enumerate(members):
            x = _BAND_HEAD + cell * (index % per_row) + cell / 2
            at[node["key"]] = (x, top + _PAD + _ROW * (index // per_row) + 14)
        top += height + 4
    zones = {node["key"]: zone for zone, members in bands.items() for node in members}
    drawn = [_edge(edge, at, zones) for edge in edges if edge["client"] in at and edge["server"] in at]
    longest = int(cell / _LETTER)
    marks = [_node(node, at[node["key"]], longest, single=single) for members in bands.values() for node in members]
    inner = Markup("").join([*parts, *drawn, *marks])
    return Markup(
        '<svg class="network" viewBox="0 0 {} {}" role="img" aria-label="Zones, devices and their conversations">{}</svg>'
    ).format(_WIDTH, max(top, 40), inner)


def _lowered(role: str) -> str:
    """A role within a line; HMI stays HMI."""
    return role if role.isupper() else role[:1].lower() + role[1:]


def place_of(zone: str) -> int:
    """Where a zone's band stands: the enterprise above, safety below, what is not declared last."""
    name = zone.lower()
    return next((index for index, word in enumerate(_ORDER) if word in name), len(_ORDER) if not zone else 4)


def _band(zone: str, top: int, height: int) -> Markup:
    return Markup(
        '<rect class="band" x="0" y="{}" width="{}" height="{}" rx="6"/><text class="zone" x="14" y="{}">{}</text>'
    ).format(top, _WIDTH, height, top + 24, "outside" if zone == "internet" else zone or "no zone")


def _edge(edge: Mapping[str, Any], at: Mapping[str, tuple[float, float]], zones: Mapping[str, str]) -> Markup:
    (x1, y1), (x2, y2) = at[edge["client"]], at[edge["server"]]
    crossing = zones[edge["client"]] != zones[edge["server"]]
    kind = edge.get("kind") or ("out" if edge["server"] == "*" else "cross" if crossing else "within")
    bend = 40 if abs(y1 - y2) < 1 else 0
    if edge["client"] == edge["server"]:
        return Markup("")
    services = ", ".join(str(edge["services"] or "other").split(",")[:4])
    said = edge.get("said") or f"{services}: {edge['n']:,} conversation{'s' if edge['n'] != 1 else ''}"
    return Markup(
        '<path class="edge e-{}" d="M{:.0f} {:.0f} Q{:.0f} {:.0f} {:.0f} {:.0f}"><title>{}</title></path>'
    ).format(kind, x1, y1, (x1 + x2) / 2, (y1 + y2) / 2 + bend, x2, y2, said)


def _node(node: Mapping[str, Any], place: tuple[float, float], longest: int, *, single: bool) -> Markup:
    x, y = place
    role = ROLES.get(node["role"], node["role"])
    if node["key"] == "*":
        label, address = "the internet", ""
    elif node.get("link"):
        label = str(node["label"]) if node.get("alone", True) else f"{node['n']:,}, {node['label']}"
        address = node["link"]
    elif single:
        label, address = str(node["label"] or role), f"/asset/{node['key']}"
    else:
        label = f"{_lowered(role)}, {node['n']:,}"
        address = f"/assets?zone={node['zone'] or '-'}&role={node['role'] or '-'}"
    ours = node["role"] in ("edge", "site")
    most = min(longest, _BESIDE) if ours else longest
    short = label if len(label) <= most else label[: most - 1] + "…"
    radius = 6 if single or node["key"] == "*" else min(6 + node["n"] ** 0.3 * 2, 18)
    if ours:
        shape = Markup('<rect class="node r-{}" x="{:.0f}" y="{:.0f}" width="22" height="16" rx="3"/>').format(
            node["role"], x - 11, y - 8
        )
    else:
        shape = Markup('<circle class="node r-{}" cx="{:.0f}" cy="{:.0f}" r="{:.0f}"/>').format(
            node["role"] or "none", x, y, radius
        )
    # What is ours has its lines below it, so that its name stands beside it.
    place = (x - 18, y + 4) if ours else (x, y + radius + 15)
    text = Markup('<text class="label{}" x="{:.0f}" y="{:.0f}">{}</text>').format(" beside" * ours, *place, short)
    title = Markup("<title>{}, {}</title>").format(label, role)
    drawn = shape + text + title
    return Markup('<a href="{}">{}</a>').format(address, drawn) if address else Markup("<g>{}</g>").format(drawn)
