"""Which lot a machine makes, and of which component lots: from its own tags and from what people say.

A person's saying is of an order on this machine: it holds from its moment on until the next saying, or until
the machine's tag names another lot. What the tags say holds whatever order runs. The newest word stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import ClassVar

import msgspec

from isthmus.model.fold import Item
from isthmus.model.plant import Machine
from isthmus.model.records import Record
from isthmus.model.records.people import LotGiven
from isthmus.model.records.production import LotChanged, LotUsed, RunEnded, RunStarted
from isthmus.model.samples import Samples
from isthmus.production.runs import said

MADE = ""
"""Stands for the lot that is made, where a component's lot stands under its material."""
REMEMBERED = 100
"""How many orders' sayings are kept, so that a lot may be told before the order starts and after it paused."""


class Lots(msgspec.Struct, frozen=True):
    """What was told last: the order, its lot, and the lots that it uses up."""

    order: str = ""
    lot: str = ""
    used: tuple[LotUsed, ...] = ()


class Told(msgspec.Struct):
    """What people said of one order: its lots, by material."""

    order: str
    lots: dict[str, str] = {}


class LotsState(msgspec.Struct):
    """The order that runs, what the tags and people said, and what was told last."""

    order: str = ""
    product: str = ""
    tags: dict[str, str] = {}
    """The lot that the tag says, by material; `MADE` for the lot that is made."""
    people: list[Told] = []
    """The same as people said it, order by order; the one they spoke of last stands last."""
    told: Lots = Lots()
    told_ns: int = -1
    count: int = 0
    """How many were told at `told_ns`: the ordinal of the next."""


class LotsOf:
    """Lot tags, people's sayings and runs in, `LotChanged` out."""

    name: ClassVar[str] = "production/lots"
    reads: ClassVar[tuple[type[Record], ...]] = (RunStarted, RunEnded, LotGiven)
    emits: ClassVar[tuple[type[Record], ...]] = (LotChanged,)
    State: type[msgspec.Struct] = LotsState

    def __init__(self, machine: Machine) -> None:
        self._path = machine.path
        self._places = dict(machine.lots_in) | ({} if machine.lot is None else {MADE: machine.lot})
        self.tags: Sequence[str] = tuple(dict.fromkeys(self._places.values()))

    def step(self, state: LotsState, item: Item) -> Iterable[Record]:
        """Take one stretch of samples or one record."""
        match item:
            case Samples():
                return self._sampled(state, item)
            case RunStarted():
                state.order, state.product = item.order, item.product
                return self._tell(state, item.time_ns)
            case RunEnded() if item.order == state.order:
                state.order = ""
            case LotGiven():
                _hear(state, item)
                return self._tell(state, item.time_ns) if item.order == state.order else ()
            case _:
                pass
        return ()

    def preview(self, state: LotsState, now_ns: int) -> Iterable[Record]:  # noqa: ARG002  the contract's names
        """Nothing is open: a lot holds from the moment at which it was told."""
        return ()

    def _sampled(self, state: LotsState, samples: Samples) -> list[Record]:
        changes = sorted(
            (time_ns, place, lot)
            for place, tag in self._places.items()
            if tag in samples.series
            for time_ns, lot in said(samples.series[tag])
        )
        out: list[Record] = []
        for time_ns, words in groupby(changes, key=lambda change: change[0]):
            for _, place, lot in words:
                if place in state.tags and state.tags[place] != lot:
                    _heard(state, state.order).pop(place, None)
                state.tags[place] = lot
            out += self._tell(state, time_ns)
        return out

    def _tell(self, state: LotsState, time_ns: int) -> list[Record]:
        """The lots of the order that runs, where they differ from what was told."""
        if not state.order:
            return []
        lots = {**state.tags, **_heard(state, state.order)}
        used = tuple(LotUsed(material=name, lot=lots[name]) for name in sorted(lots) if name != MADE and lots[name])
        now = Lots(state.order, lots.get(MADE, ""), used)
        if now == state.told or (not now.lot and not used and state.told.order != state.order):
            return []
        state.count = state.count + 1 if state.told_ns == time_ns else 0
        state.told, state.told_ns = now, time_ns
        return [
            LotChanged(
                path=self._path,
                time_ns=time_ns,
                ordinal=state.count,
                order=now.order,
                product=state.product,
                lot=now.lot,
                used=used,
            )
        ]


def _heard(state: LotsState, order: str) -> dict[str, str]:
    return next((told.lots for told in state.people if told.order == order), {})


def _hear(state: LotsState, item: LotGiven) -> None:
    place = MADE if item.direction == "out" else item.material
    lots = {**_heard(state, item.order), place: item.lot}
    others = [told for told in state.people if told.order != item.order]
    state.people = [*others, Told(item.order, lots)][-REMEMBERED:]
