"""What stands behind an OPC UA server and says who it is: machines, their components, and devices.

    Objects/Machines/<machine>/Identification                       OPC 40001-1 (Machinery), 8
    Objects/Machines/<machine>/Components/<component>/Identification                         9
    Objects/DeviceSet/<device>          its own properties, or Identification   OPC 10000-100 (DI), 4.2 and 5.5

Found by their names, as those stay whatever numbers a server gives them. At most `MOST` of each sort.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from isthmus.edge.opcua_client.link import Link
from isthmus.edge.opcua_client.nodes import OBJECTS, Child, batches, browse_each
from isthmus.model.records.edge import Nameplate

MOST: Final = 64
_TOGETHER: Final = 50
"""Nodes in one request: what the smallest servers take."""
_LONGEST: Final = 200
_MACHINES, _DEVICES, _IDENTIFICATION, _COMPONENTS = "Machines", "DeviceSet", "Identification", "Components"
_OWN: Final[Mapping[str, str]] = {
    "Manufacturer": "maker",
    "Model": "model",
    "SerialNumber": "serial",
    "SoftwareRevision": "firmware",
}
_MORE: Final[Mapping[str, str]] = {
    "HardwareRevision": "hardware",
    "DeviceRevision": "device_revision",
    "ProductCode": "order_number",
    "ProductInstanceUri": "product_instance_uri",
    "ManufacturerUri": "maker_uri",
    "DeviceClass": "family",
    "DeviceManual": "manual",
    "AssetId": "number",
    "ComponentName": "component",
    "Location": "location",
    "YearOfConstruction": "made",
}
"""By the names of DI and Machinery, how the asset record calls them."""


class _Found(NamedTuple):
    """Something with a nameplate, and the nodes of that."""

    name: str
    properties: dict[str, Any]


class Plates(NamedTuple):
    """What a server shows; each in the order of the server."""

    machines: tuple[Nameplate, ...] = ()
    components: tuple[Nameplate, ...] = ()
    devices: tuple[Nameplate, ...] = ()


async def ask(link: Link) -> Plates:
    """Read them all: four to seven requests, whatever the server holds. Raises what the link raises."""
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    top = {child.name: child.node for child in (await _below(link, {"": ua.NodeId(OBJECTS)})).get("", ())}
    groups = await _below(link, {name: top[name] for name in (_MACHINES, _DEVICES) if name in top})
    machines = _objects(groups.get(_MACHINES, ()))
    devices = _objects(groups.get(_DEVICES, ()))
    inside = await _below(link, {f"machine {name}": node for name, node in machines.items()})
    inside |= await _below(link, {f"device {name}": node for name, node in devices.items()})
    holders = {name: one.node for name, children in inside.items() for one in children if one.name == _COMPONENTS}
    for name, children in (await _below(link, holders)).items():
        parts = {f"component {part} of {name.partition(' ')[2]}": node for part, node in _objects(children).items()}
        inside |= await _below(link, parts)
    groups = {name: one.node for name, children in inside.items() for one in children if one.name == _IDENTIFICATION}
    within = await _below(link, groups)
    found = [_Found(name, _properties((*children, *within.get(name, ())))) for name, children in inside.items()]
    plates = await _read(link, [one for one in found if one.properties])

    def of(kind: str) -> tuple[Nameplate, ...]:
        return tuple(plate for plate in plates if plate.name.startswith(f"{kind} "))

    return Plates(of("machine"), of("component"), of("device"))


async def _below(link: Link, nodes: Mapping[str, Any]) -> dict[str, list[Child]]:
    return {name: children async for name, children in browse_each(link, list(nodes.items()), _TOGETHER)}


def _objects(children: Iterable[Child]) -> dict[str, Any]:
    named = {child.name: child.node for child in children if not child.is_variable}
    return dict(list(named.items())[:MOST])


def _properties(children: Iterable[Child]) -> dict[str, Any]:
    return {child.name: child.node for child in children if child.is_variable and child.name in {**_OWN, **_MORE}}


async def _read(link: Link, found: Sequence[_Found]) -> list[Nameplate]:
    """The nameplates of those that give a maker, a model or a serial number."""
    wanted = [(at, name, node) for at, one in enumerate(found) for name, node in one.properties.items()]
    said: list[dict[str, str]] = [{} for _ in found]
    for batch in batches(wanted, _TOGETHER):
        values = await link.read([node for _, _, node in batch])
        for (at, name, _), value in zip(batch, values, strict=True):
            if text := _text(value):
                said[at][name] = text
    return [_plate(one.name, texts) for one, texts in zip(found, said, strict=True) if {*_OWN} & {*texts}]


def _plate(name: str, said: Mapping[str, str]) -> Nameplate:
    own = {ours: said.get(theirs, "") for theirs, ours in _OWN.items()}
    more = {ours: said[theirs] for theirs, ours in _MORE.items() if theirs in said}
    if not own["firmware"]:
        own["firmware"] = more.get("device_revision", "")
    if name.startswith("machine "):
        more["role"] = "machine"
    return Nameplate(name=name[:_LONGEST], more=more, **own)


def _text(value: object) -> str:
    """A String, a LocalizedText or a number as text; "" for everything else, and for what says nothing."""
    text = getattr(value, "Text", value)
    if isinstance(text, int) and not isinstance(text, bool):
        return str(text) if text else ""
    return " ".join(text.split())[:_LONGEST] if isinstance(text, str) else ""
