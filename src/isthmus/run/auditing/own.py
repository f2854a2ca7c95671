"""What a site's own sources learned when they asked, as statements of the asset record; and what the plant calls them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from isthmus.assets.heard import seen
from isthmus.assets.record import over_both
from isthmus.model.equipment import beside
from isthmus.model.plant import Plant
from isthmus.model.records.assets import AssetSeen
from isthmus.model.records.edge import DeviceIdentified, Nameplate
from isthmus.web.figures.sources import sources_of

_OURS = "our own sources"
_NAMED = 3
"""Machines of one source that its device is named after."""


def called(plant: Plant, sources: Sequence[str]) -> dict[str, str]:
    """By the path of a source what its device is called: after its machines, and the source itself.

    "Press 1 (press-1)"; the source alone where no machine is read through it.
    """
    machines: defaultdict[str, list[str]] = defaultdict(list)
    for machine in plant.machines.values():
        for source in sources_of(machine):
            machines[source].append(machine.name)
    out = {}
    for source in sources:
        names = machines[source]
        several = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        out[beside(plant.path, "source", source)] = f"{several} ({source})" if names and names != [source] else source
    return out


def asked(plant: str, devices: Sequence[DeviceIdentified], names: Mapping[str, str]) -> list[AssetSeen]:
    """Who they said they are; the same answer again only makes it newer. `names` as `called` gives them.

    Where one address answers on several ports, each port is a device behind it, as behind a gateway.
    """
    ports: defaultdict[str, set[str]] = defaultdict(set)
    for one in devices:
        host, port = host_port(one.address)
        ports[host].add(port)
    out: dict[str, AssetSeen] = {}
    for one in devices:
        host, port = host_port(one.address)
        child = f"port {port}" if len(ports[host]) > 1 else ""
        told = [_said(plant, one, host, child), _declared(plant, one, host, child, names.get(one.path, ""))]
        told += [_behind(plant, one, host, child, part) for part in one.parts]
        for statement in told:
            before = out.get(statement.path)
            out[statement.path] = over_both(before, statement) if before else statement
    return list(out.values())


def _said(plant: str, one: DeviceIdentified, host: str, child: str) -> AssetSeen:
    port = host_port(one.address)[1]
    return seen(
        plant,
        source=_OURS,
        frame=0,
        first_ns=one.time_ns,
        last_ns=one.time_ns,
        how="queried",
        method=f"asked by {one.protocol}",
        address=host,
        child=child,
        fields={
            "maker": one.maker,
            "model": one.model,
            "serial": one.serial,
            "firmware": one.firmware,
            "protocols": one.protocol,
            "ports": f"tcp/{port}" if port else "",
            **one.more,
        },
    )


def _declared(plant: str, one: DeviceIdentified, host: str, child: str, name: str) -> AssetSeen:
    """What the plant file knows of the device of this source; the device itself says neither."""
    source = one.path.rpartition("/")[2]
    return seen(
        plant,
        source="plant file",
        frame=0,
        first_ns=one.time_ns,
        last_ns=one.time_ns,
        how="declared",
        method="plant file",
        address=host,
        child=child,
        fields={"name": name or source, "source": source},
    )


def _behind(plant: str, one: DeviceIdentified, host: str, child: str, part: Nameplate) -> AssetSeen:
    """A machine or component with a nameplate of its own behind the device's address."""
    name = part.more.get("component", "") or part.name.partition(" ")[2]
    return seen(
        plant,
        source=_OURS,
        frame=0,
        first_ns=one.time_ns,
        last_ns=one.time_ns,
        how="queried",
        method=f"asked by {one.protocol}",
        address=host,
        child=", ".join(filter(None, (child, part.name))),
        fields={
            "name": name,
            "maker": part.maker,
            "model": part.model,
            "serial": part.serial,
            "firmware": part.firmware,
            **part.more,
        },
    )


def host_port(address: str) -> tuple[str, str]:
    """The host and the port of an address or URL; the port "" where it names none.

    >>> host_port("opc.tcp://10.0.0.7:4840/x")
    ('10.0.0.7', '4840')
    """
    place = address.rpartition("//")[2].partition("/")[0]
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        return host, port.removeprefix(":")
    return (place.rpartition(":")[0], place.rpartition(":")[2]) if place.count(":") == 1 else (place, "")
