"""Connections that nobody planned: the internet, other zones, two networks at once, new talkers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import combinations
from typing import Final

from isthmus.assets import proposed
from isthmus.assets.addresses import is_group, parse
from isthmus.assets.findings.look import Look, grouped, is_noise, listed, services
from isthmus.assets.roles import CONTROL_SERVICES
from isthmus.model.inventory import talk
from isthmus.model.records.assets import AssetFinding, AssetKnown, Evidence, Field, FlowSeen, Severity
from isthmus.model.zones import ZoneKind

_CONTROL: Final = frozenset({ZoneKind.CONTROL, ZoneKind.SAFETY})
_SAME_PROTOCOL: Final = {"tls": "https", "ssl": "https", "opcuabinary": "opcua", "iec104": "iec608705104"}
_RANGE: Final = 2


def internet(look: Look) -> Iterator[AssetFinding]:
    """A device of the plant and the internet, one finding per device and direction."""
    crossing = [flow for flow in look.talks if look.places.outside(flow.client) != look.places.outside(flow.server)]
    by_device = grouped(crossing, lambda flow: _inside_first(look, flow))
    for (inside, way), flows in by_device.items():
        far = {flow.server if way == "out" else flow.client for flow in flows}
        ot = _of_control(look, inside, flows)
        severity: Severity = "high" if ot or way == "in" else "medium"
        many = f"{len(far)} internet addresses" if len(far) > 1 else f"the internet address {next(iter(far))}"
        verb = "speaks with" if way == "out" else "is reached from"
        yield look.finding(
            "unexpected connectivity",
            ["internet", inside, way],
            severity=severity,
            title=f"{look.called(inside)} {verb} {many}",
            text=f"{services(flows)}; to {listed(far)}." if way == "out" else f"{services(flows)}; from {listed(far)}.",
            next_step="Ask its owner why. Close the way at the boundary, or declare a conduit with owner and review; "
            "where the addresses are the plant's own, declare their range.",
            flows=flows,
            addresses=[inside],
        )


def public_inside(look: Look) -> Iterator[AssetFinding]:
    """A public address on the plant's own wire: a range used inside, or a device that does not belong there."""
    local: dict[str, list[FlowSeen]] = {}
    for flow in look.flows:
        if look.places.outside(flow.client):
            if is_group(flow.server) and flow.transport != "l2":
                local.setdefault(flow.client, []).append(flow)
            elif look.places.outside(flow.server):
                local.setdefault(flow.client, []).append(flow)
                local.setdefault(flow.server, []).append(flow)
    owned = {
        field.value: field
        for asset in look.assets
        for field in asset.all("address")
        if field.method == "ARP" and look.places.outside(field.value)
    }
    for address in owned:
        local.setdefault(address, [])
    ranges = grouped_by_range(local)
    for network, members in ranges.items():
        flows = [flow for address in members for flow in local[address]]
        alone = len(members) < _RANGE
        shown = [_seen(owned[address], f"{address} on the wire") for address in members if address in owned]
        yield look.finding(
            "unexpected connectivity",
            ["public", network if not alone else members[0]],
            severity="high" if alone else "medium",
            title=f"{look.called(members[0])} has a public address and stands inside"
            if alone
            else f"{len(members)} devices use the public range {network} inside",
            text=f"It sends on the plant's own wire: {services(flows) or 'address resolution'}."
            if alone
            else f"{listed(members)} speak among themselves: {services(flows)}.",
            next_step="Find the device and take it off, or give it an address of the plant."
            if alone
            else f"If the range is yours, declare it: --internal {network}, or a [[zone]] with this network.",
            flows=list({flow.path: flow for flow in flows}.values()),
            evidence=shown,
            addresses=members,
        )


def grouped_by_range(addresses: dict[str, list[FlowSeen]]) -> dict[str, list[str]]:
    """Addresses by the smallest network that covers those of one /16 or /48."""
    near: dict[object, list[IPv4Address | IPv6Address]] = {}
    for text in addresses:
        address = parse(text)
        if address is not None:
            wide = ip_network((address, 16 if address.version == 4 else 48), strict=False)  # noqa: PLR2004
            near.setdefault(wide, []).append(address)
    out: dict[str, list[str]] = {}
    for members in near.values():
        members.sort()
        network = ip_network((members[0], 24 if members[0].version == 4 else 64), strict=False)  # noqa: PLR2004
        while members[-1] not in network:
            network = network.supernet()
        out[str(network)] = [str(one) for one in members]
    return out


def zone_crossing(look: Look) -> Iterator[AssetFinding]:
    """A conversation between two zones for which no conduit stands."""
    crossing = [flow for flow in look.talks if _crosses(look, flow)]
    causes = grouped(
        crossing, lambda flow: (flow.client, look.places.zone(flow.server), flow.service or str(flow.port))
    )
    for (client, target, service), flows in causes.items():
        origin = look.places.zone(client)
        kinds = (look.places.kind(origin), look.places.kind(target))
        grave = kinds[0] is ZoneKind.ENTERPRISE and kinds[1] in _CONTROL
        servers = sorted({flow.server for flow in flows})
        section = proposed.conduit(
            look.places,
            name=f"{origin}-{target}-{service}",
            initiator=origin,
            responder=target,
            protocols=[service],
            purpose="",
        )
        yield look.finding(
            "unexpected connectivity",
            ["zone", client, target, service],
            severity="high" if grave else "medium",
            title=f"{look.called(client)} in {origin} reaches {len(servers)} device{'s' * (len(servers) > 1)} in {target} "
            f"by {services(flows)}",
            text=f"No conduit allows {origin} to open {services(flows)} into {target}. Reached: {listed(servers)}.",
            next_step="Stop it at the boundary, or declare a [[conduit]] with purpose, owner and review."
            if section
            else f"Stop it at the boundary. No conduit is opened from {origin} into {target}: the OT side dials.",
            flows=flows,
            addresses=[client, *servers],
            conduit=section,
        )


def dual_homed(look: Look) -> Iterator[AssetFinding]:
    """One computer in two networks at once goes round the boundary."""
    named: dict[str, list[AssetKnown]] = {}
    for asset in look.assets:
        name = asset.best("name")
        if name and not asset.parent:
            named.setdefault(name.lower(), []).append(asset)
    for name, members in named.items():
        spans = [field for asset in members for field in asset.all("address")]
        pairs = [pair for pair in combinations(spans, 2) if _apart(look, *pair) and _at_once(*pair)]
        cards = {field.value for asset in members for field in asset.all("mac")}
        if not pairs or (len(members) > 1 and len(cards) < len(members)):
            continue
        places = sorted({field.value for pair in pairs for field in pair})
        yield look.finding(
            "unexpected connectivity",
            ["dual-homed", name],
            severity="high",
            title=f"{members[0].best('name')} stands in {len(places)} networks at once",
            text=f"The same name answers at {listed(places)} at the same time: a way round the boundary.",
            next_step="Take one card out, or put the boundary's rules on this computer and declare it a conduit.",
            evidence=[_seen(field, f"{name} at {field.value}") for pair in pairs for field in pair],
            addresses=places,
        )


def new_talkers(look: Look) -> Iterator[AssetFinding]:
    """Who was not there, or spoke otherwise, when the baseline was accepted."""
    if look.baseline is None:
        return
    known_ends = {end for line in look.baseline for end in line.split(" ")[:2]}
    fresh = [flow for flow in look.talks if said(flow) not in look.baseline]
    for (client,), flows in grouped([f for f in fresh if f.client not in known_ends], lambda f: (f.client,)).items():
        ot = any(flow.service.lower() in CONTROL_SERVICES for flow in flows)
        yield look.finding(
            "new talker",
            [client],
            severity="high" if ot else "medium",
            title=f"{look.called(client)} was not there when the baseline was accepted",
            text=f"It opens {services(flows)} to {listed(flow.server for flow in flows)}.",
            next_step="Find out what it is; accept it into the baseline, or take it off.",
            flows=flows,
            addresses=[client, *(flow.server for flow in flows)],
        )
    changed = [flow for flow in fresh if flow.client in known_ends]
    for (client, server, service), flows in grouped(changed, _pair).items():
        functions = listed(flow.function for flow in flows if flow.function)
        writes = any(flow.act in ("write", "control", "engineering") for flow in flows)
        yield look.finding(
            "new function",
            [client, server, service],
            severity="high" if writes else "medium",
            title=f"{look.called(client)} asks {look.called(server)} for what it never did"
            if functions
            else f"{look.called(client)} and {look.called(server)} have a new conversation",
            text=f"{services(flows)}{': ' + functions if functions else ''}; not in the accepted baseline.",
            next_step="Ask who changed what; accept it into the baseline, or undo the change.",
            flows=flows,
            addresses=[client, server],
        )


def said(flow: FlowSeen) -> str:
    """A conversation as a line of a baseline."""
    return talk(flow.client, flow.server, flow.service or f"{flow.transport}/{flow.port}", flow.function)


def baseline_of(flows: list[FlowSeen]) -> tuple[str, ...]:
    """Everything that is said now, as a baseline to accept."""
    return tuple(sorted({said(flow) for flow in flows if not is_noise(flow)}))


def _pair(flow: FlowSeen) -> tuple[str, ...]:
    return (flow.client, flow.server, flow.service or f"{flow.transport}/{flow.port}")


def _inside_first(look: Look, flow: FlowSeen) -> tuple[str, ...]:
    return (flow.server, "in") if look.places.outside(flow.client) else (flow.client, "out")


def _of_control(look: Look, inside: str, flows: list[FlowSeen]) -> bool:
    asset = look.at.get(inside)
    role = asset.role if asset else ""
    kind = look.places.kind(look.places.zone(inside))
    return (
        role in ("controller", "safety", "drive", "io")
        or kind in _CONTROL
        or any(flow.service.lower() in CONTROL_SERVICES for flow in flows)
    )


def _crosses(look: Look, flow: FlowSeen) -> bool:
    origin, target = look.places.zone(flow.client), look.places.zone(flow.server)
    if not origin or not target or origin == target or look.places.kind(target) is ZoneKind.SAFETY:
        return False  # what reaches into safety is a finding of its own
    return not any(
        conduit.initiator == origin and conduit.responder == target and _allows(conduit.protocols, flow)
        for conduit in look.conduits
    )


def _allows(protocols: tuple[str, ...], flow: FlowSeen) -> bool:
    names = {_plain(flow.service), str(flow.port), f"{flow.transport}{flow.port}"} - {""}
    return not protocols or bool({_plain(one) for one in protocols} & names)


def _plain(protocol: str) -> str:
    text = re.sub(r"[^a-z0-9]", "", protocol.lower())
    return _SAME_PROTOCOL.get(text, text)


def _apart(look: Look, one: Field, other: Field) -> bool:
    """Whether two addresses are in different networks: zones where declared, else by their first 24 or 64 bits.

    One card has an IPv4 address, IPv6 ones and one of its link beside each other: those are never apart.
    """
    zones = look.places.zone(one.value), look.places.zone(other.value)
    if all(zones):
        return zones[0] != zones[1]
    here, there = parse(one.value), parse(other.value)
    if here is None or there is None or here.version != there.version or here.is_link_local or there.is_link_local:
        return False
    network = ip_network((here, 24 if here.version == 4 else 64), strict=False)  # noqa: PLR2004
    return there not in network and not look.places.outside(one.value) and not look.places.outside(other.value)


def _at_once(one: Field, other: Field) -> bool:
    return one.first_ns <= other.last_ns and other.first_ns <= one.last_ns


def _seen(field: Field, what: str) -> Evidence:
    return Evidence(source=field.source, frame=field.frame, time_ns=field.first_ns, what=what)


RULES = (internet, public_inside, zone_crossing, dual_homed, new_talkers)
