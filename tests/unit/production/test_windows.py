"""Pieces and their ideal times: which cycle holds, what rework is worth, what is told where none is named."""

from __future__ import annotations

from datetime import date

import pytest
from drive import PATH, at, plant

from isthmus.model.plant import IdealCycle, KpiPolicy, Machine, Product
from isthmus.model.records.production import Counted, Elements, Indicator
from isthmus.model.time import NS_PER_HOUR, NS_PER_S
from isthmus.production.ideal import Ideals
from isthmus.production.windows import Window, indicator

HERE = "machining/line-a/cnc-01"


def ideals(*cycles: IdealCycle, otherwise: float | None = None) -> Ideals:
    machine = Machine(path=PATH, name="CNC-01", calendar="usual", ideal_cycle_s=otherwise)
    return Ideals(plant(machine, products=[Product(code="BRACKET", cycles=cycles)], time_zone="Europe/London"), machine)


def shift(*counted: tuple[float, float, float, int | None], policy: KpiPolicy | None = None) -> Indicator:
    window = Window("shift", "Day", 0)
    for good, scrap, rework, ideal_s in counted:
        record = Counted(path=PATH, time_ns=1, good=good, scrap=scrap, rework=rework)
        window.count(record, None if ideal_s is None else ideal_s * NS_PER_S, policy or KpiPolicy())
    return indicator(window, Elements(apt_ns=NS_PER_HOUR), path=PATH, end_ns=NS_PER_HOUR, policy=policy or KpiPolicy())


def test_a_cycle_for_this_machine_goes_before_one_for_every_machine_and_the_newest_valid_one_first() -> None:
    found = ideals(
        IdealCycle(machine="*", seconds=9, valid_from=date(2026, 11, 1)),
        IdealCycle(machine=HERE, seconds=30),
        IdealCycle(machine=PATH, seconds=20, valid_from=date(2026, 11, 16)),
        IdealCycle(machine="machining/line-a/cnc-02", seconds=1),
    )
    assert found.of("BRACKET", at("08:00")) == 20 * NS_PER_S
    assert found.of("BRACKET", at("00:00") - 1) == 30 * NS_PER_S


def test_a_product_that_names_no_cycle_has_the_machines_own() -> None:
    assert ideals(otherwise=12).of("BRACKET", at("08:00")) == 12 * NS_PER_S
    assert ideals(otherwise=12).of("unheard of", at("08:00")) == 12 * NS_PER_S
    assert ideals().of("BRACKET", at("08:00")) is None


def test_pieces_without_an_ideal_cycle_leave_oee_open_and_are_told() -> None:
    found = shift((10, 0, 0, 60), (5, 0, 0, None))
    assert (found.effectiveness, found.oee, found.quality) == (None, None, 1.0)
    assert found.warning == "no ideal cycle for 5 pieces: name one for the product or the machine"


@pytest.mark.parametrize(("rework_is_good", "quality"), [(False, 0.8), (True, 0.9)])
def test_rework_is_good_only_where_the_policy_says_so(rework_is_good: bool, quality: float) -> None:  # noqa: FBT001
    found = shift((8, 1, 1, 60), policy=KpiPolicy(name="Northgate", version=3, rework_is_good=rework_is_good))
    assert found.quality == quality
    assert found.good_ideal_ns == quality * 10 * 60 * NS_PER_S
    assert found.oee == pytest.approx(10 / 60 * quality, abs=1e-12)
    assert found.policy == "Northgate · 3"


def test_nothing_made_in_planned_time_is_an_oee_of_zero_and_no_quality_at_all() -> None:
    found = shift()
    assert (found.availability, found.effectiveness, found.quality, found.oee) == (1.0, 0.0, None, 0.0)
