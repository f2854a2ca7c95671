"""The documents of the simulated MTConnect agent: what it has, what it observed, what it refuses.

Source: MTConnect 1.4, parts 1 to 3; shapes compared with documents of the official agent.
"""

from __future__ import annotations

import html
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from isthmus.model.time import iso

VERSION: Final = "1.4"

Category = Literal["SAMPLE", "EVENT", "CONDITION"]
Level = Literal["Normal", "Warning", "Fault", "Unavailable"]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One data item: what can be observed."""

    id: str
    category: Category
    type: str
    sub_type: str = ""
    name: str = ""
    units: str = ""


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a machine: Axes, Rotary, Controller, Path."""

    kind: str
    id: str
    name: str = ""
    items: tuple[Item, ...] = ()
    components: tuple[Component, ...] = ()


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One machine, and who made it."""

    id: str
    name: str
    uuid: str = ""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    items: tuple[Item, ...] = ()
    components: tuple[Component, ...] = ()


class Observation(NamedTuple):
    """One entry of the agent's buffer."""

    sequence: int
    item: Item
    time_ns: int
    element: str
    code: str
    text: str


class Place(NamedTuple):
    """The component that a data item belongs to."""

    device: Device
    kind: str
    id: str
    name: str


class Buffer(NamedTuple):
    """What each Header tells of the agent."""

    sender: str
    instance: int
    size: int
    first: int
    next: int


_GROUPS: Final = {"SAMPLE": "Samples", "EVENT": "Events", "CONDITION": "Condition"}


def probe(told: Buffer, devices: Iterable[Device]) -> bytes:
    """MTConnectDevices: what there is."""
    header = f'{_header(told)} assetBufferSize="0" assetCount="0" bufferSize="{told.size}"/>'
    return _wrap("MTConnectDevices", f"{header}<Devices>{''.join(map(_device_xml, devices))}</Devices>")


def streams(
    told: Buffer, devices: Sequence[Device], observed: Iterable[tuple[Place, Observation]], next_sequence: int
) -> bytes:
    """MTConnectStreams: what was observed, grouped by component."""
    grouped: dict[str, dict[Place, dict[str, list[str]]]] = {device.id: {} for device in devices}
    for place, observation in observed:
        if place.device.id in grouped:
            groups = grouped[place.device.id].setdefault(place, defaultdict(list))
            groups[_GROUPS[observation.item.category]].append(_observation_xml(observation))
    inside = "".join(
        f"<DeviceStream{_attributes(name=device.name, uuid=device.uuid or device.id)}>"
        f"{''.join(_component_stream(*found) for found in grouped[device.id].items())}</DeviceStream>"
        for device in devices
    )
    header = (
        f'{_header(told)} bufferSize="{told.size}" nextSequence="{next_sequence}" '
        f'firstSequence="{told.first}" lastSequence="{told.next - 1}"/>'
    )
    return _wrap("MTConnectStreams", f"{header}<Streams>{inside}</Streams>")


def error(told: Buffer, code: str, text: str) -> bytes:
    """MTConnectError: why there is no document."""
    inside = f"<Error{_attributes(errorCode=code)}>{html.escape(text)}</Error>"
    return _wrap("MTConnectError", f'{_header(told)} bufferSize="{told.size}"/><Errors>{inside}</Errors>')


def _header(told: Buffer) -> str:
    return "<Header" + _attributes(
        creationTime=iso(time.time_ns()),
        sender=told.sender,
        instanceId=str(told.instance),
        version=f"{VERSION}.0.0",
    )


def walk(device: Device) -> Iterator[tuple[Place, Item]]:
    """Every data item of a device, with its component."""

    def below(components: Iterable[Component]) -> Iterator[tuple[Place, Item]]:
        for component in components:
            place = Place(device, component.kind, component.id, component.name)
            yield from ((place, item) for item in component.items)
            yield from below(component.components)

    top = Place(device, "Device", device.id, device.name)
    yield from ((top, item) for item in device.items)
    yield from below(device.components)


def element(type_: str) -> str:
    """The element's name of a type: ROTARY_VELOCITY is RotaryVelocity, x:FOO is x:Foo."""
    prefix, colon, word = type_.rpartition(":")
    return prefix + colon + "".join(part.capitalize() for part in word.split("_"))


def _attributes(**values: str) -> str:
    return "".join(f' {name}="{html.escape(value)}"' for name, value in values.items() if value)


def _device_xml(device: Device) -> str:
    about = _attributes(manufacturer=device.manufacturer, model=device.model, serialNumber=device.serial)
    inside = _items_xml(device.items) + _components_xml(device.components)
    return (
        f"<Device{_attributes(id=device.id, name=device.name, uuid=device.uuid or device.id)}>"
        f"<Description{about}/>{inside}</Device>"
    )


def _components_xml(components: Iterable[Component]) -> str:
    inside = "".join(
        f"<{part.kind}{_attributes(id=part.id, name=part.name)}>"
        f"{_items_xml(part.items)}{_components_xml(part.components)}</{part.kind}>"
        for part in components
    )
    return f"<Components>{inside}</Components>" if inside else ""


def _items_xml(items: Iterable[Item]) -> str:
    inside = "".join(
        "<DataItem"
        + _attributes(
            category=item.category,
            id=item.id,
            name=item.name,
            subType=item.sub_type,
            type=item.type,
            units=item.units,
            nativeUnits=item.units,
        )
        + "/>"
        for item in items
    )
    return f"<DataItems>{inside}</DataItems>" if inside else ""


def _component_stream(place: Place, groups: Mapping[str, list[str]]) -> str:
    inside = "".join(f"<{group}>{''.join(groups[group])}</{group}>" for group in _GROUPS.values() if group in groups)
    about = _attributes(component=place.kind, name=place.name, componentId=place.id)
    return f"<ComponentStream{about}>{inside}</ComponentStream>"


def _observation_xml(observation: Observation) -> str:
    item = observation.item
    about = _attributes(
        dataItemId=item.id,
        timestamp=iso(observation.time_ns),
        name=item.name,
        sequence=str(observation.sequence),
        subType=item.sub_type,
        type=item.type if item.category == "CONDITION" else "",
        nativeCode=observation.code,
    )
    text = html.escape(observation.text, quote=False)
    return f"<{observation.element}{about}>{text}</{observation.element}>"


def _wrap(root: str, inside: str) -> bytes:
    space = f"urn:mtconnect.org:{root}:{VERSION}"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns:m="{space}" xmlns="{space}" '
        f'xmlns:x="urn:isthmus:extension" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{inside}</{root}>\n'
    ).encode()
