"""Fifteen exact cases of ISO 22400-2, from published examples and from users' bugs in other software.

Cases 1, 4, 9, 10, 11, 12 and 15 go from samples and a calendar through every fold of the wing; the rest
give times and pieces to the same functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from drive import PATH, Run, at, fold_all, of, plant, revised, series

from isthmus.model.calendar import Shift
from isthmus.model.plant import Counter, IdealCycle, KpiPolicy, Machine, Plant, Product, Reason, StateRules
from isthmus.model.records import Record
from isthmus.model.records.people import JobStarted, ReasonGiven
from isthmus.model.records.production import Counted, Elements, Indicator, RunSettled, StopExplained
from isthmus.model.samples import Series
from isthmus.model.states import Element
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S, parse
from isthmus.production import folds, kpi
from isthmus.production.ideal import Ideals
from isthmus.production.windows import Window, indicator

MINUTE, HOUR = NS_PER_MINUTE, NS_PER_HOUR


def about(number: float | None) -> object:
    return pytest.approx(number, abs=1e-6)


def machine(ideal_cycle_s: float) -> Machine:
    return Machine(
        path=PATH,
        name="CNC-01",
        calendar="usual",
        state=StateRules(profile="machinery", tags={"state": "m/state", "mode": "m/mode"}),
        total=Counter(tag="m/total"),
        scrap=Counter(tag="m/scrap"),
        ideal_cycle_s=ideal_cycle_s,
    )


def samples(
    states: Sequence[tuple[int, str]], total: int = 0, scrap: int = 0, modes: Sequence[tuple[int, str]] = ()
) -> dict[str, Series]:
    """A machine that enters each state at its moment and counts evenly, every 10 s, while it executes."""
    moments = [
        moment
        for (start, state), (end, _) in itertools.pairwise(states)
        if state == "Executing"
        for moment in range(start + 10 * NS_PER_S, end + 1, 10 * NS_PER_S)
    ]
    begin = states[0][0]
    steps = list(enumerate(moments, start=1))
    return {
        "m/state": series(states),
        "m/mode": series([(begin, "Processing"), *modes]),
        "m/total": series([(begin, 0), *((moment, total * step // len(steps)) for step, moment in steps)]),
        "m/scrap": series([(begin, 0), *((moment, scrap * step // len(steps)) for step, moment in steps)]),
    }


def shift_of(
    where: Plant, given: dict[str, Series], records: Sequence[Record] = (), day_ns: int = at("00:00")
) -> Indicator:
    """The one shift's indicator, by every fold of the wing over two days."""
    one = next(iter(where.machines.values()))
    facts = fold_all(folds(where, one), where, given, records, start_ns=day_ns, end_ns=day_ns + 48 * HOUR)
    return next(fact for fact in of(Indicator, facts) if fact.window == "shift")


VORNE_SHIFT = Shift(name="Day", start="09:00", end="17:00", breaks=("12:00-13:00",), days="Mon")
VORNE = [
    (at("09:00"), "Executing"),
    (at("10:00"), "OutOfService"),
    (at("10:27"), "Executing"),
    (at("12:00"), "NotExecuting"),
    (at("13:00"), "Executing"),
    (at("16:10"), "OutOfService"),
    (at("16:30"), "Executing"),
    (at("17:00"), "NotAvailable"),
]
MAINTENANCE = Reason(code="PM", name="Planned maintenance", planned=True)


def vorne() -> tuple[Plant, dict[str, Series]]:
    return plant(machine(1.0), shifts=[VORNE_SHIFT], reasons=[MAINTENANCE]), samples(VORNE, 19_271, 423)


def test_case_01_the_textbook_shift_of_oee_com() -> None:
    found = shift_of(*vorne())
    assert found.pbt_ns == 420 * MINUTE
    assert found.availability == about(0.888095)
    assert found.effectiveness == about(0.861081)
    assert found.quality == about(0.978050)
    assert found.oee == about(0.747937)
    assert found.oee == about(found.good_ideal_ns / found.pbt_ns)
    assert (found.good, found.scrap, found.coverage, found.warning) == (18_848, 423, 1, "")


class Figures(NamedTuple):
    """Times in minutes, pieces, and an ideal cycle in seconds."""

    apt: float
    stopped: float
    total: float
    scrap: float
    ideal_s: float


def figures(given: Figures, policy: KpiPolicy | None = None) -> Indicator:
    window = Window("shift", "Day", 0)
    counted = Counted(path=PATH, time_ns=1, good=given.total - given.scrap, scrap=given.scrap)
    window.count(counted, round(given.ideal_s * NS_PER_S), policy or KpiPolicy())
    spent = Elements(apt_ns=round(given.apt * MINUTE), adet_ns=round(given.stopped * MINUTE))
    return indicator(window, spent, path=PATH, end_ns=480 * MINUTE, policy=policy or KpiPolicy())


@pytest.mark.parametrize(
    ("given", "availability", "effectiveness", "quality", "oee"),
    [
        pytest.param(Figures(420, 60, 400, 20, 60), 0.875, 0.952381, 0.95, 0.791667, id="case 02: 420 of 480 min"),
        pytest.param(Figures(783, 127, 203, 0, 180), 0.860440, 0.777778, 1.0, 609 / 910, id="case 03: the TPM book"),
    ],
)
def test_cases_02_and_03_published_figures(
    given: Figures, availability: float, effectiveness: float, quality: float, oee: float
) -> None:
    found = figures(given)
    assert found.availability == about(availability)
    assert found.effectiveness == about(effectiveness)
    assert found.quality == about(quality)
    assert found.oee == about(oee)


def test_case_04_overlapping_reasons_are_a_union_and_availability_never_goes_below_zero() -> None:
    where = plant(
        machine(1.0),
        shifts=[Shift(name="Day", start="00:00", end="24:00", days="Mon")],
        reasons=[
            Reason(code="DOWN", name="Breakdown", element=Element.ADOT),
            Reason(code="WAIT", name="Waiting", element=Element.ADOT),
        ],
    )
    unseen = {"m/state": series([(at("15:00"), "Executing")]), "m/mode": series([(at("15:00"), "Processing")])}
    said = [
        ReasonGiven(path=PATH, time_ns=at("00:00"), end_ns=at("15:00"), reason="DOWN", by="Ada", said_ns=1),
        ReasonGiven(path=PATH, time_ns=at("00:10"), end_ns=at("14:00"), reason="WAIT", by="Bo", said_ns=2),
    ]
    found = shift_of(where, unseen, said)
    assert found.elements.adot_ns == 15 * HOUR
    assert found.availability == about(0.375)
    assert found.coverage == 1
    silent = shift_of(where, unseen)
    assert (silent.elements.adot_ns, silent.coverage) == (0, about(0.375))


def test_case_05_two_products_need_the_sum_of_ideal_times_and_no_mean() -> None:
    cycles = {"A": 30, "B": 60}
    products = [Product(code=code, cycles=(IdealCycle(machine="*", seconds=s),)) for code, s in cycles.items()]
    ideals = Ideals(plant(machine(1.0), products=products), machine(1.0))
    window = Window("shift", "Day", 0)
    for product, good in (("A", 100), ("B", 50)):
        window.count(Counted(path=PATH, time_ns=1, good=good), ideals.of(product, 1), KpiPolicy())
    found = indicator(window, Elements(apt_ns=7200 * NS_PER_S), path=PATH, end_ns=1, policy=KpiPolicy())
    assert found.effectiveness == about(0.833333)


def test_case_06_a_plant_is_weighted_by_planned_busy_time() -> None:
    assert kpi.plant_oee([(0.9, 480), (0.1, 60)]) == about(0.811111)
    assert kpi.plant_oee([(0.9, 480), (None, 0)]) == about(0.9)


def test_case_07_no_planned_time_is_no_figure() -> None:
    found = indicator(Window("shift", "Day", 0), Elements(outside_ns=HOUR), path=PATH, end_ns=HOUR, policy=KpiPolicy())
    assert (found.pbt_ns, found.availability, found.effectiveness, found.quality, found.oee, found.coverage) == (
        (0,) + (None,) * 5
    )


def test_case_08_a_standard_that_is_wrong_is_flagged_and_never_capped() -> None:
    found = figures(Figures(60, 0, 70, 0, 60))
    assert found.effectiveness == about(1.166667)
    assert found.warning == "standard wrong: effectiveness above 1"


@pytest.mark.parametrize(
    ("day", "hours", "availability"),
    [("2026-03-28", 7, 0.857143), ("2026-10-24", 9, 0.666667), ("2026-06-01", 8, 0.75)],
)
def test_case_09_a_night_shift_is_as_long_as_the_clock_change_makes_it(
    day: str, hours: int, availability: float
) -> None:
    nights = [Shift(name="Night", start="22:00", end="06:00", days="Mon-Sun")]
    where = plant(machine(1.0), shifts=nights, time_zone="Europe/London")
    offset = 0 if day == "2026-03-28" else HOUR
    start = parse(f"{day}T22:00:00Z") - offset
    ran = samples([(start, "Executing"), (start + 6 * HOUR, "NotExecuting")])
    one = machine(1.0)
    facts = fold_all(folds(where, one), where, ran, start_ns=start - HOUR, end_ns=start + 12 * HOUR)
    found = next(fact for fact in of(Indicator, facts) if fact.start_ns == start)
    assert found.pbt_ns == hours * HOUR
    assert found.availability == about(availability)


@pytest.mark.parametrize(
    ("limit_s", "availability", "effectiveness"), [(120.0, 0.883333, 0.628931), (0.0, 0.833611, 0.666445)]
)
def test_case_10_a_micro_stop_limit_moves_the_loss_and_never_oee(
    limit_s: float, availability: float, effectiveness: float
) -> None:
    states: list[tuple[int, str]] = [(at("08:00"), "Executing")]
    for clock, length_s in (("08:10", 60), ("08:20", 119), ("08:30", 120), ("08:40", 300)):
        states += [(at(clock), "OutOfService"), (at(clock) + length_s * NS_PER_S, "Executing")]
    hour = [Shift(name="Hour", start="08:00", end="09:00", days="Mon")]
    where = plant(machine(20.0), shifts=hour, kpi=KpiPolicy(micro_stop_s=limit_s))
    found = shift_of(where, samples([*states, (at("09:00"), "NotExecuting")], total=100))
    assert found.pbt_ns == HOUR
    assert found.availability == about(availability)
    assert found.effectiveness == about(effectiveness)
    assert found.oee == about(0.555556)
    assert found.elements.micro_ns == (179 * NS_PER_S if limit_s else 0)


@pytest.mark.parametrize(("inside", "pbt", "availability"), [(True, 390, 0.820513), (False, 345, 0.927536)])
def test_case_11_changeover_inside_or_outside_planned_time(inside: bool, pbt: int, availability: float) -> None:  # noqa: FBT001
    given = samples(
        [
            (at("08:00"), "Executing"),
            (at("15:00"), "OutOfService"),
            (at("15:25"), "Executing"),
            (at("16:00"), "NotExecuting"),
        ],
        modes=[
            (at("09:00"), "Maintenance"),
            (at("10:00"), "Processing"),
            (at("13:00"), "Setup"),
            (at("13:45"), "Processing"),
        ],
    )
    shift = [Shift(name="Day", start="08:00", end="16:00", breaks=("12:00-12:30",), days="Mon")]
    where = plant(machine(1.0), shifts=shift, kpi=KpiPolicy(setup_in_planned_time=inside))
    started = JobStarted(path=PATH, time_ns=at("08:00"), order="1047", by="Ada", said_ns=at("08:00"))
    found = shift_of(where, given, [started])
    spent = found.elements
    assert (found.pbt_ns, spent.apt_ns) == (pbt * MINUTE, 320 * MINUTE)
    assert found.availability == about(availability)
    if inside:
        assert kpi.ratio(spent.apt_ns + spent.aust_ns, found.pbt_ns) == about(0.935897)
        assert kpi.setup_ratio(spent.aust_ns, spent.apt_ns) == about(0.123288)
        terms = {"apt": 320, "aust": 45, "pbt": 390, "ideal": 160, "good": 90, "produced": 100}
        assert kpi.nee(**terms) == about(365 / 390 * 0.5 * 0.9)
    assert kpi.technical_efficiency(spent.apt_ns, spent.adet_ns) == about(0.927536)


def test_case_12_a_late_reason_is_a_new_revision_and_reports_nothing_twice() -> None:
    where, given = vorne()
    one = next(iter(where.machines.values()))
    started = JobStarted(path=PATH, time_ns=at("09:00"), order="1047", by="Ada", said_ns=at("09:00"))
    late = ReasonGiven(path=PATH, time_ns=at("16:10"), end_ns=at("16:30"), reason="PM", by="Bo", said_ns=at("19:00"))
    run = Run(folds(where, one), where)
    run.on(given, [], at("00:00"), at("09:00"))
    checkpoint = run.checkpoint()
    before = run.fold(given, [started], at("09:00"), at("20:00"))
    run.restore(checkpoint)
    after = run.fold(given, [started, late], at("09:00"), at("20:00"))

    changes = revised(before, after)
    shift = next(fact for fact in changes if isinstance(fact, Indicator) and fact.window == "shift")
    assert (shift.revision, shift.pbt_ns, shift.availability) == (1, 400 * MINUTE, about(0.9325))
    first = next(fact for fact in before if fact.key == shift.key)
    assert isinstance(first, Indicator)
    assert (first.revision, first.pbt_ns, first.availability) == (0, 420 * MINUTE, about(0.888095))
    assert {type(change) for change in changes} == {Indicator, StopExplained}
    assert of(RunSettled, before) == of(RunSettled, after) != []


def test_case_13_yields_in_a_row_multiply() -> None:
    assert kpi.rolled_throughput_yield([0.95, 0.98, 0.99]) == about(0.921690)
    assert kpi.first_pass_yield(95, 100) == about(0.95)


def test_case_14_means_between_failures_and_repairs() -> None:
    mtbf, mttr = kpi.mean_time_between_failures([100, 120, 80]), kpi.mean_time_to_restoration([2, 4, 3])
    assert (mtbf, mttr) == (about(100), about(3))
    assert kpi.inherent_availability(100, 3) == about(0.970874)
    assert kpi.mean_time_between_failures([]) is None


def test_case_15_what_another_system_calls_oee_is_our_availability_alone() -> None:
    found = shift_of(*vorne())
    assert round((found.availability or 0) * 100, 2) == 88.81
    assert round((found.oee or 0) * 100, 2) == 74.79
