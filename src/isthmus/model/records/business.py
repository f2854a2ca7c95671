"""Facts from the business system: what is ordered, what is due in, and how each report fared."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from isthmus.model.records.base import Record


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of an order's routing (ISA-95 segment requirement)."""

    sequence: int
    operation: str
    work_centre: str = ""
    """The ERP's name of the machine, "" where the ERP leaves it open."""
    machine: str = ""
    """Whole path of ours, "" where no machine answers to the ERP's name."""
    state: str = ""


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """Material that an order takes in. `quantity` is a decimal number as text."""

    material: str
    quantity: str
    unit: str = ""
    lot_tracked: bool = False
    """True when the business system demands the lot of what is taken in."""


class JobOrdered(Record, frozen=True, kw_only=True):
    """An order as the ERP has it now (ISA-95 operations request). Path: plant#order/number."""

    emitter: ClassVar[str] = "enterprise/inbox"

    order: str
    product: str
    quantity: float
    unit: str = ""
    state: Literal["planned", "released", "running", "finished", "cancelled"] = "planned"
    due_ns: int | None = None
    start_ns: int | None = None
    priority: int = 0
    steps: tuple[Step, ...] = ()
    materials: tuple[Component, ...] = ()
    reference: str = ""
    external_id: str = ""
    cost: str = ""
    """What the ERP says it has cost so far, a decimal number as text."""
    lot_tracked: bool = False
    """True when the business system demands the lot of what is made."""


class MaterialExpected(Record, frozen=True, kw_only=True):
    """Material that a supplier owes us; a quantity of 0 means that it has come or was cancelled. Path: plant#inbound/id."""

    emitter: ClassVar[str] = "enterprise/inbox"

    material: str
    quantity: str
    unit: str
    due_ns: int | None
    origin: str = ""


class MaterialStocked(Record, frozen=True, kw_only=True):
    """How much of a material lies in stock. Path: plant#material/code."""

    emitter: ClassVar[str] = "enterprise/inbox"

    material: str
    quantity: str
    unit: str = ""


class ErpItem(Record, frozen=True, kw_only=True):
    """A report to the ERP and how far it got. Path: plant#erp/key.

    pending -> sending -> confirmed | unknown | parked. Unknown is looked up before it is sent again. Parked waits
    for a person, who sends it again or drops it; dropped it is rejected. Withdrawn before it was sent it is `gone`.
    """

    emitter: ClassVar[str] = "enterprise/outbox"

    order: str
    command: str
    """The kind of the command: start, time, quantity, lot, finish, unstart."""
    body: str
    """The command as JSON."""
    state: Literal["pending", "sending", "confirmed", "unknown", "rejected", "parked"]
    attempts: int = 0
    message: str = ""
    receipt: str = ""
    sequence: int = 0
    """Place in its order's line; an order's items go strictly one after the other."""


class ErpChanged(Record, frozen=True, kw_only=True):
    """The ERP answers, or no longer does. Path: plant#erp."""

    emitter: ClassVar[str] = "enterprise/link"

    up: bool
    cause: str = ""


class ErpRead(Record, frozen=True, kw_only=True):
    """The door has read the ERP up to here. Path: plant#erp/read/kind."""

    emitter: ClassVar[str] = "enterprise/inbox"

    cursor: str


class ErpDiffers(Record, frozen=True, kw_only=True):
    """The ERP's figure of an order is not what it confirmed to us. Path: plant#order/number.

    Taken back with `gone` once both agree again.
    """

    emitter: ClassVar[str] = "enterprise/compare"

    order: str
    what: Literal["good", "scrap", "machine time", "reports", "machine cost"]
    ours: str
    theirs: str
    """Both decimal numbers as text: pieces, seconds, reports, or money of the plant."""
