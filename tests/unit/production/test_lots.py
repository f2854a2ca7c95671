"""Lots: which one a piece belongs to, and which component lots went into it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from drive import PATH, at, fold_all, of, plant, series

from isthmus.model.plant import Counter, Machine
from isthmus.model.records import Record
from isthmus.model.records.people import JobStarted, JobStopped, LotGiven, QuantityCorrected
from isthmus.model.records.production import LotChanged, LotPart, LotUsed, RunSettled
from isthmus.model.samples import Series
from isthmus.production import folds

TAGGED = Machine(
    path=PATH,
    name="CNC-01",
    calendar="usual",
    good=Counter(tag="m/good"),
    scrap=Counter(tag="m/scrap"),
    order="m/order",
    lot="m/lot",
    lots_in={"BAR": "m/bar-lot"},
)
UNTAGGED = msgspec.structs.replace(TAGGED, lot=None, lots_in={})
HOURS = {
    "m/order": series([(at("09:00"), "1047"), (at("12:00"), "1048"), (at("13:00"), "")]),
    "m/good": series([(at("09:00"), 0), (at("09:30"), 3), (at("10:00"), 5), (at("11:00"), 9), (at("12:30"), 11)]),
    "m/scrap": series([(at("09:00"), 0), (at("11:30"), 1)]),
}


def facts(
    samples: dict[str, Series], records: Sequence[Record] = (), machine: Machine = TAGGED, end: str = "15:00"
) -> list[Record]:
    where = plant(machine)
    return fold_all(folds(where, machine), where, samples, records, start_ns=at("08:00"), end_ns=at(end))


def by_lot(found: Sequence[Record], order: str) -> list[tuple[str, float, float, tuple[str, ...]]]:
    """(lot, good, scrap, component lots) of everything settled of an order, but for what only says that it began."""
    parts = [lot for part in of(RunSettled, found) if part.order == order for lot in part.lots]
    return [
        (lot.lot, lot.good, lot.scrap, tuple(one.lot for one in lot.used)) for lot in parts if lot.good or lot.scrap
    ]


def given(order: str, lot: str, clock: str, material: str = "", ordinal: int = 0) -> LotGiven:
    return LotGiven(
        path=PATH,
        time_ns=at(clock),
        ordinal=ordinal,
        order=order,
        direction="in" if material else "out",
        material=material,
        lot=lot,
        by="m.okafor",
        said_ns=at("14:00"),
    )


def test_the_machines_tags_say_which_lot_each_piece_belongs_to_and_what_went_into_it() -> None:
    lots = series([(at("09:00"), "L-1"), (at("10:00"), "L-2"), (at("12:00"), "L-3")])
    found = facts({**HOURS, "m/lot": lots, "m/bar-lot": series([(at("08:30"), "HEAT-7"), (at("10:30"), "HEAT-8")])})
    # The piece that is counted at 10:00, when the lot changes, belongs to the lot before.
    assert by_lot(found, "1047") == [
        ("L-1", 5, 0, ("HEAT-7",)),
        ("L-2", 4, 1, ("HEAT-8",)),
    ]
    assert by_lot(found, "1048") == [("L-3", 2, 0, ("HEAT-8",))]
    assert [(change.order, change.lot) for change in of(LotChanged, found)] == [
        ("1047", "L-1"),
        ("1047", "L-2"),
        ("1047", "L-2"),
        ("1047", "L-3"),
        ("1048", "L-3"),
    ]


def test_a_lot_that_a_person_tells_afterwards_holds_from_the_moment_that_they_say() -> None:
    found = facts(HOURS, [given("1047", "L-1", "09:00"), given("1047", "HEAT-7", "10:15", "BAR")], UNTAGGED)
    assert by_lot(found, "1047") == [("L-1", 5, 0, ()), ("L-1", 4, 1, ("HEAT-7",))]
    assert by_lot(found, "1048") == [], "a saying is of one order"


def test_what_was_made_before_anybody_said_a_lot_is_of_no_lot_and_is_not_lost() -> None:
    found = facts(HOURS, [given("1047", "L-2", "10:30")], UNTAGGED)
    assert by_lot(found, "1047") == [("", 5, 0, ()), ("L-2", 4, 1, ())]


def test_a_later_saying_corrects_a_wrong_lot() -> None:
    found = facts(HOURS, [given("1047", "L-9", "09:00"), given("1047", "L-1", "09:00", ordinal=1)], UNTAGGED)
    assert by_lot(found, "1047") == [("L-1", 9, 1, ())]


def test_a_person_is_believed_until_the_machine_names_another_lot() -> None:
    lots = series([(at("09:00"), "L-1"), (at("10:30"), "L-1"), (at("11:15"), "L-2")])
    found = facts({**HOURS, "m/lot": lots}, [given("1047", "L-5", "09:45")])
    assert by_lot(found, "1047") == [("L-1", 3, 0, ()), ("L-5", 6, 0, ()), ("L-2", 0, 1, ())]


def test_a_lot_told_before_the_order_starts_and_after_it_paused_still_holds() -> None:
    people: list[Record] = [
        given("1047", "L-1", "08:10"),
        JobStarted(path=PATH, time_ns=at("09:00"), order="1047", by="m", said_ns=at("09:00")),
        JobStopped(path=PATH, time_ns=at("09:40"), order="1047", finished=False, by="m", said_ns=at("09:40")),
        JobStarted(path=PATH, time_ns=at("09:45"), order="1050", by="m", said_ns=at("09:45")),
        JobStarted(path=PATH, time_ns=at("10:15"), order="1047", by="m", said_ns=at("10:15")),
    ]
    samples = {name: one for name, one in HOURS.items() if name != "m/order"}
    found = facts(samples, people, msgspec.structs.replace(UNTAGGED, order=None), end="17:00")
    assert by_lot(found, "1047") == [("L-1", 3, 0, ()), ("L-1", 6, 1, ())]
    assert by_lot(found, "1050") == []


def test_the_first_part_of_a_run_names_the_lots_before_anything_is_made() -> None:
    found = facts({**HOURS, "m/bar-lot": series([(at("08:30"), "HEAT-7")])})
    first = next(part for part in of(RunSettled, found) if part.first)
    assert (first.good, first.lots) == (0, (LotPart(used=(LotUsed(material="BAR", lot="HEAT-7"),)),))


def test_a_correction_of_an_order_that_is_over_belongs_to_its_last_lot() -> None:
    lots = series([(at("09:00"), "L-1"), (at("10:00"), "L-2")])
    late = QuantityCorrected(
        path=PATH, time_ns=at("14:30"), order="1047", good=-2, scrap=2, by="m", said_ns=at("14:30")
    )
    found = facts({**HOURS, "m/lot": lots}, [late])
    assert by_lot(found, "1047")[-1] == ("L-2", -2, 2, ())


def test_the_lots_of_a_part_add_up_to_the_part() -> None:
    lots = series([(at("09:20"), "L-1"), (at("10:10"), ""), (at("10:50"), "L-1")])
    found = facts({**HOURS, "m/lot": lots}, [given("1048", "L-3", "12:10")])
    for part in of(RunSettled, found):
        if part.lots:
            assert sum(lot.good for lot in part.lots) == part.good
            assert sum(lot.scrap for lot in part.lots) == part.scrap
