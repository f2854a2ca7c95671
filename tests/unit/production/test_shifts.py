"""The calendar as folds see it."""

from __future__ import annotations

from drive import PATH, at, fold_all, of, plant, series

from isthmus.model.calendar import Shift
from isthmus.model.plant import Machine, StateRules
from isthmus.model.records.people import JobStarted, JobStopped
from isthmus.model.records.production import Indicator
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, Interval
from isthmus.production import folds
from isthmus.production.shifts import Shifts

MACHINE = Machine(
    path=PATH, name="CNC-01", calendar="usual", state=StateRules(profile="machinery", tags={"state": "m/state"})
)
OVERLAPPING = [
    Shift(name="Early", start="06:00", end="14:00", days="Mon"),
    Shift(name="Middle", start="12:00", end="18:00", breaks=("15:00-15:30",), days="Mon"),
]


def test_overlapping_shifts_are_planned_once() -> None:
    shifts = Shifts(plant(MACHINE, shifts=OVERLAPPING), MACHINE)
    assert shifts.planned(at("00:00"), at("23:00")) == [
        Interval(at("06:00"), at("15:00")),
        Interval(at("15:30"), at("18:00")),
    ]


def test_the_next_edge_is_the_nearest_and_a_week_on_where_nobody_works() -> None:
    shifts = Shifts(plant(MACHINE, shifts=OVERLAPPING), MACHINE)
    assert [shifts.next_edge(at(clock)) for clock in ("00:00", "06:00", "12:30", "14:00")] == [
        at("06:00"),
        at("12:00"),
        at("14:00"),
        at("18:00"),
    ]
    assert Shifts(plant(MACHINE, shifts=[]), MACHINE).next_edge(at("00:00")) == at("00:00") + 7 * NS_PER_DAY


def test_each_of_two_overlapping_shifts_has_its_own_figure_and_a_run_counts_their_time_once() -> None:
    where = plant(MACHINE, shifts=OVERLAPPING)
    said = [
        JobStarted(path=PATH, time_ns=at("11:00"), order="1047", by="Ada", said_ns=1),
        JobStopped(path=PATH, time_ns=at("19:00"), order="1047", by="Ada", said_ns=1),
    ]
    samples = {"m/state": series([(at("06:00"), "Executing")])}
    facts = fold_all(folds(where, MACHINE), where, samples, said, start_ns=at("05:00"), end_ns=at("20:00"))
    assert [(one.window, one.name, one.pbt_ns / NS_PER_HOUR, one.availability) for one in of(Indicator, facts)] == [
        ("shift", "Early", 8, 1),
        ("shift", "Middle", 5.5, 1),
        ("run", "1047", 6.5, 1),
    ]
