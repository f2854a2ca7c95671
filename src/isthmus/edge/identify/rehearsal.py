"""What would be sent to a device, byte for byte, without sending anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isthmus.edge.identify.approved import Target
from isthmus.edge.identify.frames import Frame, Number, Part, Text
from isthmus.edge.identify.protocols import askings


class Rehearsed(NamedTuple):
    """One request that may be sent. Bytes that the device's own answers decide stand as two dots."""

    name: str
    clause: str
    hex: str


def rehearse(target: Target) -> Iterator[Rehearsed]:
    """Every request that this device may be sent, in order; not all are needed for every device."""
    approval = target.approval
    host = f"[{target.address}]" if ":" in target.address else target.address
    values: dict[str, int | bytes] = {
        "unit": approval.unit,
        "object": 0,
        "rack and slot": approval.rack << 5 | approval.slot,
        "community": approval.community.encode(),
        "url": f"opc.tcp://{host}:{target.port}/".encode(),
    }
    for frame in askings()[approval.protocol].FRAMES:
        if not any(isinstance(part, Number) and part.name == "slot" for part in frame.parts):
            yield Rehearsed(frame.name, frame.clause, _shown(frame, values))
            continue
        for slot in approval.slots:
            yield Rehearsed(f"{frame.name}, slot {slot}", frame.clause, _shown(frame, {**values, "slot": slot}))


def _shown(frame: Frame, values: Mapping[str, int | bytes]) -> str:
    return " ".join(_part(part, values) for part in frame.parts)


def _part(part: Part, values: Mapping[str, int | bytes]) -> str:
    if isinstance(part, bytes):
        return part.hex(" ")
    if isinstance(part, (Number, Text)) and part.name in values:
        return Frame("", "", (part,)).fill(values).hex(" ")
    return f"({part.name})" if isinstance(part, Text) else " ".join([".."] * part.size)
