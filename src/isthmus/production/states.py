"""What a machine is doing, from what it says: one `StateChanged` for each change, at the source's time.

Flicker is told as it is; whether a short stop counts as lost time is the KPI policy's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.model.fold import Item
from isthmus.model.plant import Machine
from isthmus.model.records import Record
from isthmus.model.records.production import StateChanged
from isthmus.model.samples import Samples
from isthmus.model.states import State
from isthmus.production.rules import CODE, STATES, mapper
from isthmus.production.signals import Column, Value, side_by_side

STOP_CODE = "stop code"
"""The name of the stop code among the signals; no rule can use it, as it holds a space."""


class StatesState(msgspec.Struct):
    """The last value of each signal, None where it is not known, and the state that was told last."""

    held: dict[str, bool | int | float | str | None] = {}
    state: State | None = None
    native: str = ""
    stop_code: str = ""
    since_ns: int = 0


class States:
    """Samples of the state's tags in, `StateChanged` out. Not known is UNKNOWN, never RUN."""

    name: ClassVar[str] = "production/states"
    reads: ClassVar[tuple[type[Record], ...]] = ()
    emits: ClassVar[tuple[type[Record], ...]] = (StateChanged,)
    State: type[msgspec.Struct] = StatesState

    def __init__(self, machine: Machine) -> None:
        self._path = machine.path
        self._find = mapper(machine.state)
        self._signals = dict(machine.state.tags)
        if machine.stop_code is not None:
            self._signals[STOP_CODE] = machine.stop_code
        self.tags: Sequence[str] = tuple(dict.fromkeys(self._signals.values()))

    def step(self, state: StatesState, item: Item) -> Iterable[Record]:
        """Take one stretch of samples."""
        if not isinstance(item, Samples) or not item.series:
            return ()
        held: dict[str, Value | None] = state.held
        moments, columns = side_by_side(held, item, self._signals)
        if not len(moments):
            return ()
        found = self._find(columns, len(moments))
        codes = _stop_codes(columns.get(STOP_CODE), found.code)
        return list(self._changes(state, moments, found.code, found.native, codes))

    def preview(self, state: StatesState, now_ns: int) -> Iterable[Record]:
        """The present state, as it was told at its start."""
        if state.state is None or state.since_ns > now_ns:
            return ()
        return (self._record(state, state.since_ns),)

    def _changes(
        self,
        state: StatesState,
        moments: NDArray[np.int64],
        code: NDArray[np.int8],
        native: NDArray[Any],
        stop_code: NDArray[Any],
    ) -> Iterator[Record]:
        differs = np.ones(len(moments), np.bool_)
        differs[1:] = (code[1:] != code[:-1]) | (native[1:] != native[:-1]) | (stop_code[1:] != stop_code[:-1])
        for index in np.flatnonzero(differs).tolist():
            now = (STATES[code[index]], str(native[index]), str(stop_code[index]))
            if now == (state.state, state.native, state.stop_code):
                continue
            state.state, state.native, state.stop_code = now
            state.since_ns = int(moments[index])
            yield self._record(state, state.since_ns)

    def _record(self, state: StatesState, time_ns: int) -> StateChanged:
        return StateChanged(
            path=self._path,
            time_ns=time_ns,
            state=state.state or State.UNKNOWN,
            native=state.native,
            stop_code=state.stop_code,
        )


def _stop_codes(column: Column | None, code: NDArray[np.int8]) -> NDArray[Any]:
    """The stop code at each moment as a text, "" while the machine runs, says 0 or nothing."""
    out = np.full(len(code), "", object)
    if column is None:
        return out
    still = column.known & (code != CODE[State.RUN])
    for index in np.flatnonzero(still).tolist():
        value = column.value[index]
        out[index] = value if isinstance(value, str) else _digits(float(value))
    return out


def _digits(value: float) -> str:
    if value == 0:
        return ""
    return str(int(value)) if value.is_integer() else str(value)
