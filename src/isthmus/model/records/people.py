"""What people say: reasons, orders on machines, corrections. The moment of typing is `said_ns`.

`time_ns` is the moment from which the saying holds, so that yesterday's stop explained today
changes yesterday. Each is appended by a page or a command on behalf of the person named in `by`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from isthmus.model.records.base import Record


class ReasonGiven(Record, frozen=True, kw_only=True):
    """Why a machine stood still from `time_ns` to `end_ns`. Path: the work unit.

    A later saying over the same stretch wins; a split is two sayings over its parts.
    `end_ns` None means until the stop ends.
    """

    emitter: ClassVar[str] = "web/reasons"

    end_ns: int | None
    reason: str
    note: str = ""
    by: str
    said_ns: int


class JobStarted(Record, frozen=True, kw_only=True):
    """A person put an order on a machine. Path: the work unit."""

    emitter: ClassVar[str] = "web/jobs"

    order: str
    operation: str = ""
    by: str
    said_ns: int


class JobStopped(Record, frozen=True, kw_only=True):
    """A person took the order off the machine. Path: the work unit."""

    emitter: ClassVar[str] = "web/jobs"

    order: str
    finished: bool = True
    by: str
    said_ns: int


class QuantityCorrected(Record, frozen=True, kw_only=True):
    """A person corrects what was counted. Deltas may be negative. Path: the work unit."""

    emitter: ClassVar[str] = "web/quantities"

    order: str
    good: int = 0
    scrap: int = 0
    rework: int = 0
    note: str = ""
    by: str
    said_ns: int


class LotGiven(Record, frozen=True, kw_only=True):
    """Which lot an order makes or uses up on a machine, from `time_ns` on. Path: the work unit.

    Holds for this order on this machine until the next saying, or until the machine's own lot tag changes.
    """

    emitter: ClassVar[str] = "web/lots"

    order: str
    direction: Literal["in", "out"]
    """in: a component that is used up; out: what is made."""
    material: str = ""
    """The component; "" for what the order makes."""
    lot: str
    by: str
    said_ns: int


class ParkedDecided(Record, frozen=True, kw_only=True):
    """What a person decided on a report that the ERP would not take. Path: plant#erp/key."""

    emitter: ClassVar[str] = "web/orders"

    decision: Literal["send again", "drop"]
    note: str = ""
    by: str
    said_ns: int


class SiteCut(Record, frozen=True, kw_only=True):
    """What people on the IT side said about the link: the site refuses it, or takes it again. Path: plant#conduit/name.

    One person cuts. Lifting is asked for by one and done by another; it ends the site's refusal and opens
    nothing on the OT side, where two people reopen the conduit by themselves.
    """

    emitter: ClassVar[str] = "web/cut"

    step: Literal["cut", "lift asked", "lifted"]
    reason: str
    by: str
    asked_by: str = ""
    """Of a lifting: who asked for it."""
    said_ns: int


class SampleCorrected(Record, frozen=True, kw_only=True):
    """A person put a sample right. Path: plant#source/name; `time_ns`: the sample's; ordinal: the site's tag id.

    A later correction of the same sample is a higher revision. History keeps every version.
    """

    emitter: ClassVar[str] = "site/corrections"

    tag: str
    value: str
    """As text; "" says that there was none to believe."""
    status: int
    why: str
    by: str
    said_ns: int
