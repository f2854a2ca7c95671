"""The simulated plant: repeatable, and its truth agrees with what its signals say."""

from __future__ import annotations

from isthmus.model.states import State
from isthmus.model.time import NS_PER_S
from isthmus.sim.faults import Faults
from isthmus.sim.world import Change, MachineSpec, Work, World

SPEC = MachineSpec(name="cnc-01", path="a/b/c/d/e", protocol="opcua", breakdown=0.05, alarms=("F0457",))
END = 600 * NS_PER_S


def lived(steps: int, seed: int = 7) -> tuple[World, list[Change]]:
    world = World([SPEC], seed, 0)
    world.machines["cnc-01"].load(Work(order="1047", product="SHAFT", quantity=60, cycle_s=4.0))
    changes = [change for step in range(1, steps + 1) for change in world.advance(END * step // steps)]
    return world, changes


def test_the_same_seed_gives_the_same_plant_however_often_it_is_asked() -> None:
    assert lived(3)[1] == lived(400)[1]
    assert lived(3)[1] != lived(3, seed=8)[1]


def test_the_counters_say_exactly_what_was_made() -> None:
    world, changes = lived(50)
    good = max(int(change.value) for change in changes if change.signal == "good")
    scrap = max((int(change.value) for change in changes if change.signal == "scrap"), default=0)
    assert world.machines["cnc-01"].truth.made(0, END) == (good, scrap)
    assert good == 60


def test_the_times_in_all_states_add_up() -> None:
    world, _ = lived(50)
    spent = world.machines["cnc-01"].truth.state_ns(0, END)
    assert sum(spent.values()) == END
    assert spent[State.RUN] > 60 * 4 * NS_PER_S


def test_changes_come_in_the_order_of_time() -> None:
    times = [change.time_ns for change in lived(50)[1]]
    assert times == sorted(times)


def test_a_breakdown_stops_the_cycle_and_the_piece_is_finished_afterwards() -> None:
    world = World([MachineSpec(name="m", path="a", protocol="x", scrap=0, micro_stop=0)], 1, 0)
    machine = world.machines["m"]
    machine.load(Work(order="1", product="P", quantity=1, cycle_s=20.0))
    list(world.advance(20 * NS_PER_S))
    assert machine.values["state"] == "RUN"
    machine.break_down(30, "F0457")
    list(world.advance(30 * NS_PER_S))
    assert machine.values["state"] == "DOWN"
    assert machine.values["alarm"] == "F0457"
    list(world.advance(120 * NS_PER_S))
    assert machine.truth.made(0, 120 * NS_PER_S) == (1, 0)


def test_a_machine_ten_times_as_fast_does_the_same_in_a_tenth_of_the_time() -> None:
    usual, fast = World([SPEC], 7, 0), World([SPEC], 7, 0, speed=10.0)
    for world in (usual, fast):
        world.machines["cnc-01"].load(Work(order="1047", product="SHAFT", quantity=60, cycle_s=4.0))
    list(usual.advance(END))
    list(fast.advance(END // 10))
    slow_truth, fast_truth = usual.machines["cnc-01"].truth, fast.machines["cnc-01"].truth
    assert [good for _, _, good in fast_truth.pieces] == [good for _, _, good in slow_truth.pieces]
    assert [state for _, state in fast_truth.states] == [state for _, state in slow_truth.states]
    for (short_ns, _), (long_ns, _) in zip(fast_truth.states, slow_truth.states, strict=True):
        assert abs(short_ns * 10 - long_ns) < 10_000, "to the rounding of a nanosecond at each step"


def test_a_broken_fast_machine_goes_on_with_the_piece_in_hand() -> None:
    world = World([MachineSpec(name="m", path="a", protocol="x", scrap=0, micro_stop=0)], 1, 0, speed=10.0)
    machine = world.machines["m"]
    machine.load(Work(order="1", product="P", quantity=1, cycle_s=20.0))
    list(world.advance(2 * NS_PER_S))
    assert machine.values["state"] == "RUN"
    machine.break_down(30, "F0457")
    list(world.advance(5 * NS_PER_S))
    assert machine.truth.made(0, 5 * NS_PER_S) == (0, 0)
    list(world.advance(8 * NS_PER_S))
    assert machine.truth.made(0, 8 * NS_PER_S) == (1, 0)


def test_faults_bend_what_is_told_and_never_the_truth() -> None:
    faults = Faults()
    told = Change("cnc-01", "temperature", 3600 * NS_PER_S, 40.0)
    faults.drift("cnc-01", "temperature", 2.0, 0)
    assert next(faults.bend([told])).value == 42.0
    faults.lie("cnc-01", "temperature", 99.0)
    faults.jump_clock("cnc-01", 5)
    assert next(faults.bend([told])).time_ns == told.time_ns + 5
    faults.mend("cnc-01")
    assert list(faults.bend([told])) == [told]
