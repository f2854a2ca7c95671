"""Who reaches into controllers and the safety system, and from afar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from isthmus.assets.findings.connections import said
from isthmus.assets.findings.look import Look, grouped, listed, services
from isthmus.assets.roles import SAFETY_SERVICES
from isthmus.model.records.assets import AssetFinding, FlowSeen
from isthmus.model.zones import ZoneKind

_REMOTE_PORTS: Final = {
    3389: "RDP",
    5900: "VNC",
    5901: "VNC",
    5938: "TeamViewer",
    6568: "AnyDesk",
    7070: "AnyDesk",
    4899: "Radmin",
    5631: "pcAnywhere",
    1194: "OpenVPN",
    1723: "PPTP",
    51820: "WireGuard",
    4500: "IPsec",
    500: "IPsec",
}
_REMOTE_SERVICES: Final = frozenset({"rdp", "vnc", "teamviewer", "anydesk", "radmin", "openvpn", "wireguard", "ssh"})
_MODE: Final = re.compile(r"stop|start|\brun\b|reset|reinitiali|mode|invocation|pause|write control", re.IGNORECASE)
"""Control functions that stop, start or reset a controller; operating an output is a plant's daily work."""
_SYNC_PORTS: Final = {17500: "Dropbox LAN sync"}


def engineering(look: Look) -> Iterator[AssetFinding]:
    """Engineering functions, and starting or stopping a controller: one finding per client, server and protocol."""
    used = [
        flow
        for flow in look.flows
        if (flow.act == "engineering" or _changes_mode(flow))
        and flow.service.lower() not in SAFETY_SERVICES
        and not _normal(look, flow)
    ]
    for (client, server, service), flows in grouped(used, lambda f: (f.client, f.server, f.service)).items():
        station = look.at.get(client)
        stops = any(_changes_mode(flow) for flow in flows)
        declared = (
            station is not None
            and station.role == "engineering"
            and any(field.how in ("declared", "accepted") for field in station.all("role"))
        )
        yield look.finding(
            "engineering access",
            [client, server, service],
            severity="low" if declared and not stops else "high" if stops else "medium",
            title=f"{look.called(client)} uses engineering functions of {look.called(server)}",
            text=f"{service}: {listed((flow.function for flow in flows), 8)}. "
            + ("The client is declared an engineering station." if declared else "The client is not declared one."),
            next_step="Ask whether a change was planned then; if it was, accept it with the change's number. "
            "Allow this protocol from engineering stations alone.",
            flows=flows,
            addresses=[client, server],
        )


def safety(look: Look) -> Iterator[AssetFinding]:
    """Anybody who speaks a safety protocol, or into a safety zone from another."""
    reached = [flow for flow in look.talks if not _normal(look, flow) and _touches_safety(look, flow)]
    for (client, server), flows in grouped(reached, lambda flow: (flow.client, flow.server)).items():
        yield look.finding(
            "safety zone access",
            [client, server],
            severity="high",
            title=f"{look.called(client)} reaches the safety controller {look.called(server)}",
            text=f"{services(flows)}{_asked(flows)}. Nothing outside the safety zone may speak to it.",
            next_step="Find the client now and ask what it did; check the controller's key switch and compare its "
            "program with the approved one.",
            flows=flows,
            addresses=[client, server],
        )


def remote(look: Look) -> Iterator[AssetFinding]:
    """Remote control and tunnels that no conduit names."""
    names = {conduit.name.lower() for conduit in look.conduits} | {
        protocol.lower() for conduit in look.conduits for protocol in conduit.protocols
    }
    used = [
        flow for flow in look.talks if (tool := _tool(flow)) and tool.lower() not in names and not _normal(look, flow)
    ]
    for (server, tool), flows in grouped(used, lambda flow: (_held(look, flow), _tool(flow))).items():
        clients = sorted({flow.client for flow in flows})
        outside = any(look.places.outside(end) for flow in flows for end in (flow.client, flow.server))
        if tool == "ssh" and not outside:
            continue
        yield look.finding(
            "remote access",
            [server, tool],
            severity="high" if outside else "medium",
            title=f"{look.called(server)} is open to remote control by {tool}",
            text=f"Used {'from the internet ' if outside else ''}by {listed(clients)}; no conduit names it.",
            next_step="Lead it through the managed remote access with its own account and end time, or remove it.",
            flows=flows,
            addresses=[server, *(end for end in clients if not look.places.outside(end))],
        )


def file_sync(look: Look) -> Iterator[AssetFinding]:
    """Programs that copy files to and from the cloud, calling for their like."""
    calls = [flow for flow in look.flows if flow.port in _SYNC_PORTS]
    for (client,), flows in grouped(calls, lambda flow: (flow.client,)).items():
        yield look.finding(
            "unexpected connectivity",
            ["sync", client],
            severity="medium",
            title=f"{look.called(client)} runs {_SYNC_PORTS[flows[0].port]}",
            text="It looks for others to copy files with; such a program takes files past the boundary.",
            next_step="Remove the program, or declare what it is for.",
            flows=flows,
            addresses=[client],
        )


def _changes_mode(flow: FlowSeen) -> bool:
    return flow.act == "control" and _MODE.search(flow.function) is not None


def _normal(look: Look, flow: FlowSeen) -> bool:
    return look.baseline is not None and said(flow) in look.baseline


def _touches_safety(look: Look, flow: FlowSeen) -> bool:
    origin, target = look.places.zone(flow.client), look.places.zone(flow.server)
    into = look.places.kind(target) is ZoneKind.SAFETY and origin != target
    return flow.service.lower() in SAFETY_SERVICES or into


def _asked(flows: list[FlowSeen]) -> str:
    functions = listed((flow.function for flow in flows if flow.function), 8)
    return f": {functions}" if functions else ""


def _tool(flow: FlowSeen) -> str:
    service = flow.service.lower()
    if service in _REMOTE_SERVICES:
        return service
    return _REMOTE_PORTS.get(flow.port, "") if not service and flow.transport in ("tcp", "udp") else ""


def _held(look: Look, flow: FlowSeen) -> str:
    """The end that stands in the plant."""
    return flow.client if look.places.outside(flow.server) else flow.server


RULES = (engineering, safety, remote, file_sync)
