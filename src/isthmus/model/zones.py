"""Zones and the conduits between them (IEC 62443-3-2): a conduit is the only way across."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from isthmus.model.plant import Name, Section


class ZoneKind(StrEnum):
    """What stands in a zone. Safety is never read, never written and never asked."""

    ENTERPRISE = "enterprise"
    DMZ = "dmz"
    SUPERVISORY = "supervisory"
    CONTROL = "control"
    SAFETY = "safety"


_OUTWARDS: Final = {
    ZoneKind.SAFETY: 0,
    ZoneKind.CONTROL: 1,
    ZoneKind.SUPERVISORY: 2,
    ZoneKind.DMZ: 3,
    ZoneKind.ENTERPRISE: 4,
}
"""How far from the process a zone stands: what dials must not stand further out than what is dialled."""


def dials_inwards(opens: ZoneKind, dialled: ZoneKind) -> bool:
    """Whether a conduit would open a port towards OT. Supervisory may poll control; all else is dialled outwards."""
    return opens is not ZoneKind.SUPERVISORY and _OUTWARDS[opens] > _OUTWARDS[dialled]


class Zone(Section, frozen=True, kw_only=True):
    """`[[zone]]`: assets that share a need for protection."""

    name: Annotated[Name, Meta(description="short name that conduits and machines refer to")]
    kind: Annotated[ZoneKind, Meta(description="enterprise, dmz, supervisory, control or safety")]
    networks: Annotated[tuple[str, ...], Meta(description="its address ranges, CIDR, for example 10.4.1.0/24")] = ()
    owner: Annotated[str, Meta(description="who answers for it")] = ""


STANDARD_ZONES: Final = (
    Zone(name="control", kind=ZoneKind.CONTROL),
    Zone(name="supervisory", kind=ZoneKind.SUPERVISORY),
    Zone(name="enterprise", kind=ZoneKind.ENTERPRISE),
)
"""The zones of a plant file that names none."""


class Conduit(Section, frozen=True, kw_only=True):
    """`[[conduit]]`: a named way between two zones, with its owner and what is lost when it is cut."""

    name: Annotated[Name, Meta(description="short name: uplink, erp, vendor-cnc")]
    initiator: Annotated[str, Meta(description="the zone that opens the connection")]
    responder: Annotated[str, Meta(description="the zone that is dialled")]
    protocols: Annotated[tuple[str, ...], Meta(description="what flows: https, opcua, modbus")] = ()
    purpose: Annotated[str, Meta(description="why it exists, in one sentence")] = ""
    owner: Annotated[str, Meta(description="the person who answers for it")] = ""
    lost_when_cut: Annotated[str, Meta(description="what the business does without while it is cut")] = ""
    isolation_level: Annotated[int, Meta(ge=1, le=3, description="the isolation level from which on it is cut")] = 2
    review: Annotated[date | None, Meta(description="the day by which it is looked at again")] = None
