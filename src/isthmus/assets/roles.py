"""What a device does in the plant, with the reason: from what it says of itself, else from what it does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from isthmus.model.inventory import ROLES
from isthmus.model.records.assets import AssetKnown, FlowSeen

SAFETY_SERVICES: Final = frozenset(
    {"tristation", "cip-safety", "profisafe", "fsoe", "opensafety", "hima", "safeethernet", "safetynet-p"}
)
CONTROL_SERVICES: Final = frozenset(
    {
        "modbus",
        "umas",
        "ethernet/ip",
        "enip",
        "cip",
        "cip-io",
        "s7comm",
        "s7comm-plus",
        "s7comm/mms(iso-tsap)",
        "iso-tsap",
        "omron-fins",
        "fins",
        "ads",
        "melsec",
        "melsoft",
        "dnp3",
        "iec-104",
        "mms",
        "profinet",
        "pn-dcp",
        "hart-ip",
        "bacnet",
        "fox",
        "opc-ua",
        "opcua",
        "tristation",
        "mtconnect",
    }
)
_SAFETY: Final = re.compile(
    r"\bsafety (controller|plc|system|manager|cpu)|logix\w*safety|\bsis\b|logic solver|\bfail-?safe|"
    r"sicherheits-?\s?(sps|steuerung|controller|cpu)|fehlersicher|triconex|tricon\b|guardlogix|\bf-?(cpu|sps)\b|"
    r"\bhimax?\b|\bhimatrix|\bhiquad|prosafe|\bpnoz|\bpss ?(4000|u2)|flexi ?soft|twinsafe|ac500-s\b|\bsm560-s|"
    # Siemens: 6ES7 516-3FN01 and its like by the letter after the dash, 214-1AF40, 151-8FB01; CPU 315F-2, 1214FC
    r"6es7 ?(51\d-?\d[fsugjw]|31\d-?\d[fu]|21\d-?1[ah]f|15[14]-?8f|615-?\dd?f)|"
    r"\bcpu ?(s7-)?\d{3,4}(sp|spt|pro|d)? ?[th]?f(-\d|c?\b)|\bim ?15[14]-8f\b|"
    # Rockwell: an S behind the controller's number, 1756-L73S, 1756-L81ES, 5069-L320ERMS2; SP for its partner
    r"\b(1756|1768|1769|5069)-l\d+(e|er|erm|erom)?s(xt|k|[23])?\b|\b1756-l\d?sp\b|"
    r"\bbme[ph]58\d{4}s\b|\bnx-sl\d|\bx20sl\d",
    re.IGNORECASE,
)
"""What gives away a safety controller, among it the order numbers of fail-safe ones that look like any other."""
_SAID: Final = (
    (
        "engineering",
        r"engineering (station|work)|\btia portal\b|studio 5000|rslogix|step ?7\b|unity pro|twincat xae|ecostruxure control expert",
    ),
    ("historian", r"historian|\bpi server\b|osisoft|proficy hist|wonderware hist"),
    ("hmi", r"\bhmi\b|panelview|simatic (hmi|panel)|\bktp\d|\btp\d{3,4}\b|magelis|operator (panel|station)|\bgot\d{4}"),
    ("drive", r"\bdrive\b|powerflex|sinamics|altivar|\bacs\d{3}|movidrive|inverter|servo"),
    ("meter", r"\bmeter\b|power ?logic|\bpac\d{4}|\bpm\d{3,4}\b|energy analy|sentron"),
    (
        "switch",
        r"\bswitch\b|scalance|hirschmann|\bcisco\b|catalyst|\bios software\b|stratix|\bws-c|\bedgerouter|firewall|\brouter\b|\bfl switch",
    ),
    (
        "module",
        r"communications? (adapter|module)|\b1756-en|\bmvi\d|ethernet (bridge|module|adapter)|\bcp ?\d{3,4}-\d",
    ),
    ("io", r"profinet io device|remote i/?o|\bet ?200|\bpoint i/?o|i/o (block|adapter|server)"),
    ("gateway", r"\bgateway\b|hart-ip|\bmgate\b|anybus|protocol converter"),
    (
        "controller",
        r"\bplc\b|programmable (logic|controller)|\bcpu\b|controller|logix|(1756|1768|1769|5069)-l|\bbme[ph]\d|\b6es7 ?\d|\bs7-\d|\bcp1[hl]|\bcj\d|\bfx\d[a-z]|\bbas\b|\brtu\b|\b140 cpu|\bcx\d{4}|twincat",
    ),
    ("machine", r"\bmachine( tool)?\b|machining cent(re|er)"),
    ("server", r"\bserver\b|ubuntu|debian|red hat|\blinux\b|centos"),
    ("computer", r"windows|workstation|\blaptop\b|desktop"),
)
"""Role and what gives it away in what a device says; the first that fits stands."""
_ORDER: Final = re.compile(r"\b6(ES7|AV|GK|SL|RA|EP|AG)\w*", re.IGNORECASE)
_BY_ORDER: Final = {"ES7": "controller", "AV": "hmi", "GK": "switch", "SL": "drive", "RA": "drive"}
_MANY: Final = 2


class Role(NamedTuple):
    """The role, why, and how sure it is."""

    role: str
    why: str
    confidence: float


def role_of(said: Mapping[str, Iterable[str]], does: Doing | None) -> Role:
    """The role from the values of all fields, and from the conversations.

    A role that a person or a list declares stands; a safety protocol answered outweighs what is deduced.
    """
    for value in said.get("declared role", ()):
        known = _from_words(value)
        return Role(known[0] if known else value.lower(), f"declared as “{value}”", 0.9)
    if does and does.serves & SAFETY_SERVICES:
        spoken = ", ".join(sorted(does.serves & SAFETY_SERVICES))
        return Role("safety", f"answers the safety protocol {spoken}", 0.9)
    for field in ("role", "model", "family", "os", "name"):
        for value in said.get(field, ()):
            found = _from_words(value) if field != "name" else None
            if found:
                return Role(found[0], f"its {field} says “{found[1]}”", 0.8)
    return _from_deeds(does) if does else Role("", "", 0.0)


def named(value: str) -> str:
    """The role that a person's words mean, "" when they mean none.

    >>> named("Safety controller"), named("hmi"), named("PLC"), named("banana")
    ('safety', 'hmi', 'controller', '')
    """
    plain = value.strip().lower()
    by_name = {label.lower(): role for role, label in ROLES.items() if role} | {role: role for role in ROLES if role}
    if plain in by_name:
        return by_name[plain]
    found = _from_words(value)
    return found[0] if found else ""


def safety_reason(asset: AssetKnown) -> str:
    """Why an asset may be a safety controller, whatever else anybody calls it; "" when nothing says so."""
    if asset.role == "safety":
        return asset.role_why or "its role is that"
    for field in asset.fields:
        if field.name in ("role", "model", "family", "order_number") and (found := _SAFETY.search(field.value)):
            return f"its {field.name.replace('_', ' ')} says “{found[0]}”"
        if field.name == "role" and named(field.value) == "safety":
            return f"its role was said to be “{field.value}”"
        if field.name == "ports" and (answers := _services(field.value) & SAFETY_SERVICES):
            return f"it answers {', '.join(sorted(answers))}"
    return ""


def _services(ports: str) -> set[str]:
    """The services of ports as the record writes them, "tcp/502 modbus, udp/1502 tristation"."""
    return {port.partition(" ")[2] for port in ports.lower().split(", ")}


def _from_words(value: str) -> tuple[str, str] | None:
    if found := _SAFETY.search(value):
        return "safety", found[0]
    order = _ORDER.search(value)
    if order and order[1].upper() in _BY_ORDER:
        return _BY_ORDER[order[1].upper()], order[0]
    for role, pattern in _SAID:
        found = re.search(pattern, value, re.IGNORECASE)
        if found:
            return role, found[0]
    return None


class Doing:
    """What one address does: whom it asks, what it answers."""

    def __init__(self) -> None:
        self.serves: set[str] = set()
        self.asks: set[str] = set()
        self.acts: set[str] = set()
        self.servers: set[str] = set()
        self.ports: set[str] = set()


def doings(flows: Iterable[FlowSeen]) -> dict[str, Doing]:
    """By address, what it does."""
    out: dict[str, Doing] = {}
    for flow in flows:
        client, server = out.setdefault(flow.client, Doing()), out.setdefault(flow.server, Doing())
        service = flow.service.lower()
        if service:
            server.serves.add(service)
            client.asks.add(service)
        if flow.port and flow.transport in ("tcp", "udp") and (flow.initiated or service):
            server.ports.add(f"{flow.transport}/{flow.port}" + (f" {service}" if service else ""))
        if flow.act in ("engineering", "write", "control", "read"):
            client.acts.add(flow.act)
        if service in CONTROL_SERVICES:
            client.servers.add(flow.server)
    return out


def _from_deeds(does: Doing) -> Role:
    answers: Collection[str] = does.serves & CONTROL_SERVICES
    asks: Collection[str] = does.asks & CONTROL_SERVICES
    if "engineering" in does.acts:
        return Role("engineering", "uses engineering functions of a controller", 0.7)
    if asks and not answers:
        count = len(does.servers)
        if count > _MANY and "write" not in does.acts:
            return Role("historian", f"reads {count} controllers and writes none", 0.4)
        return Role("hmi", f"asks {', '.join(sorted(asks))} of {count} device{'s' if count > 1 else ''}", 0.4)
    if answers:
        return Role("controller", f"answers {', '.join(sorted(answers))}", 0.5)
    return Role("", "", 0.0)
