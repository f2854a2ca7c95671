"""States: what a machine says becomes what it is doing; what it does not say is UNKNOWN."""

from __future__ import annotations

import math
from typing import Any

import pytest
from drive import PATH, at, fold_all, of, plant, series
from hypothesis import given
from hypothesis import strategies as some

from isthmus.model import status as st
from isthmus.model.plant import Machine, StateRules
from isthmus.model.records.production import StateChanged
from isthmus.model.samples import Series
from isthmus.model.states import State
from isthmus.production.rules import RulesMistake
from isthmus.production.states import States

Signal = dict[int, Any]


def machine(stop_code: str | None = None, **rules: Any) -> Machine:  # noqa: ANN401  what StateRules takes
    return Machine(path=PATH, name="CNC-01", calendar="usual", state=StateRules(**rules), stop_code=stop_code)


def changes(one: Machine, samples: dict[str, Series], cuts: tuple[int, ...] = ()) -> list[StateChanged]:
    facts = fold_all([States(one)], plant(one), samples, start_ns=at("00:00"), end_ns=at("23:59"), cuts=cuts)
    return of(StateChanged, facts)


def told(one: Machine, samples: dict[str, Series]) -> list[tuple[str, str]]:
    return [(change.state.value, change.native) for change in changes(one, samples)]


PACKML = machine(profile="packml", tags={"state": "p/state", "blocked": "p/blocked", "mode": "p/mode"})


def test_packml_numbers_and_words_mean_the_same() -> None:
    tags = {"p/mode": series([(at("07:00"), 1)]), "p/blocked": series([(at("07:00"), False)])}
    numbers = told(PACKML, tags | {"p/state": series([(at("08:00"), 4), (at("09:00"), 6), (at("10:00"), 11)])})
    words = told(
        PACKML, tags | {"p/state": series([(at("08:00"), "Idle"), (at("09:00"), "EXECUTE"), (at("10:00"), "held")])}
    )
    assert numbers[-3:] == words[-3:] == [("IDLE", "Idle"), ("RUN", "Execute"), ("DOWN", "Held")]


def test_suspended_is_blocked_or_starved_as_the_machine_says() -> None:
    found = told(
        PACKML,
        {
            "p/state": series([(at("08:00"), 5)]),
            "p/mode": series([(at("08:00"), 1)]),
            "p/blocked": series([(at("08:00"), True), (at("09:00"), False)]),
        },
    )
    assert found == [("BLOCKED", "true"), ("STARVED", "Suspended")]


def test_manual_mode_hides_running_and_not_a_breakdown() -> None:
    samples = {"p/mode": series([(at("07:00"), 3)]), "p/blocked": series([(at("07:00"), False)])}
    found = told(PACKML, samples | {"p/state": series([(at("07:00"), 6), (at("08:00"), 9)])})
    assert found == [("SETUP", "Manual"), ("DOWN", "Aborted")]


@pytest.mark.parametrize("lost", ["p/state", "p/mode"])
def test_a_lost_tag_makes_a_running_machine_unknown_and_never_running(lost: str) -> None:
    samples = {
        "p/state": series([(at("07:00"), 6)]),
        "p/mode": series([(at("07:00"), 1)]),
        "p/blocked": series([(at("07:00"), False)]),
    }
    samples[lost] = series(
        [*zip(samples[lost].time_ns.tolist(), samples[lost].value.tolist(), strict=True), (at("08:00"), None)]
    )
    found = changes(PACKML, samples)
    assert [change.state for change in found] == [State.RUN, State.UNKNOWN]
    assert found[-1].time_ns == at("08:00")


def test_uncertain_is_usable_and_a_word_nobody_knows_is_unknown() -> None:
    one = machine(profile="mtconnect", tags={"execution": "m/exec"})
    samples = {"m/exec": series([(at("08:00"), "ACTIVE"), (at("09:00"), "LOITERING")], {at("08:00"): st.UNCERTAIN})}
    assert told(one, samples) == [("RUN", "ACTIVE"), ("UNKNOWN", "LOITERING")]


def test_a_triggered_emergency_stop_is_down_whatever_the_program_says() -> None:
    one = machine(profile="mtconnect", tags={"execution": "m/exec", "emergency_stop": "m/estop"})
    samples = {
        "m/exec": series([(at("08:00"), "ACTIVE")]),
        "m/estop": series([(at("08:00"), "ARMED"), (at("09:00"), "TRIGGERED")]),
    }
    assert told(one, samples) == [("RUN", "ACTIVE"), ("DOWN", "TRIGGERED")]


def test_a_plant_may_give_a_word_another_meaning() -> None:
    one = machine(profile="packml", tags={"state": "p/state"}, override={"Held": State.BLOCKED})
    assert told(one, {"p/state": series([(at("08:00"), 11)])}) == [("BLOCKED", "Held")]


RULES = machine(
    tags={"alarm": "d/alarm", "spindle_speed": "d/speed"},
    rules=("DOWN if alarm", "RUN if spindle_speed > 50", "IDLE"),
    stop_code="d/code",
)


def test_tags_with_different_times_are_held_until_their_next_sample() -> None:
    samples = {
        "d/alarm": series([(at("08:00"), False), (at("10:00"), True), (at("11:00"), False)]),
        "d/speed": series([(at("08:30"), 900.0), (at("09:00"), 10.0), (at("09:30"), 800.0)]),
    }
    assert [(change.state.value, change.time_ns) for change in changes(RULES, samples)] == [
        ("UNKNOWN", at("08:00")),
        ("RUN", at("08:30")),
        ("IDLE", at("09:00")),
        ("RUN", at("09:30")),
        ("DOWN", at("10:00")),
        ("RUN", at("11:00")),
    ]


def test_the_stop_code_is_carried_while_the_machine_stands_and_dropped_when_it_runs() -> None:
    samples = {
        "d/alarm": series([(at("08:00"), True), (at("09:00"), False)]),
        "d/speed": series([(at("08:00"), 900.0)]),
        "d/code": series([(at("08:00"), 0), (at("08:01"), 417)]),
    }
    assert [(change.state.value, change.stop_code) for change in changes(RULES, samples)] == [
        ("DOWN", ""),
        ("DOWN", "417"),
        ("RUN", ""),
    ]


def test_a_machine_whose_rules_are_wrong_is_refused_with_every_mistake() -> None:
    with pytest.raises(RulesMistake, match="did you mean 'alarm'"):
        States(machine(tags={"alarm": "d/alarm"}, rules=("DOWN if alrm",)))


value = some.one_of(some.none(), some.sampled_from([0.0, 40.0, 60.0, float("nan")]))
flag = some.one_of(some.none(), some.booleans())


@given(
    some.dictionaries(some.integers(0, 60), value, max_size=30),
    some.dictionaries(some.integers(0, 60), flag, max_size=20),
    some.dictionaries(some.integers(0, 60), some.sampled_from([None, 0, 7, 9]), max_size=20),
    some.lists(some.integers(0, 61), max_size=6),
)
def test_folding_in_parts_equals_folding_once(speed: Signal, alarm: Signal, code: Signal, cuts: list[int]) -> None:
    samples = {"d/speed": series(speed.items()), "d/alarm": series(alarm.items()), "d/code": series(code.items())}
    once, parts = (
        fold_all([States(RULES)], plant(RULES), samples, start_ns=0, end_ns=61, cuts=given) for given in ((), cuts)
    )
    assert once == parts
    held: dict[str, Any] = {"speed": None, "alarm": None}
    told_at = {fact.time_ns: fact.state for fact in of(StateChanged, once)}
    state = State.UNKNOWN
    for moment in range(61):
        held |= {name: given[moment] for name, given in (("speed", speed), ("alarm", alarm)) if moment in given}
        state = told_at.get(moment, state)
        assert state == by_hand(held["speed"], alarm=held["alarm"])


def by_hand(speed: float | None, *, alarm: bool | None) -> State:
    if alarm is None or (not alarm and (speed is None or math.isnan(speed))):
        return State.UNKNOWN
    if alarm:
        return State.DOWN
    return State.RUN if speed is not None and speed > 50 else State.IDLE
