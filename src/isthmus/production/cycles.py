"""When each cycle ended, how long it took and how much of it the machine was running."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from isthmus.model.fold import Item
from isthmus.model.plant import Machine
from isthmus.model.records import Record
from isthmus.model.records.production import Counted, CycleDone, StateChanged
from isthmus.model.states import State


class CyclesState(msgspec.Struct):
    """The cycle in progress: since when, and how long it ran; None before the machine first ran or counted."""

    start_ns: int | None = None
    run_ns: int = 0
    running_since_ns: int | None = None


class Cycles:
    """Counts and states in, one `CycleDone` for each count; a cycle begins where the one before it ended."""

    name: ClassVar[str] = "production/cycles"
    reads: ClassVar[tuple[type[Record], ...]] = (Counted, StateChanged)
    emits: ClassVar[tuple[type[Record], ...]] = (CycleDone,)
    State: type[msgspec.Struct] = CyclesState

    def __init__(self, machine: Machine) -> None:
        self._path = machine.path
        self.tags: Sequence[str] = ()

    def step(self, state: CyclesState, item: Item) -> Iterable[Record]:
        """Take one count or one change of state."""
        match item:
            case StateChanged():
                self._ran(state, item.time_ns)
                state.running_since_ns = item.time_ns if item.state is State.RUN else None
                if state.start_ns is None:
                    state.start_ns = state.running_since_ns
            case Counted(why="counter" | "event"):
                pieces = item.good + item.scrap + item.rework
                start_ns, run_ns = state.start_ns, self._ran(state, item.time_ns)
                state.start_ns, state.run_ns = item.time_ns, 0
                if start_ns is not None and pieces > 0:
                    return (
                        CycleDone(
                            path=self._path, time_ns=item.time_ns, start_ns=start_ns, pieces=pieces, run_ns=run_ns
                        ),
                    )
            case _:
                pass
        return ()

    def preview(self, state: CyclesState, now_ns: int) -> Iterable[Record]:  # noqa: ARG002  the contract's names
        """Nothing: a cycle in progress has made no piece."""
        return ()

    def _ran(self, state: CyclesState, time_ns: int) -> int:
        """Bring the running time up to a moment; returns it, ns."""
        if state.running_since_ns is not None:
            state.run_ns += time_ns - state.running_since_ns
            state.running_since_ns = time_ns
        return state.run_ns
