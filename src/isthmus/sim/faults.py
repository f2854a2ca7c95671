"""Faults to order: what a signal says is not what the machine does.

These bend what a machine's controller tells (lie, drift, clock jump); dropping its connections, muting,
killing, freezing and restarting the controller itself is in `processes.py`. The truth that the plant keeps aside is never bent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.model.time import NS_PER_HOUR
from isthmus.sim.world import Change, Value


class Faults:
    """Which signals are bent, and how. A machine's name and a signal's name say where."""

    def __init__(self) -> None:
        self._lies: dict[tuple[str, str], Value] = {}
        self._drifts: dict[tuple[str, str], tuple[int, float]] = {}
        self._clocks: dict[str, int] = {}

    def lie(self, machine: str, signal: str, value: Value) -> None:
        """The signal says `value` whatever happens: a stuck sensor."""
        self._lies[machine, signal] = value

    def drift(self, machine: str, signal: str, per_hour: float, since_ns: int) -> None:
        """The signal moves away from the truth by so much an hour: an ageing sensor."""
        self._drifts[machine, signal] = (since_ns, per_hour)

    def jump_clock(self, machine: str, by_ns: int) -> None:
        """The controller's clock is wrong by so much from now on."""
        self._clocks[machine] = by_ns

    def tell_truth(self, machine: str, signal: str) -> None:
        """One signal says what is so again."""
        self._lies.pop((machine, signal), None)
        self._drifts.pop((machine, signal), None)

    def set_clock_right(self, machine: str) -> None:
        """The controller's clock is right again."""
        self._clocks.pop(machine, None)

    def mend(self, machine: str) -> None:
        """Everything of this machine tells the truth again."""
        for key in [*self._lies, *self._drifts]:
            if key[0] == machine:
                self.tell_truth(*key)
        self.set_clock_right(machine)

    def bend(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The changes as the controllers tell them."""
        if not (self._lies or self._drifts or self._clocks):
            yield from changes
            return
        for change in changes:
            key = change.machine, change.signal
            value = self._lies.get(key, change.value)
            if key in self._drifts and isinstance(value, float):
                since_ns, per_hour = self._drifts[key]
                value += per_hour * (change.time_ns - since_ns) / NS_PER_HOUR
            time_ns = change.time_ns + self._clocks.get(change.machine, 0)
            yield Change(change.machine, change.signal, time_ns, value)
