"""Runs, their settled parts and their cycles: what an order came to on a machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drive import DAY_SHIFT, PATH, Run, at, fold_all, of, plant, seconds, series

from isthmus.model.calendar import Shift
from isthmus.model.plant import Counter, Machine, StateRules
from isthmus.model.records import Record
from isthmus.model.records.business import JobOrdered, Step
from isthmus.model.records.people import JobStarted, JobStopped, QuantityCorrected
from isthmus.model.records.production import CycleDone, Indicator, RunEnded, RunSettled, RunStarted
from isthmus.model.samples import Series
from isthmus.production import folds
from isthmus.production.settlement import BEGUN

MACHINE = Machine(
    path=PATH,
    name="CNC-01",
    calendar="usual",
    state=StateRules(profile="machinery", tags={"state": "m/state", "mode": "m/mode"}),
    good=Counter(tag="m/good"),
    scrap=Counter(tag="m/scrap"),
    order="m/order",
    operation="MILL",
)
MANUAL = Machine(path=PATH, name="Bench", calendar="usual", good=Counter(tag="m/good"))
EARLY_LATE = [
    Shift(name="Early", start="06:00", end="14:00", days="Mon"),
    Shift(name="Late", start="14:00", end="22:00", days="Mon"),
]


def facts(samples: dict[str, Series], records: list[Record] | None = None, machine: Machine = MACHINE) -> list[Record]:
    where = plant(machine, shifts=EARLY_LATE)
    return fold_all(folds(where, machine), where, samples, records or [], start_ns=at("06:00"), end_ns=at("23:00"))


def made(found: Sequence[Record]) -> list[RunSettled]:
    """Settled parts without those that only say that a run began."""
    return [part for part in of(RunSettled, found) if part.ordinal != BEGUN]


def day(**more: Series) -> dict[str, Series]:
    """A machine that executes all day; each tag may be given anew."""
    return {
        "m/state": series([(at("06:00"), "Executing")]),
        "m/mode": series([(at("06:00"), "Processing")]),
        **{f"m/{name}": given for name, given in more.items()},
    }


def ordered(steps: tuple[Step, ...] = ()) -> JobOrdered:
    path = "acme/northgate#order/1047"
    return JobOrdered(path=path, time_ns=at("06:00"), order="1047", product="BRACKET", quantity=10, steps=steps)


def test_the_order_tag_starts_and_ends_runs_and_a_piece_at_the_change_is_of_the_order_before() -> None:
    found = facts(
        day(
            order=series([(at("07:00"), 1047), (at("09:00"), 1048), (at("10:00"), 0)]),
            good=series([(at("07:00"), 5), (at("08:00"), 9), (at("09:00"), 10), (at("09:30"), 12)]),
        )
    )
    assert [(run.order, run.start_ns, run.time_ns, run.good) for run in of(RunEnded, found)] == [
        ("1047", at("07:00"), at("09:00"), 5),
        ("1048", at("09:00"), at("10:00"), 2),
    ]
    assert [(part.order, part.time_ns, part.good, part.first) for part in of(RunSettled, found)] == [
        ("1047", at("07:02"), 0, True),
        ("1047", at("09:00"), 5, False),
        ("1048", at("09:02"), 0, True),
        ("1048", at("10:00"), 2, False),
    ]


def test_after_a_silence_the_order_before_is_filled_and_what_is_more_is_the_next_ones() -> None:
    found = facts(
        day(
            order=series([(at("07:00"), 1047), (at("09:00"), 1048), (at("10:00"), 0)]),
            good=series([(at("07:00"), 5), (at("08:00"), 14), (at("09:00"), 17), (at("09:30"), 18)]),
        ),
        [ordered()],
    )
    assert [(run.order, run.good, run.finished) for run in of(RunEnded, found)] == [
        ("1047", 10, True),
        ("1048", 3, False),
    ]
    assert [(part.order, part.good) for part in made(found)] == [("1047", 10), ("1048", 3)]


def test_losing_the_device_ends_no_run_and_what_it_made_meanwhile_is_caught_up() -> None:
    lost = [(at("07:30"), None), (at("08:30"), None)]
    found = facts(
        day(
            state=series([(at("06:00"), "Executing"), (at("07:30"), None), (at("08:30"), "Executing")]),
            order=series([(at("07:00"), "1047"), *lost, (at("08:40"), "1047"), (at("10:00"), "")]),
            good=series([(at("07:00"), 5), *lost, (at("08:40"), 25)]),
        )
    )
    assert len(of(RunStarted, found)) == 1
    run = of(RunEnded, found)[0]
    assert (run.good, seconds(run.unobserved_ns), seconds(run.run_ns)) == (20, 3600, 7200)


def test_a_run_of_a_minute_says_its_start_with_its_only_part_and_a_longer_one_before_it_ends() -> None:
    short = facts(day(order=series([(at("07:00"), "1047"), (at("07:01"), "")])))
    assert [(part.ordinal, part.first) for part in of(RunSettled, short)] == [(0, True)]
    longer = facts(day(order=series([(at("07:00") + 1, "1047"), (at("07:03"), "")])))
    began, rest = of(RunSettled, longer)
    assert (began.ordinal, began.time_ns, began.first, began.final, began.run_ns) == (
        BEGUN,
        at("07:02"),
        True,
        False,
        0,
    )
    assert (rest.first, seconds(rest.run_ns + 1)) == (False, 180)


def test_a_run_over_two_shifts_is_settled_at_the_shift_edge_and_the_parts_make_the_whole() -> None:
    found = facts(
        day(
            order=series([(at("12:00"), "1047"), (at("16:00"), "")]),
            good=series([(at("12:00"), 0), (at("13:00"), 4), (at("14:00"), 6), (at("15:00"), 11)]),
            scrap=series([(at("12:00"), 0), (at("15:30"), 1)]),
        ),
        [ordered()],
    )
    assert [
        (part.start_ns, part.time_ns, part.good, part.scrap, part.first, part.final) for part in of(RunSettled, found)
    ] == [
        (at("12:00"), at("12:02"), 0, 0, True, False),
        (at("12:00"), at("14:00"), 6, 0, False, False),
        (at("14:00"), at("16:00"), 5, 1, False, True),
    ]
    run = of(RunEnded, found)[0]
    assert (run.good, run.scrap, run.finished, run.product, run.operation) == (11, 1, True, "BRACKET", "MILL")


def test_an_order_that_leaves_the_machine_short_of_its_quantity_is_not_finished_until_its_runs_make_it_up() -> None:
    found = facts(
        day(
            order=series([(at("07:00"), "1047"), (at("08:00"), "1048"), (at("09:00"), "1047"), (at("10:00"), "")]),
            good=series([(at("07:00"), 0), (at("07:30"), 6), (at("08:30"), 50), (at("09:30"), 54)]),
        ),
        [ordered()],
    )
    assert [(run.order, run.good, run.finished) for run in of(RunEnded, found)] == [
        ("1047", 6, False),
        ("1048", 44, False),
        ("1047", 4, True),
    ]


def test_set_up_and_stops_of_a_run_are_told_apart() -> None:
    found = facts(
        day(
            state=series([(at("06:00"), "NotExecuting"), (at("07:30"), "Executing"), (at("08:00"), "OutOfService")]),
            mode=series([(at("06:00"), "Processing"), (at("07:10"), "Setup"), (at("07:30"), "Processing")]),
            order=series([(at("07:00"), "1047"), (at("08:15"), "")]),
        )
    )
    run = of(RunEnded, found)[0]
    assert [seconds(ns) / 60 for ns in (run.setup_ns, run.run_ns, run.down_ns, run.unobserved_ns)] == [20, 30, 25, 0]


def test_the_routing_step_is_found_by_machine_or_by_operation() -> None:
    steps = (
        Step(sequence=10, operation="SAW"),
        Step(sequence=20, operation="MILL"),
        Step(sequence=30, operation="MILL", machine=PATH),
    )
    tag = day(order=series([(at("07:00"), "1047")]))
    assert [run.sequence for run in of(RunStarted, facts(tag, [ordered(steps=steps)]))] == [30]
    assert [run.sequence for run in of(RunStarted, facts(tag, [ordered(steps=steps[:2])]))] == [20]


def test_a_person_puts_an_order_on_and_takes_it_off() -> None:
    on = JobStarted(path=PATH, time_ns=at("07:00"), order="1047", operation="DEBURR", by="Ada", said_ns=at("07:01"))
    off = JobStopped(path=PATH, time_ns=at("09:00"), order="1047", finished=True, by="Ada", said_ns=at("09:00"))
    good = {"m/good": series([(at("06:00"), 0), (at("08:00"), 3), (at("09:30"), 4)])}
    found = facts(good, [ordered(), on, off, on], MANUAL)
    assert [(run.by, run.operation, run.product) for run in of(RunStarted, found)] == [("Ada", "DEBURR", "BRACKET")]
    assert [(run.good, run.finished) for run in of(RunEnded, found)] == [(3, True)]


def test_an_order_put_on_before_folding_began_runs_from_where_it_begins() -> None:
    run = Run(folds(plant(MANUAL), MANUAL), plant(MANUAL))
    runs = next(fold for fold in run.folds if fold.name == "production/runs")
    state: Any = runs.State()
    early = JobStarted(path=PATH, time_ns=at("01:00"), order="1047", by="Ada", said_ns=at("01:00"))
    assert list(runs.step(state, early)) == []
    run.states[runs.name] = state
    run.on({}, [], at("06:00"), at("07:00"))
    assert [fact.time_ns for fact in of(RunStarted, run.facts)] == [at("06:00")]


def test_a_correction_counts_for_the_run_and_for_its_settled_part() -> None:
    said = QuantityCorrected(
        path=PATH, time_ns=at("08:00"), order="1047", good=-2, scrap=2, by="Bo", said_ns=at("12:00")
    )
    found = facts(
        day(
            order=series([(at("07:00"), "1047"), (at("09:00"), "")]), good=series([(at("07:00"), 0), (at("07:30"), 8)])
        ),
        [said],
    )
    for told in (of(RunEnded, found), made(found)):
        assert [(one.good, one.scrap) for one in told] == [(6, 2)]


def test_a_correction_of_an_order_that_runs_no_longer_is_a_part_of_its_own_and_leaves_the_running_one_alone() -> None:
    said = QuantityCorrected(
        path=PATH, time_ns=at("09:30"), order="1047", good=-2, scrap=2, by="Bo", said_ns=at("09:30")
    )
    found = facts(
        day(
            order=series([(at("07:00"), "1047"), (at("09:00"), "1048"), (at("10:00"), "")]),
            good=series([(at("07:00"), 0), (at("08:00"), 10), (at("09:20"), 13)]),
        ),
        [ordered(), said],
    )
    assert [
        (part.order, part.product, part.good, part.scrap, part.first, part.final) for part in of(RunSettled, found)
    ] == [
        ("1047", "BRACKET", 0, 0, True, False),
        ("1047", "BRACKET", 10, 0, False, True),
        ("1048", "", 0, 0, True, False),
        ("1047", "BRACKET", -2, 2, False, False),
        ("1048", "", 3, 0, False, False),
    ]
    assert [(run.order, run.good) for run in of(RunEnded, found)] == [("1047", 10), ("1048", 3)]
    figures = {(one.window, one.name): (one.good, one.scrap) for one in of(Indicator, found)}
    assert figures == {
        ("run", "1047"): (10, 0),
        ("run", "1048"): (3, 0),
        ("shift", "Early"): (11, 2),
        ("shift", "Late"): (0, 0),
    }


def test_the_run_so_far_is_shown_and_never_told() -> None:
    where = plant(MACHINE, shifts=[DAY_SHIFT])
    run = Run(folds(where, MACHINE), where)
    given = day(order=series([(at("08:00"), "1047")]), good=series([(at("08:00"), 0), (at("08:30"), 4)]))
    run.on(given, [], at("06:00"), at("09:00"))
    assert of(RunEnded, run.facts) == []
    shown = of(RunEnded, run.preview(at("09:00")))
    assert [(one.good, seconds(one.run_ns), one.finished) for one in shown] == [(4, 3600, False)]


def test_a_cycle_lasts_from_piece_to_piece_and_tells_how_much_of_it_ran() -> None:
    found = facts(
        day(
            state=series([(at("07:00"), "Executing"), (at("07:02"), "OutOfService"), (at("07:05"), "Executing")]),
            good=series([(at("06:00"), 0), (at("07:01"), 1), (at("07:06"), 2), (at("07:08"), 5)]),
        )
    )
    assert [(seconds(one.time_ns - one.start_ns), seconds(one.run_ns), one.pieces) for one in of(CycleDone, found)] == [
        (60, 60, 1),
        (300, 120, 1),
        (120, 120, 3),
    ]
