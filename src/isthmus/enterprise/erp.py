"""What an ERP is. To add one, copy `erps/tryton/`; edit nothing else.

After a lost reply an item is *unknown*: `find` is asked before anything is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from isthmus.model.records import Record


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="command"):
    """One thing to be told to the ERP. `key` is the same for the same thing, for ever."""

    key: str
    order: str


class StartOrder(Command, frozen=True, kw_only=True, tag="start"):
    """The order runs now; its material is taken from stock."""


class ReportTime(Command, frozen=True, kw_only=True, tag="time"):
    """A machine worked on one operation for so long."""

    sequence: int
    operation: str
    work_centre: str
    seconds: float
    number: int = 1
    """The how-manieth report of time on this step it is, from 1: where the ERP stores no key, it is found by that."""


class LotQuantity(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the pieces belong to one lot; `lot` "" for those of which nobody has said."""

    lot: str
    good: float
    scrap: float


class ReportQuantity(Command, frozen=True, kw_only=True, tag="quantity"):
    """So many good and scrapped pieces came of the order in all, not since the last report."""

    good: float
    scrap: float
    lots: tuple[LotQuantity, ...] = ()
    """The same pieces by lot; none where no lot is known of any of them."""


class ReportLot(Command, frozen=True, kw_only=True, tag="lot"):
    """A lot was taken in or came out."""

    material: str
    lot: str
    direction: Literal["in", "out"]


class FinishOrder(Command, frozen=True, kw_only=True, tag="finish"):
    """Nothing more will come of the order."""


class TakeBackStart(Command, frozen=True, kw_only=True, tag="unstart"):
    """The order was started by mistake and nothing of it was made. No ERP that we know can take it: a person does."""


AnyCommand = StartOrder | ReportTime | ReportQuantity | ReportLot | FinishOrder | TakeBackStart

PullKind = Literal["orders", "inbound", "stock"]


class Pulled(NamedTuple):
    """Records read from the ERP, and where to go on."""

    records: Sequence[Record]
    cursor: str
    """Opaque; given back at the next pull. "" asks for everything."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The ERP has it. `reference` is how the ERP calls what it wrote."""

    reference: str
    message: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What this ERP can take and give; what it cannot is parked for a person, never dropped."""

    pulls: tuple[PullKind, ...]
    commands: tuple[str, ...]
    whole: tuple[PullKind, ...] = ()
    """The kinds that it can only give whole, whatever the cursor; they are read less often."""
    corrects_downwards: bool = False
    """True when a quantity or time once reported can be lowered."""
    native_keys: bool = False
    """True when the ERP stores our key, so that `find` is certain."""


class OrderBooked(msgspec.Struct, frozen=True, kw_only=True):
    """What the ERP has of one order, of what was reported to it."""

    order: str
    state: str
    """planned, released, running, finished or cancelled."""
    good: float
    scrap: float
    seconds: float
    """Machine time that we reported."""
    reports: int
    """In how many reports of time."""
    time_cost: str
    """What that machine time has cost, a decimal number as text."""
    cost: str
    """Of the order so far, a decimal number as text."""
    unit_price: str = ""
    """What the ERP says a good piece has cost, a decimal number as text; "" before it says."""


class Erp(Protocol):
    """One business system. Every implementation passes tests/conformance/test_erp.py."""

    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def pull(self, kind: PullKind, cursor: str) -> Pulled:
        """Read what changed. Raises ErpAway."""
        ...

    def push(self, command: AnyCommand) -> Receipt:
        """Tell it one thing, within one deadline. Raises ErpRefuses for a no, ErpAway for silence."""
        ...

    def find(self, command: AnyCommand) -> Receipt | None:
        """Whether it already has this command. Raises ErpAway."""
        ...

    def booked(self, order: str) -> OrderBooked | None:
        """What it has of an order, for comparing; None when it knows no such order. Raises ErpAway."""
        ...

    def close(self) -> None:
        """Leave no connection behind."""
        ...
