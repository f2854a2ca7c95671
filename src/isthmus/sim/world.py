"""The simulated plant itself: machines that take orders, make pieces, stop, wear, warm up and use energy.

It knows no protocol. It is given time and gives changes of signals, each with the moment at which it
happened, and keeps the truth aside: which state each machine was in, and what it really made.
The same seed and the same commands give the same plant, whatever the machine that runs it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from isthmus.model.states import State
from isthmus.model.time import NS_PER_S

Value = float | int | str | bool

POWER_W: Final = {State.RUN: 7200.0, State.SETUP: 2100.0, State.IDLE: 1500.0, State.DOWN: 900.0, State.OFF: 40.0}
AMBIENT_C: Final = 21.0
WARMEST_C: Final = 58.0


class Change(NamedTuple):
    """One signal of one machine took a value at a moment."""

    machine: str
    signal: str
    time_ns: int
    value: Value


class MachineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How one machine behaves. Rates are per cycle, times in seconds."""

    name: str
    path: str
    protocol: str
    setup_s: float = 6.0
    scrap: float = 0.03
    micro_stop: float = 0.05
    micro_stop_s: float = 4.0
    breakdown: float = 0.0
    breakdown_s: float = 40.0
    alarms: tuple[str, ...] = ("E-STOP",)
    slower: float = 1.06
    """Mean cycle over ideal cycle."""
    counter_bits: int = 32
    analogue_s: float = 1.0
    """How often the slow signals (load, heat, power) are sampled."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a machine's operator keys it in."""

    order: str
    product: str
    quantity: int
    cycle_s: float
    lot: str = ""
    """The lot that the order makes, and the lot of material that it uses up; "" where nobody keys one in."""
    material_lot: str = ""


class Truth(msgspec.Struct):
    """What really happened to one machine, kept aside for the comparison."""

    states: list[tuple[int, State]] = []
    pieces: list[tuple[int, str, bool]] = []
    """moment, order, good"""

    def state_ns(self, start_ns: int, end_ns: int) -> dict[State, int]:
        """Time in each state within [start_ns, end_ns)."""
        out: dict[State, int] = {}
        for index, (begin, state) in enumerate(self.states):
            stop = self.states[index + 1][0] if index + 1 < len(self.states) else end_ns
            length = min(stop, end_ns) - max(begin, start_ns)
            if length > 0:
                out[state] = out.get(state, 0) + length
        return out

    def made(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Good and scrapped pieces within [start_ns, end_ns)."""
        inside = [good for moment, _, good in self.pieces if start_ns <= moment < end_ns]
        return sum(inside), len(inside) - sum(inside)


class Machine:
    """One machine: a phase that ends at `until_ns`, and what follows it.

    At a speed of N everything that it does takes an Nth of its time, by the same clock: a faster machine in the
    same day. How often its slow signals are sampled stays.
    """

    def __init__(self, spec: MachineSpec, seed: int, start_ns: int, speed: float = 1.0) -> None:
        self.spec, self.truth, self.speed = spec, Truth(), speed
        self.queue: list[Work] = []
        self.work: Work | None = None
        self.made_of_work = 0
        self.good, self.scrap = 0, 0
        self.values: dict[str, Value] = {}
        self._chance = random.Random(f"{seed}/{spec.name}")
        # Its own, so that how long a machine waits for its first order does not change what it does with it.
        self._noise = random.Random(f"{seed}/{spec.name}/noise")
        self._state = State.OFF
        self._now_ns = start_ns
        self._until_ns = start_ns
        self._analogue_ns = start_ns
        self._cycle_left_ns = 0
        self._heat_c, self._wear, self._energy_wh = AMBIENT_C + 9, 0.0, 0.0
        self._closing = False
        self._out: list[Change] = []

    @property
    def state(self) -> State:
        """What it is doing now."""
        return self._state

    def advance(self, to_ns: int) -> list[Change]:
        """Let time pass up to `to_ns`; the changes in order of time."""
        while min(self._until_ns, self._analogue_ns) <= to_ns:
            if self._analogue_ns <= self._until_ns:
                self._sample(self._analogue_ns)
            else:
                self._now_ns = self._until_ns
                self._next()
        self._now_ns = to_ns
        out, self._out = self._out, []
        return out

    def load(self, work: Work) -> None:
        """Put an order behind those that wait."""
        self.queue.append(work)
        if self.work is None and self._state in (State.IDLE, State.OFF):
            self._until_ns = min(self._until_ns, self._now_ns + int(NS_PER_S / self.speed))

    def unload(self) -> None:
        """Finish the piece in hand, take the order off, and begin no other; at once where it stands still."""
        self._closing = True
        if self.work is not None and self._state is not State.RUN:
            self.work, self._cycle_left_ns = None, 0
            self._set("order", "")
            self._set("product", "")

    def break_down(self, seconds: float, alarm: str) -> None:
        """Stop in the middle of whatever it does, for so long, with an alarm."""
        if self._state is State.RUN:
            self._cycle_left_ns = self._until_ns - self._now_ns
        self._enter(State.DOWN, seconds, alarm)

    def _next(self) -> None:
        """The present phase has ended: decide what follows."""
        if self._state is State.RUN:
            self._piece_done()
        if self.work is None:
            self._take_work()
        elif self._closing or self.made_of_work >= self.work.quantity:
            self._finish_work()
        elif self._cycle_left_ns:
            left, self._cycle_left_ns = self._cycle_left_ns, 0
            self._enter(State.RUN, left / NS_PER_S * self.speed)
        elif self._state is State.RUN and self._chance.random() < self.spec.breakdown:
            seconds = self.spec.breakdown_s * self._chance.uniform(0.6, 1.4)
            self._enter(State.DOWN, seconds, self._chance.choice(self.spec.alarms))
        elif self._state is State.RUN and self._chance.random() < self.spec.micro_stop:
            self._enter(State.IDLE, self.spec.micro_stop_s * self._chance.uniform(0.5, 1.5))
        else:
            self._enter(State.RUN, self.work.cycle_s * self._chance.gauss(self.spec.slower, 0.03))

    def _take_work(self) -> None:
        if self._closing or not self.queue:
            self._enter(State.IDLE, 2.0)
            return
        self.work, self.made_of_work = self.queue.pop(0), 0
        self._set("order", self.work.order)
        self._set("product", self.work.product)
        self._set("lot", self.work.lot)
        self._set("material_lot", self.work.material_lot)
        self._enter(State.SETUP, self.spec.setup_s * self._chance.uniform(0.8, 1.2))

    def _finish_work(self) -> None:
        self.work = None
        self._set("order", "")
        self._set("product", "")
        self._enter(State.IDLE, 1.0)

    def _piece_done(self) -> None:
        if self.work is None:
            return
        good = self._chance.random() >= self.spec.scrap
        self.good, self.scrap = self.good + good, self.scrap + (not good)
        self.made_of_work += good
        self._wear += 1.0
        self.truth.pieces.append((self._now_ns, self.work.order, good))
        limit = 1 << self.spec.counter_bits
        self._set("good" if good else "scrap", (self.good if good else self.scrap) % limit)

    def _enter(self, state: State, seconds: float, alarm: str = "") -> None:
        self._until_ns = self._now_ns + int(max(seconds * NS_PER_S, 50_000_000) / self.speed)
        if state is not self._state or not self.truth.states:
            self._state = state
            self.truth.states.append((self._now_ns, state))
            self._set("alarm", alarm)
            self._set("state", state.value)

    def _sample(self, now_ns: int) -> None:
        seconds = self.spec.analogue_s
        self._analogue_ns = now_ns + int(seconds * NS_PER_S)
        seconds *= self.speed
        running = self._state is State.RUN
        self._heat_c += ((WARMEST_C if running else AMBIENT_C) - self._heat_c) * (1 - 0.99**seconds)
        power_w = POWER_W.get(self._state, POWER_W[State.IDLE]) * self._noise.gauss(1.0, 0.02)
        self._energy_wh += power_w * seconds / 3600
        saved, self._now_ns = self._now_ns, now_ns
        self._set("spindle_speed", round(self._noise.gauss(8200, 15), 1) if running else 0.0)
        self._set("spindle_load", round(min(max(self._noise.gauss(44, 6), 0), 100), 1) if running else 0.0)
        self._set("temperature", round(self._heat_c + self._noise.gauss(0, 0.05), 2))
        self._set("vibration", round((0.9 + self._wear / 4000) * self._noise.uniform(0.9, 1.1), 3) if running else 0.05)
        self._set("power", round(power_w, 1))
        self._set("energy", round(self._energy_wh, 3))
        self._now_ns = saved

    def _set(self, signal: str, value: Value) -> None:
        if self.values.get(signal) != value:
            self.values[signal] = value
            self._out.append(Change(self.spec.name, signal, self._now_ns, value))


class World:
    """All machines of the plant at one moment."""

    def __init__(self, specs: Sequence[MachineSpec], seed: int, start_ns: int, speed: float = 1.0) -> None:
        self.start_ns = start_ns
        self.machines = {spec.name: Machine(spec, seed, start_ns, speed) for spec in specs}
        for machine in self.machines.values():
            machine.values |= {"good": 0, "scrap": 0}
            machine.values |= dict.fromkeys(("order", "product", "lot", "material_lot", "alarm"), "")

    def advance(self, to_ns: int) -> Iterator[Change]:
        """Let time pass for every machine."""
        for machine in self.machines.values():
            yield from machine.advance(to_ns)
