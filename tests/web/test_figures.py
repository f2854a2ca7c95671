"""Figures hold as laws: minutes add up whatever happened, strips have no gaps, shares never flatter."""

from __future__ import annotations

from itertools import pairwise

import pytest
import world as worlds
from hypothesis import given
from hypothesis import strategies as some

from isthmus.model.plant import Machine
from isthmus.model.records.production import Elements, Indicator, StateChanged
from isthmus.model.states import Element, State
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S, Interval
from isthmus.web import words
from isthmus.web.api import to_csv
from isthmus.web.figures import states
from isthmus.web.figures.jobs import ideal_cycle_s, planned_between
from isthmus.web.figures.losses import ladder
from isthmus.web.figures.shifts import Window, asked, current, neighbours
from isthmus.web.figures.stops import Stop, _with_micro
from isthmus.web.strip import thin

PLANT = worlds.plant(0)
MACHINE = PLANT.machines[worlds.path("CNC-01")]
T0 = 1_795_327_200 * NS_PER_S  # Sunday 22 November 2026, 06:00 in London


def window(length: int, *, now: int | None = None) -> Window:
    end = T0 + length
    return Window(
        name="Early",
        key="2026-11-22/Early",
        start_ns=T0,
        end_ns=end,
        now_ns=T0 + now if now is not None else end,
        planned=(Interval(T0, end),),
        current=now is not None,
    )


def indicator(elements: Elements, ideal: int, good_ideal: int) -> Indicator:
    busy = elements.apt_ns + elements.aust_ns + elements.adet_ns + elements.adot_ns + elements.unobserved_ns
    return Indicator(
        path=MACHINE.path,
        time_ns=T0 + busy + elements.outside_ns,
        start_ns=T0,
        window="shift",
        name="Early",
        policy="p",
        elements=elements,
        pbt_ns=busy,
        good=0,
        scrap=0,
        rework=0,
        ideal_ns=ideal,
        good_ideal_ns=good_ideal,
        availability=None,
        effectiveness=None,
        quality=None,
        oee=None,
        coverage=None,
    )


def stop(start: int, end: int, state: State = State.DOWN, reason: str = "") -> Stop:
    return Stop(
        start_ns=T0 + start,
        end_ns=T0 + end,
        going_on=False,
        state=state,
        reason=reason,
        note="",
        by="",
        order="1",
        element=Element.ADET,
    )


lengths = some.integers(0, 9 * NS_PER_HOUR)


@given(some.lists(lengths, min_size=8, max_size=8), some.lists(some.tuples(lengths, lengths), max_size=5))
def test_the_ladder_adds_up_to_the_nanosecond_and_as_it_is_shown(ns: list[int], pairs: list[tuple[int, int]]) -> None:
    apt, aust, adet, adot, outside, unobserved, ideal, scrap = ns
    elements = Elements(
        apt_ns=apt, aust_ns=aust, adet_ns=adet, adot_ns=adot, outside_ns=outside, unobserved_ns=unobserved
    )
    total = apt + aust + adet + adot + outside + unobserved
    stops = [stop(min(pair), max(pair)) for pair in pairs]
    found = ladder(PLANT, indicator(elements, ideal, max(0, ideal - scrap)), window(max(1, total)), stops)
    losses = [line for line in found.lines if not line.total]
    good = found.lines[-1]
    assert sum(line.length_ns for line in losses) + good.length_ns == total == found.length_ns
    shown = sum(round(line.shown_min * 10) for line in losses) + round(good.shown_min * 10)
    assert shown == round(found.lines[0].shown_min * 10)
    assert {"planned", "unobserved"} <= {line.key for line in losses}, "what is unknown is never dropped"
    at = total
    for line in found.lines:
        if line.total:
            assert (line.left_ns, line.length_ns) == (0, at)
        else:
            at -= line.length_ns
            assert line.left_ns == at


def test_stops_are_told_by_reason_and_what_they_do_not_explain_is_named() -> None:
    elements = Elements(apt_ns=60 * NS_PER_MINUTE, adet_ns=30 * NS_PER_MINUTE)
    stops = [stop(0, 10 * NS_PER_MINUTE, reason="TOOL"), stop(20 * NS_PER_MINUTE, 35 * NS_PER_MINUTE)]
    found = ladder(PLANT, indicator(elements, 0, 0), window(90 * NS_PER_MINUTE), stops)
    told = {line.name: round(line.shown_min) for line in found.lines if line.key.startswith("stop:")}
    assert told == {"Down, no reason yet": 15, "Tool change": 10, "Other stops": 5}


def test_a_stop_is_micro_when_all_of_it_is_short() -> None:
    second = NS_PER_S
    alone = stop(0, 10 * second)
    first, rest = stop(100 * second, 110 * second), stop(110 * second, 140 * second, State.IDLE)
    assert [one.micro for one in _with_micro([alone, first, rest], 20)] == [True, False, False]


@given(some.lists(some.tuples(some.integers(-50, 150), some.sampled_from(list(State))), max_size=30))
def test_a_strip_fills_its_window_without_gap_or_overlap(told: list[tuple[int, State]]) -> None:
    changes = [StateChanged(path="p", time_ns=T0 + at, state=state) for at, state in sorted(told)]
    filled = states.fill(changes, T0, T0 + 100)
    assert filled[0].start_ns == T0
    assert filled[-1].end_ns == T0 + 100
    assert all(one.end_ns == other.start_ns for one, other in pairwise(filled))
    if not changes or changes[0].time_ns > T0:
        assert filled[0].state is State.UNKNOWN


def test_a_strip_of_thousands_of_cycles_is_drawn_with_few_marks_that_fill_it() -> None:
    whole = window(8 * NS_PER_HOUR)
    changes = [
        StateChanged(path="p", time_ns=T0 + at * 7 * NS_PER_S, state=State.IDLE if at % 2 else State.RUN)
        for at in range(4000)
    ]
    changes += [StateChanged(path="p", time_ns=T0 + 7 * NS_PER_HOUR + 58 * NS_PER_MINUTE, state=State.DOWN)]
    changes.sort(key=lambda one: one.time_ns)
    drawn = thin(states.fill(changes, T0, whole.end_ns), whole, 240)
    assert len(drawn) <= 240
    assert drawn[0].start_ns == T0
    assert drawn[-1].end_ns == whole.end_ns
    assert all(one.end_ns == other.start_ns for one, other in pairwise(drawn))


@given(
    some.lists(some.integers(-(10**12), 10**13), max_size=12), some.sampled_from([NS_PER_MINUTE, NS_PER_MINUTE // 10])
)
def test_rounded_parts_add_up_and_none_is_off_by_more_than_one_step(parts: list[int], quantum: int) -> None:
    rounded = words.rounded_parts(parts, quantum)
    assert all(one % quantum == 0 for one in rounded)
    assert abs(sum(rounded) - sum(parts)) <= quantum // 2
    assert all(abs(one - part) <= quantum for one, part in zip(rounded, parts, strict=True))


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, words.NOTHING), (0, "0 %"), (0.714, "71 %"), (0.9996, "99.9 %"), (1, "100 %"), (1.084, "108 %")],
)
def test_a_share_is_never_rounded_up_to_whole(share: float | None, text: str) -> None:
    assert words.percent(share).replace("\xa0", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (600, "10 min"), (8040, "2 h 14 min"), (180_000, "2 d 2 h")],
)
def test_durations_read_in_their_largest_units(seconds: int, text: str) -> None:
    assert words.duration(seconds * NS_PER_S) == text


@pytest.mark.parametrize(
    ("given_", "unit", "text"),
    [
        (47.3, "%", "47.3 %"),
        (8200.0, "rpm", "8,200 rpm"),
        (188, "", "188"),
        (None, "kW", words.NOTHING),
        (True, "", "true"),
        (0.00123, "bar", "0.0012 bar"),
    ],
)
def test_values_carry_their_unit(given_: object, unit: str, text: str) -> None:
    assert words.value(given_, unit) == text


def test_the_shift_in_progress_and_its_neighbours_are_found() -> None:
    now = T0 + NS_PER_HOUR
    found = current(PLANT, MACHINE, now)
    assert (found.name, found.key, found.current) == ("Early", "2026-11-22/Early", True)
    assert (found.so_far_ns, found.planned_so_far_ns) == (NS_PER_HOUR, NS_PER_HOUR)
    before, after = neighbours(PLANT, MACHINE, found, now)
    assert before is not None
    assert (before.key, after) == ("2026-11-21/Night", None)
    assert asked(PLANT, MACHINE, now, "2026-11-22/Late") is None, "a shift that lies ahead has nothing to show"
    for nonsense in ("", "x", "2026-11-22", "2026-11-22/Noon", "9999-99-99/Early"):
        assert asked(PLANT, MACHINE, now, nonsense) is None


def test_the_break_is_no_planned_time_and_the_night_of_the_clock_change_has_nine_hours() -> None:
    assert planned_between(PLANT, MACHINE, T0, T0 + 8 * NS_PER_HOUR) == 8 * NS_PER_HOUR - 15 * NS_PER_MINUTE
    changed = asked(PLANT, MACHINE, T0, "2026-10-24/Night")
    assert changed is not None
    assert changed.end_ns - changed.start_ns == 9 * NS_PER_HOUR


def test_a_products_own_cycle_goes_before_the_machines() -> None:
    slow = Machine(path=MACHINE.path, name="x", calendar="three", ideal_cycle_s=99)
    assert ideal_cycle_s(PLANT, slow, "SHAFT", T0) == 30
    assert ideal_cycle_s(PLANT, slow, "nothing known", T0) == 99


def test_no_text_of_a_table_runs_as_a_formula() -> None:
    table = to_csv([{"note": "=cmd()", "count": -3, "list": ["a"]}, {"note": "plain", "count": 1, "list": []}])
    assert table.splitlines()[1:] == ['\'=cmd(),-3,"[""a""]"', "plain,1,[]"]
