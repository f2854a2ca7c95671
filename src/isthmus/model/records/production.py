"""What production finds in the signals: states, counts, cycles, runs, stops, indicators.

Counts are pieces and may be fractions of one only where a counter's `per_count` says so.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from isthmus.model.records.base import Record
from isthmus.model.states import Element, State


class StateChanged(Record, frozen=True, kw_only=True):
    """A machine entered a state at `time_ns` and is in it until the next such record."""

    emitter: ClassVar[str] = "production/states"

    state: State
    native: str = ""
    """The machine's own word, or the rule that held."""
    stop_code: str = ""
    """The machine's own stop or alarm code at that moment, if it gives one."""


class Counted(Record, frozen=True, kw_only=True):
    """Pieces that a machine made since the record before. Never negative, but for corrections."""

    emitter: ClassVar[str] = "production/counts"

    good: float = 0
    scrap: float = 0
    rework: float = 0
    why: Literal["counter", "event", "corrected"] = "counter"
    note: str = ""
    order: str = ""
    """The order that a person's correction names; "" for what was counted, which is of the order that runs."""


class CycleDone(Record, frozen=True, kw_only=True):
    """One cycle ended at `time_ns`: a piece, or a shot of several."""

    emitter: ClassVar[str] = "production/cycles"

    start_ns: int
    pieces: float = 1
    run_ns: int = 0
    """How much of the cycle the machine was in RUN."""


class RunStarted(Record, frozen=True, kw_only=True):
    """An order began to run on a machine."""

    emitter: ClassVar[str] = "production/runs"

    order: str
    product: str = ""
    operation: str = ""
    sequence: int = 0
    """Sequence of the routing step in the ERP; 0 when unknown."""
    by: str = ""
    """"machine" when its order tag said so, else the person."""
    taken_on: float = 0
    """Good pieces that the order before handed on; see `RunEnded.handed_on`."""


class RunEnded(Record, frozen=True, kw_only=True):
    """An order stopped running on a machine: what came of it (ISA-95 segment response)."""

    emitter: ClassVar[str] = "production/runs"

    start_ns: int
    order: str
    product: str = ""
    operation: str = ""
    sequence: int = 0
    finished: bool = False
    good: float = 0
    scrap: float = 0
    rework: float = 0
    run_ns: int = 0
    setup_ns: int = 0
    down_ns: int = 0
    unobserved_ns: int = 0
    handed_on: float = 0
    """Good pieces, not in `good`, that were counted at the very end beyond what the order lacked: the next order's."""


class StopExplained(Record, frozen=True, kw_only=True):
    """A stretch of standing still, over, with its reason. Stops of one machine never overlap."""

    emitter: ClassVar[str] = "production/stops"

    start_ns: int
    state: State
    reason: str = ""
    """Code of a reason of the plant file; "" while nobody has said."""
    note: str = ""
    by: str = ""
    """"machine" when its stop code said so, else the person."""
    order: str = ""


class Elements(msgspec.Struct, frozen=True, kw_only=True):
    """Where a window's time went, ns by ISO 22400-2 element. They add up to the window."""

    apt_ns: int = 0
    aust_ns: int = 0
    adet_ns: int = 0
    adot_ns: int = 0
    outside_ns: int = 0
    unobserved_ns: int = 0
    micro_ns: int = 0
    """Micro-stops by the policy: counted as producing at lost speed, and already in `apt_ns`."""


class Indicator(Record, frozen=True, kw_only=True):
    """The ISO 22400-2 indicators of a window that ended at `time_ns`, under one policy.

    Ratios are None where their denominator is zero, never 0 or 1.
    """

    emitter: ClassVar[str] = "production/indicators"

    start_ns: int
    window: Literal["shift", "run"]
    name: str
    """Name of the shift, or number of the order."""
    policy: str
    """Name and version of the KPI policy, for example "Northgate 2026 · 3"."""
    elements: Elements
    pbt_ns: int
    good: float
    scrap: float
    rework: float
    ideal_ns: int
    """Sum over all pieces of the ideal time of each: PRI * PQ."""
    good_ideal_ns: int
    """The same over good pieces: PRI * GQ."""
    availability: float | None
    effectiveness: float | None
    quality: float | None
    oee: float | None
    coverage: float | None
    """Share of planned busy time that was observed, 0 to 1."""
    warning: str = ""
    """For example "standard wrong: effectiveness above 1"."""


class LotUsed(msgspec.Struct, frozen=True, kw_only=True):
    """A lot of a component that is being used up."""

    material: str
    lot: str


class LotChanged(Record, frozen=True, kw_only=True):
    """From `time_ns` on an order makes this lot of these lots, on one machine (ISA-95 material lot).

    Holds until the next such record, or until the order is off the machine. A piece counted at that very
    moment belongs to the lot before.
    """

    emitter: ClassVar[str] = "production/lots"

    order: str
    product: str = ""
    lot: str = ""
    """The lot that is made; "" while nobody has said."""
    used: tuple[LotUsed, ...] = ()
    """The component lots in use, by material; a material that nobody has told a lot of is not among them."""


class LotPart(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of one lot while the same component lots were in use. `lot` "" where nobody has said."""

    lot: str = ""
    good: float = 0
    scrap: float = 0
    rework: float = 0
    used: tuple[LotUsed, ...] = ()


class RunSettled(Record, frozen=True, kw_only=True):
    """What may be reported of one order on one machine: settled, it will not change by lateness alone.

    Emitted at the end of each run and of each shift that the run spans; holds the part since the last. A run of
    more than a minute gives its first part soon after it began, with nothing made and no time yet.
    """

    emitter: ClassVar[str] = "production/settlement"

    start_ns: int
    order: str
    product: str = ""
    operation: str = ""
    sequence: int = 0
    good: float = 0
    scrap: float = 0
    rework: float = 0
    run_ns: int = 0
    setup_ns: int = 0
    first: bool = False
    """True for the first part of a run: the ERP's order is to be started."""
    final: bool = False
    """True for the last part: the operation is finished."""
    lots: tuple[LotPart, ...] = ()
    """The same pieces by lot, in the order of time; none where no lot is known of any of them."""


def element_ns(elements: Elements, element: Element) -> int:
    """One element of `elements` by its name."""
    return int(getattr(elements, f"{element.value.lower()}_ns"))
