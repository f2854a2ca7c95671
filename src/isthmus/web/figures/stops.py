"""The stops of a window with their reasons, who gave them and when, and the one in progress."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from isthmus.model.plant import Machine, Plant, Reason
from isthmus.model.records.production import StopExplained
from isthmus.model.states import WITH_ORDER, WITHOUT_ORDER, Element, State
from isthmus.model.time import NS_PER_S
from isthmus.web.figures.shifts import Window
from isthmus.web.house import House


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of a stretch: who, when, and the key by which it can be taken back."""

    time_ns: int
    ordinal: int
    revision: int
    end_ns: int | None
    reason: str
    note: str
    by: str
    said_ns: int


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of standing still."""

    start_ns: int
    end_ns: int
    """Now, while it goes on."""
    going_on: bool
    state: State
    reason: str
    """Code; "" while nobody has said."""
    note: str
    by: str
    """"machine", a person's name, or ""."""
    order: str
    element: Element
    """The ISO 22400 element that its planned busy time belongs to."""
    micro: bool = False
    """It and what it touches are shorter than the policy's micro-stop: lost speed, not downtime."""
    said: Said | None = None
    """The newest saying that covers its start."""

    @property
    def length_ns(self) -> int:
        """How long it has lasted."""
        return self.end_ns - self.start_ns


def stops_in(house: House, machine: Machine, window: Window) -> list[Stop]:
    """The stops that touch the window, in order; the one in progress last."""
    plant, start, end = house.site.plant, window.start_ns, window.now_ns
    rows = house.site.views.query(
        "SELECT * FROM stops WHERE path = ? AND time_ns > ? AND start_ns < ? ORDER BY start_ns",
        (machine.path, start, max(end, start + 1)),
    )
    said = sayings(house, machine.path, start, end)
    found = {row["start_ns"]: _stop(plant, machine, dict(row), said, going_on=False) for row in rows}
    for record in house.site.namespace.preview(machine.path, "StopExplained"):
        if isinstance(record, StopExplained) and record.start_ns < end and record.time_ns > start:
            row = msgspec.structs.asdict(record) | {"order_no": record.order}
            found.setdefault(record.start_ns, _stop(plant, machine, row, said, going_on=window.current))
    return _with_micro([found[key] for key in sorted(found)], house.site.plant.kpi.micro_stop_s)


def sayings(house: House, path: str, start_ns: int, end_ns: int) -> list[Said]:
    """What people said of stretches that touch [start, end), oldest saying first."""
    rows = house.site.views.query(
        "SELECT * FROM stops_said WHERE path = ? AND time_ns < ? AND ifnull(end_ns, ?) > ? ORDER BY said_ns, ordinal",
        (path, end_ns, end_ns, start_ns),
    )
    return [msgspec.convert({**dict(row)}, Said) for row in rows]


def reasons_for(plant: Plant, machine: Machine) -> list[Reason]:
    """The reasons that are offered on a machine."""
    below = machine.path.removeprefix(plant.path + "/")
    return [
        reason
        for reason in plant.reasons.values()
        if not reason.machines or machine.path in reason.machines or below in reason.machines
    ]


def _with_micro(found: list[Stop], limit_s: float) -> list[Stop]:
    """Mark what is a micro-stop: a stop is measured whole, over all pieces of it that touch."""
    out: list[Stop] = []
    for _, group in groupby(_numbered(found), key=itemgetter(0)):
        pieces = [stop for _, stop in group]
        short = pieces[-1].end_ns - pieces[0].start_ns < limit_s * NS_PER_S
        out += [
            msgspec.structs.replace(stop, micro=short and stop.element in (Element.ADET, Element.ADOT))
            for stop in pieces
        ]
    return out


def _numbered(found: list[Stop]) -> Iterator[tuple[int, Stop]]:
    """Each piece with the number of the stop that it is a piece of."""
    number, end = 0, None
    for stop in found:
        number += stop.start_ns != end
        end = stop.end_ns
        yield number, stop


def _element(plant: Plant, machine: Machine, row: dict[str, Any]) -> Element:
    """As production decides it: the reason's, else the machine's own mapping, else the usual one."""
    reason = plant.reasons.get(row["reason"])
    if reason is not None and reason.planned:
        return Element.OUTSIDE
    usual = WITH_ORDER if row["order_no"] else WITHOUT_ORDER
    element = machine.state.elements.get(State(row["state"]), usual[State(row["state"])])
    if reason is not None and reason.element is not None and reason.element is not Element.APT:
        element = reason.element
    return Element.OUTSIDE if element is Element.AUST and not plant.kpi.setup_in_planned_time else element


def _stop(plant: Plant, machine: Machine, row: dict[str, Any], said: list[Said], *, going_on: bool) -> Stop:
    start, end = row["start_ns"], row["time_ns"]
    covering = [one for one in said if one.time_ns <= start and (one.end_ns is None or one.end_ns > start)]
    return Stop(
        start_ns=start,
        end_ns=end,
        going_on=going_on,
        state=State(row["state"]),
        reason=row["reason"],
        note=row["note"],
        by=row["by"],
        order=row["order_no"],
        element=_element(plant, machine, row),
        said=covering[-1] if covering else None,
    )
