"""What an agent has: its probe document as data items, each with a path by names.

A path is `Device[OKUMA]/Axes/Rotary[C]/ROTARY_VELOCITY.ACTUAL`: element names from the device down,
a name in brackets where the component has one, and at its end the type, with the subtype behind a
dot. Where two data items would have the same path, the id stands in brackets behind it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from isthmus.edge.mtconnect_client import xml
from isthmus.model.samples import ValueKind

# Units of MTConnect part 2, section 7.2.2, as the plant file writes them.
UNITS: Final = {
    "AMPERE": "A",
    "BAR": "bar",
    "CELSIUS": "°C",
    "COUNT": "pcs",
    "CUBIC_MILLIMETER": "mm ** 3",
    "DEGREE": "degree",
    "DEGREE/SECOND": "degree / s",
    "HERTZ": "Hz",
    "JOULE": "J",
    "KILOGRAM": "kg",
    "LITER": "l",
    "LITER/SECOND": "l / s",
    "MILLIMETER": "mm",
    "MILLIMETER/REVOLUTION": "mm",
    "MILLIMETER/SECOND": "mm/s",
    "MILLIMETER/SECOND^2": "mm/s2",
    "NEWTON": "N",
    "NEWTON_METER": "Nm",
    "PASCAL": "Pa",
    "PERCENT": "%",
    "REVOLUTION/MINUTE": "rpm",
    "SECOND": "s",
    "VOLT": "V",
    "VOLT_AMPERE": "volt_ampere",
    "WATT": "W",
    "WATT_SECOND": "J",
}
_WHOLE_NUMBERS: Final = frozenset({"PART_COUNT", "LINE_NUMBER", "TOOL_NUMBER", "HARDNESS", "BLOCK_COUNT"})
_LAST = re.compile(r"^(?P<type>[^.\[\]]+)(\.(?P<sub>[^\[\]]+))?(\[(?P<name>.*)\])?$")
_STEP = re.compile(r"^(?P<kind>[^\[\]]+)(\[(?P<name>.*)\])?$")


class Step(NamedTuple):
    """One component on the way to a data item; name is "" where it has none."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}[{self.name}]" if self.name else self.kind


class DataItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the agent observes."""

    id: str
    name: str
    category: str
    type: str
    sub_type: str
    units: str
    representation: str
    steps: tuple[Step, ...]

    @property
    def path(self) -> str:
        """By names from the device down; not always unique."""
        return "/".join([*map(str, self.steps), self.type + (f".{self.sub_type}" if self.sub_type else "")])

    @property
    def kind(self) -> ValueKind:
        """The value kind that suits it."""
        if self.category == "CONDITION" or self.representation not in ("", "VALUE", "DISCRETE"):
            return ValueKind.STR
        if self.units.endswith("_3D"):
            return ValueKind.STR
        if self.category == "SAMPLE":
            return ValueKind.F64
        if self.type in _WHOLE_NUMBERS:
            return ValueKind.I64
        return ValueKind.F64 if self.units else ValueKind.STR


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One machine as its agent describes it."""

    name: str
    uuid: str
    maker: str = ""
    model: str = ""
    serial: str = ""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A whole probe document."""

    header: xml.Header
    devices: tuple[Device, ...]
    items: tuple[DataItem, ...]


class Directory:
    """Data items by everything that a tag may call them. Made once per probe."""

    def __init__(self, items: Sequence[DataItem]) -> None:
        self._items = items
        times = Counter(item.path for item in items)
        self.by_path = {item.path if times[item.path] == 1 else f"{item.path}[{item.id}]": item for item in items}
        """Every data item by a path that is its own."""
        self._by_id = {item.id: [item] for item in items}
        self._by_name: dict[str, list[DataItem]] = defaultdict(list)
        for item in items:
            self._by_name[item.name].append(item)

    def find(self, address: str) -> DataItem:
        """The data item with this id, else this name, else this path; names may be left out of a path.

        Raises LookupError with a sentence when there is none, or more than one.
        """
        found = self._by_id.get(address) or self._by_name.get(address) or self._on(address)
        if len(found) == 1:
            return found[0]
        if not found:
            msg = f"the agent has no data item {address}; browse it for the ids, names and paths that it has"
        else:
            some = ", ".join(item.id for item in found[:5])
            msg = f"{address} means {len(found)} data items ({some}); write the id of one"
        raise LookupError(msg)

    def _on(self, path: str) -> list[DataItem]:
        if path in self.by_path:
            return [self.by_path[path]]
        return [item for item in self._items if _leads_to(path.split("/"), item)]


def read(document: bytes) -> Probe:
    """Parse a probe document. Raises xml.NotMtconnect and xml.AgentError."""
    reader = _Reader()
    header = xml.parse(document, "MTConnectDevices", reader.start, reader.end, lambda _: None)
    return Probe(header=header, devices=tuple(reader.devices), items=tuple(reader.items))


class _Reader:
    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.items: list[DataItem] = []
        self._open: list[tuple[str, Step | None]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = xml.local(name)
        above = self._open[-1][0] if self._open else ""
        step: Step | None = None
        if name == "Device" or (above == "Components"):
            step = Step(name, attributes.get("name", ""))
        if name == "Device":
            self.devices.append(Device(name=attributes.get("name", ""), uuid=attributes.get("uuid", "")))
        elif name == "Description" and above == "Device":
            self.devices[-1] = msgspec.structs.replace(
                self.devices[-1],
                maker=attributes.get("manufacturer", ""),
                model=attributes.get("model", ""),
                serial=attributes.get("serialNumber", ""),
            )
        elif name == "DataItem" and "id" in attributes:
            self.items.append(self._item(attributes))
        self._open.append((name, step))

    def end(self, _: str) -> None:
        if self._open:
            self._open.pop()

    def _item(self, attributes: dict[str, str]) -> DataItem:
        return DataItem(
            id=attributes["id"],
            name=attributes.get("name", ""),
            category=attributes.get("category", ""),
            type=attributes.get("type", ""),
            sub_type=attributes.get("subType", ""),
            units=attributes.get("units", ""),
            representation=attributes.get("representation", ""),
            steps=tuple(step for _, step in self._open if step is not None),
        )


def _leads_to(path: Sequence[str], item: DataItem) -> bool:
    last = _LAST.match(path[-1])
    if last is None or len(path) != len(item.steps) + 1 or last["type"] != item.type:
        return False
    if last["sub"] not in (None, item.sub_type) or last["name"] not in (None, item.name, item.id):
        return False
    for text, step in zip(path, item.steps, strict=False):
        asked = _STEP.match(text)
        if asked is None or asked["kind"] != step.kind or asked["name"] not in (None, step.name):
            return False
    return True
