"""`[[identify]]`: which device may be asked who it is, how, when, and who said so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from msgspec import Meta

from isthmus.model.plant import Name, Section

ProtocolName = Literal["ads", "bacnet", "ethernet-ip", "fins", "modbus", "opc-ua", "s7", "snmp"]
LONGEST: Final = timedelta(days=7)
"""A window that is open longer is a standing permission, and nobody means that."""
MOST_SLOTS: Final = 7
_COMMUNITY: Final = 32


class Approval(Section, frozen=True, kw_only=True):
    """`[[identify]]`: one device that `isthmus audit identify` may ask who it is, by reading only."""

    address: Annotated[
        str, Meta(description="its IP address, in a [[zone]] with networks; never a name, never a safety zone's")
    ]
    protocol: Annotated[ProtocolName, Meta(description="ads, bacnet, ethernet-ip, fins, modbus, opc-ua, s7 or snmp")]
    approved_by: Annotated[Name, Meta(description="the person who answers for it")]
    begins: Annotated[datetime, Meta(tz=True, description="first moment, as 2026-11-25T18:00:00+01:00")]
    ends: Annotated[datetime, Meta(tz=True, description="last moment; at most seven days after it begins")]
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None, Meta(description="where it is not the protocol's own")
    ] = None
    unit: Annotated[
        int, Meta(ge=0, le=255, description="modbus: unit; 255 is the device itself, not one behind it")
    ] = 255
    slots: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=31)], ...],
        Meta(max_length=MOST_SLOTS, description="ethernet-ip: slots of its backplane to ask as well"),
    ] = ()
    rack: Annotated[int, Meta(ge=0, le=7, description="s7: rack of the CPU")] = 0
    slot: Annotated[int, Meta(ge=0, le=31, description="s7: slot of the CPU; 2 in S7-300, 1 in S7-1200 and 1500")] = 2
    community: Annotated[
        str, Meta(max_length=_COMMUNITY, description="snmp: the community to read with; none is ever guessed")
    ] = ""
