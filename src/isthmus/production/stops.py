"""Every stretch of standing still with its reason, told when it is over.

A stretch is one state with one reason; where either changes, the next begins. Time that nobody saw
is no stop unless a person says what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from isthmus.model.fold import Item
from isthmus.model.plant import Machine, Plant
from isthmus.model.records import Record
from isthmus.model.records.people import ReasonGiven
from isthmus.model.records.production import RunEnded, RunStarted, StateChanged, StopExplained
from isthmus.model.records.site import Tick
from isthmus.model.samples import Samples
from isthmus.model.states import State
from isthmus.production.reasons import Piece, Saying, codes, explain, saying, still_holding
from isthmus.production.spans import Timeline


class StopsState(msgspec.Struct):
    """The stop in progress, up to where it has been told, and what people said of it."""

    timeline: Timeline = msgspec.field(default_factory=Timeline)
    told_ns: int = 0
    sayings: list[Saying] = []


class Stops:
    """States, orders and sayings in, `StopExplained` out."""

    name: ClassVar[str] = "production/stops"
    reads: ClassVar[tuple[type[Record], ...]] = (StateChanged, ReasonGiven, RunStarted, RunEnded, Tick)
    emits: ClassVar[tuple[type[Record], ...]] = (StopExplained,)
    State: type[msgspec.Struct] = StopsState

    def __init__(self, plant: Plant, machine: Machine) -> None:
        self._path = machine.path
        self._by_code = codes(plant, machine)
        self.tags: Sequence[str] = ()

    def step(self, state: StopsState, item: Item) -> Iterable[Record]:
        """Take one record."""
        if isinstance(item, Samples):
            return ()
        timeline, now_ns = state.timeline, item.time_ns
        if isinstance(item, ReasonGiven):
            state.sayings.append(saying(item))
            if timeline.since_ns is None:
                return ()
        if timeline.since_ns is None:
            timeline.begin(now_ns)
        if isinstance(item, Tick) and not any(state.told_ns < (one.end_ns or 0) <= now_ns for one in state.sayings):
            return ()
        stood = timeline.state is not State.RUN
        timeline.take(item)
        if timeline.state is not State.RUN:
            if not stood:
                timeline.closed = []
            return self._told(state, now_ns)
        over = self._told(state, now_ns) if stood else []
        timeline.closed = []
        state.sayings = still_holding(state.sayings, now_ns) if stood else state.sayings
        return over

    def preview(self, state: StopsState, now_ns: int) -> Iterable[Record]:
        """The stop in progress, as if it ended now."""
        if state.timeline.state is State.RUN:
            return []
        return [self._record(piece) for piece in self._pieces(state, now_ns) if piece.end_ns == now_ns]

    def _told(self, state: StopsState, now_ns: int) -> list[Record]:
        """What has ended by now; looking one ns ahead shows whether the last piece goes on."""
        running = state.timeline.state is State.RUN
        ended = [piece for piece in self._pieces(state, now_ns + (not running)) if piece.end_ns <= now_ns]
        if ended:
            state.told_ns = ended[-1].end_ns
        return [self._record(piece) for piece in ended]

    def _pieces(self, state: StopsState, end_ns: int) -> list[Piece]:
        """The stop up to `end_ns` in whole pieces, without what has been told."""
        stop = [span for span in state.timeline.until(end_ns) if span.state is not State.RUN]
        out: list[Piece] = []
        for piece in explain(stop, state.sayings, self._by_code) if stop else ():
            if piece.end_ns <= state.told_ns or (piece.state is State.UNKNOWN and not piece.reason):
                continue
            last = out[-1] if out else None
            if last and last.end_ns == piece.start_ns and _key(last) == _key(piece):
                out[-1] = last._replace(end_ns=piece.end_ns)
            else:
                out.append(piece._replace(start_ns=max(piece.start_ns, state.told_ns)))
        return out

    def _record(self, piece: Piece) -> StopExplained:
        return StopExplained(
            path=self._path,
            time_ns=piece.end_ns,
            start_ns=piece.start_ns,
            state=piece.state,
            reason=piece.reason,
            note=piece.note,
            by=piece.by,
            order=piece.order,
        )


def _key(piece: Piece) -> tuple[str, ...]:
    return (piece.state, piece.reason, piece.note, piece.by)
