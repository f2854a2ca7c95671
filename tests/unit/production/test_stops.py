"""Stops and their reasons: by the machine's code, by a person, split, and corrected later."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from drive import PATH, Run, at, fold_all, of, plant, revised, series

from isthmus.model.plant import Counter, KpiPolicy, Machine, Reason, StateRules
from isthmus.model.records import Record
from isthmus.model.records.people import JobStarted, ReasonGiven
from isthmus.model.records.production import Indicator, StopExplained
from isthmus.model.samples import Series
from isthmus.model.states import WITH_ORDER, WITHOUT_ORDER, Element, State
from isthmus.model.time import NS_PER_MINUTE, Interval
from isthmus.production import folds
from isthmus.production.elements import Judgement, elements
from isthmus.production.reasons import Saying
from isthmus.production.spans import Span

MACHINE = Machine(
    path=PATH,
    name="CNC-01",
    calendar="usual",
    state=StateRules(profile="machinery", tags={"state": "m/state"}),
    stop_code="m/code",
    good=Counter(tag="m/good"),
)
REASONS = [
    Reason(code="TOOL", name="Tool change", match=("417", "418")),
    Reason(code="JAM", name="Jam", match=("5",), machines=("machining/line-a/cnc-02",)),
    Reason(code="MAT", name="No material"),
    Reason(code="PM", name="Maintenance", planned=True),
]
WHERE = plant(MACHINE, reasons=REASONS)
STOP = [(at("07:00"), "Executing"), (at("10:00"), "OutOfService"), (at("10:40"), "Executing")]


def facts(states: Sequence[tuple[int, str | None]], said: list[Record], code: Series | None = None) -> list[Record]:
    samples = {"m/state": series(states)} | ({"m/code": code} if code else {})
    return fold_all(folds(WHERE, MACHINE), WHERE, samples, said, start_ns=at("06:00"), end_ns=at("20:00"))


def told(
    states: Sequence[tuple[int, str | None]], *said: Record, code: Series | None = None
) -> list[tuple[str, str, str, str]]:
    return [
        (clock(one.start_ns), clock(one.time_ns), one.state.value, one.reason)
        for one in of(StopExplained, facts(states, list(said), code))
        if one.start_ns >= at("07:00")
    ]


def clock(time_ns: int) -> str:
    minutes, rest = divmod(time_ns - at("00:00"), NS_PER_MINUTE)
    return f"{minutes // 60:02}:{minutes % 60:02}" + (f"+{rest}" if rest else "")


def says(reason: str, start: str, end: str | None, said: int = 1) -> ReasonGiven:
    end_ns = None if end is None else at(end)
    return ReasonGiven(path=PATH, time_ns=at(start), end_ns=end_ns, reason=reason, by="Ada", said_ns=at("12:00") + said)


def test_a_stop_that_nobody_explained_is_told_without_a_reason() -> None:
    assert told(STOP) == [("10:00", "10:40", "DOWN", "")]


def test_a_stop_code_explains_its_stop_from_its_start_even_when_it_comes_a_little_later() -> None:
    late = series([(at("10:00:02"), "417"), (at("10:00:05"), "5")])
    assert told(STOP, code=late) == [("10:00", "10:40", "DOWN", "TOOL")]
    found = of(StopExplained, facts(STOP, [], late))
    assert found[-1].by == "machine"


def test_a_code_that_means_something_on_another_machine_explains_nothing_here() -> None:
    assert told(STOP, code=series([(at("10:00"), "5")])) == [("10:00", "10:40", "DOWN", "")]


def test_a_person_goes_before_the_stop_code_and_an_open_end_is_the_end_of_the_stop() -> None:
    code = series([(at("10:00"), "417")])
    assert told(STOP, says("MAT", "10:00", None), code=code) == [("10:00", "10:40", "DOWN", "MAT")]


def test_a_stop_may_be_split_and_a_later_saying_corrects_an_earlier_one() -> None:
    split = [says("MAT", "10:00", "10:15"), says("TOOL", "10:15", None, 2)]
    assert told(STOP, *split) == [("10:00", "10:15", "DOWN", "MAT"), ("10:15", "10:40", "DOWN", "TOOL")]
    corrected = says("PM", "10:05", "10:10", 3)
    assert told(STOP, *split, corrected) == [
        ("10:00", "10:05", "DOWN", "MAT"),
        ("10:05", "10:10", "DOWN", "PM"),
        ("10:10", "10:15", "DOWN", "MAT"),
        ("10:15", "10:40", "DOWN", "TOOL"),
    ]


def test_what_was_said_earlier_never_hides_what_was_said_later() -> None:
    assert told(STOP, says("MAT", "10:00", "10:40", 9), says("TOOL", "10:10", "10:20", 1)) == [
        ("10:00", "10:40", "DOWN", "MAT")
    ]


def test_a_saying_explains_no_running_time_and_no_other_stop() -> None:
    again = [*STOP, (at("11:00"), "OutOfService"), (at("11:05"), "Executing")]
    assert told(again, says("MAT", "09:30", "10:10"), says("TOOL", "09:00", None)) == [
        ("10:00", "10:10", "DOWN", "MAT"),
        ("10:10", "10:40", "DOWN", ""),
        ("11:00", "11:05", "DOWN", ""),
    ]


def test_a_change_of_state_within_a_stop_is_told_and_an_end_between_minutes_goes_to_the_next() -> None:
    states = [*STOP[:2], (at("10:20"), "NotExecuting"), STOP[2]]
    assert told(states, says("MAT", "10:00", "10:29:30")) == [
        ("10:00", "10:20", "DOWN", "MAT"),
        ("10:20", "10:30", "IDLE", "MAT"),
        ("10:30", "10:40", "IDLE", ""),
    ]


def test_time_that_nobody_saw_is_no_stop_unless_a_person_says_what_it_was() -> None:
    lost = [STOP[0], (at("10:00"), None), STOP[2]]
    assert told(lost) == []
    assert told(lost, code=series([(at("10:05"), "417")])) == []
    assert told(lost, says("MAT", "10:10", "10:20")) == [("10:10", "10:20", "UNKNOWN", "MAT")]


def test_a_late_reason_changes_its_stop_and_its_shift_and_is_then_forgotten() -> None:
    run = Run(folds(WHERE, MACHINE), WHERE)
    samples = {"m/state": series(STOP)}
    run.on(samples, [], at("06:00"), at("08:00"))
    checkpoint = run.checkpoint()
    before = run.fold(samples, [], at("08:00"), at("17:00"))
    arrived = run.checkpoint()
    run.restore(checkpoint)
    after = run.fold(samples, [says("PM", "10:00", "10:20")], at("08:00"), at("17:00"))
    changes = revised(before, after)
    assert sorted((type(one).__name__, one.revision, one.gone) for one in changes) == [
        ("Indicator", 1, False),
        ("StopExplained", 0, False),
        ("StopExplained", 1, False),
    ]
    assert run.checkpoint() == arrived


def test_a_stop_names_the_order_that_it_held_up() -> None:
    job = JobStarted(path=PATH, time_ns=at("08:00"), order="1047", by="Ada", said_ns=at("08:00"))
    assert [one.order for one in of(StopExplained, facts(STOP, [job])) if one.start_ns == at("10:00")] == ["1047"]


def test_the_stop_in_progress_and_the_shift_so_far_are_shown_and_never_told() -> None:
    run = Run(folds(WHERE, MACHINE), WHERE)
    run.on({"m/state": series(STOP[:2])}, [says("MAT", "10:00", None)], at("06:00"), at("10:25"))
    assert [one for one in of(StopExplained, run.facts) if one.start_ns == at("10:00")] == []
    shown = of(StopExplained, run.preview(at("10:25")))
    assert [(clock(one.start_ns), clock(one.time_ns), one.reason) for one in shown] == [("10:00", "10:25", "MAT")]
    shift = of(Indicator, run.preview(at("10:25")))[0]
    assert (shift.elements.apt_ns, shift.elements.adot_ns) == (120 * NS_PER_MINUTE, 25 * NS_PER_MINUTE)


@pytest.mark.parametrize("order", ["", "1047"])
@pytest.mark.parametrize("state", State)
def test_each_state_goes_to_one_element_within_planned_time_and_outside_beyond_it(state: State, order: str) -> None:
    hour = Interval(0, 60 * NS_PER_MINUTE)
    planned = [Interval(10 * NS_PER_MINUTE, 60 * NS_PER_MINUTE)]
    found = elements([Span(*hour, state, order)], planned, hour, [], Judgement(WHERE.kpi, WHERE.reasons, {}))
    wanted = (WITH_ORDER if order else WITHOUT_ORDER)[state]
    spent = {element: getattr(found, f"{element.value.lower()}_ns") // NS_PER_MINUTE for element in Element}
    expected = dict.fromkeys(Element, 0) | {Element.OUTSIDE: 10}
    expected[wanted] += 50
    assert spent == expected


def test_a_machine_may_have_its_own_mapping_and_a_reason_goes_before_it() -> None:
    hour = Interval(0, 60 * NS_PER_MINUTE)
    off = [Span(*hour, State.OFF, "1047")]
    mine = Judgement(WHERE.kpi, WHERE.reasons, {}, {State.OFF: Element.OUTSIDE})
    assert elements(off, [hour], hour, [], mine).outside_ns == hour.length_ns
    setup = Reason(code="SET", name="Set-up", element=Element.AUST)
    said = [Saying(0, None, "SET", "", "Ada", 1)]
    reasoned = mine._replace(reasons={"SET": setup})
    assert elements(off, [hour], hour, said, reasoned).aust_ns == hour.length_ns
    outside = reasoned._replace(policy=KpiPolicy(setup_in_planned_time=False))
    assert elements(off, [hour], hour, said, outside).outside_ns == hour.length_ns


def test_what_no_span_covers_is_unobserved() -> None:
    hour = Interval(0, 60)
    seen = [Span(20, 50, State.RUN)]
    found = elements(seen, [hour], hour, [], Judgement(WHERE.kpi, WHERE.reasons, {}))
    assert (found.apt_ns, found.unobserved_ns, found.outside_ns) == (30, 30, 0)
