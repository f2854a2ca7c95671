"""A simulated shift of eight machines: what the wing finds in their signals is what really happened."""

from __future__ import annotations

import pytest
from drive import DAY_SHIFT, Run, at, of, plant, series

from isthmus.model.plant import Counter, Machine, Plant, Reason, StateRules
from isthmus.model.records.business import JobOrdered
from isthmus.model.records.production import Indicator, RunEnded, RunSettled, StateChanged, StopExplained
from isthmus.model.samples import Series
from isthmus.model.states import State
from isthmus.model.time import NS_PER_MINUTE
from isthmus.production import folds
from isthmus.production.settlement import BEGUN
from isthmus.sim.northgate import ARTICLES, MACHINES, work
from isthmus.sim.world import Machine as Simulated
from isthmus.sim.world import MachineSpec, World

BEGIN, END = at("08:00"), at("11:00")
WORDS = {"RUN": "Executing", "DOWN": "OutOfService", "OFF": "NotAvailable"}
QUANTITIES = (40, 25)


def lived(spec: MachineSpec) -> Simulated:
    """Three hours of one machine with two orders."""
    world = World([spec], seed=7, start_ns=BEGIN)
    machine = world.machines[spec.name]
    article = next(one for one in ARTICLES if spec.name in one.machines)
    for number, quantity in enumerate(QUANTITIES):
        machine.load(work(f"{1047 + number}", article, quantity))
    return machine


def heard(machine: Simulated) -> dict[str, Series]:
    """Its signals as an OPC UA machine with the Machinery model tells them."""
    points: dict[str, list[tuple[int, object]]] = {
        name: [] for name in ("state", "mode", "good", "scrap", "order", "alarm")
    }
    for signal, first in (("good", 0), ("scrap", 0), ("order", ""), ("alarm", "")):
        points[signal].append((BEGIN - 1, first))
    for change in machine.advance(END):
        if change.signal == "state":
            points["state"].append((change.time_ns, WORDS.get(str(change.value), "NotExecuting")))
            points["mode"].append((change.time_ns, "Setup" if change.value == "SETUP" else "Processing"))
        elif change.signal in points:
            points[change.signal].append((change.time_ns, change.value))
    return {f"m/{name}": series(dict(values).items()) for name, values in points.items()}


def described(spec: MachineSpec) -> Plant:
    machine = Machine(
        path=f"acme/northgate/{spec.path}",
        name=spec.name,
        calendar="usual",
        state=StateRules(profile="machinery", tags={"state": "m/state", "mode": "m/mode"}),
        good=Counter(tag="m/good", width=32),
        scrap=Counter(tag="m/scrap", width=32),
        order="m/order",
        stop_code="m/alarm",
    )
    return plant(machine, shifts=[DAY_SHIFT], reasons=[Reason(code="ALARM", name="Alarm", match=spec.alarms)])


@pytest.mark.parametrize("spec", MACHINES, ids=lambda spec: spec.name)
def test_states_pieces_and_orders_are_the_truth_to_the_nanosecond(spec: MachineSpec) -> None:
    machine, where = lived(spec), described(spec)
    samples = heard(machine)
    described_machine = next(iter(where.machines.values()))
    run = Run(folds(where, described_machine), where)
    orders = [
        JobOrdered(
            path=f"acme/northgate#order/{1047 + number}",
            time_ns=BEGIN - 1,
            order=f"{1047 + number}",
            product=ARTICLES[0].code,
            quantity=quantity,
        )
        for number, quantity in enumerate(QUANTITIES)
    ]
    for start in range(BEGIN - NS_PER_MINUTE, END, 7 * NS_PER_MINUTE):
        run.on(samples, orders, start, min(start + 7 * NS_PER_MINUTE, END))

    spent = dict.fromkeys(State, 0)
    changes = of(StateChanged, run.facts)
    for index, change in enumerate(changes):
        until = changes[index + 1].time_ns if index + 1 < len(changes) else END
        spent[change.state] += max(until - max(change.time_ns, BEGIN), 0)
    truth = machine.truth.state_ns(BEGIN, END)
    assert {state: length for state, length in spent.items() if length} == truth

    ended = of(RunEnded, run.facts)
    for one in ended:
        pieces = [good for _, order, good in machine.truth.pieces if order == one.order]
        assert (one.good, one.scrap, one.finished) == (sum(pieces), len(pieces) - sum(pieces), True)
    if truth.get(State.IDLE, 0) > NS_PER_MINUTE:
        assert [one.order for one in ended] == ["1047", "1048"]
    assert [(part.order, part.good, part.final) for part in of(RunSettled, run.facts) if part.ordinal != BEGUN] == [
        (one.order, one.good, one.finished) for one in ended
    ]
    assert all(stop.reason == "ALARM" for stop in of(StopExplained, run.facts) if stop.state is State.DOWN)
    shift = next(one for one in of(Indicator, run.preview(END)) if one.window == "shift")
    assert (shift.good, shift.scrap) == machine.truth.made(BEGIN, END)
