"""Lots in the line of reports: components ahead of the start, quantities by lot, and what waits for a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from erp_support import CNC_1, PATH, OneSite, PaperErp, PaperSection, now, settled
from isthmus.enterprise.erp import LotQuantity, ReportLot, ReportQuantity
from isthmus.enterprise.outbox import Outbox
from isthmus.model.errors import ErpRefuses
from isthmus.model.records.business import Component, ErpItem, JobOrdered, Step
from isthmus.model.records.people import ParkedDecided
from isthmus.model.records.production import LotPart, LotUsed, RunSettled


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OneSite]:
    one = OneSite(tmp_path)
    yield one
    one.close()


@pytest.fixture
def erp() -> PaperErp:
    paper = PaperErp()
    paper.commands = (*paper.commands, "lot")
    return paper


def run(site: OneSite, erp: PaperErp) -> None:
    box = Outbox(site, erp, PaperSection(), now)
    box.obey()
    box.look(orders_known=True)
    box.work()


def ordered(site: OneSite, *, lots_out: bool = False) -> None:
    job = JobOrdered(
        path=f"{PATH}#order/7",
        time_ns=now(),
        order="7",
        product="BR-100",
        quantity=10,
        steps=(Step(sequence=10, operation="Mill", machine=CNC_1),),
        materials=(
            Component(material="BAR", quantity="15", lot_tracked=True),
            Component(material="SCREW", quantity="4"),
        ),
        lot_tracked=lots_out,
    )
    site.append([job])


def told(site: OneSite, part: RunSettled, *lots: LotPart, revision: int = 0) -> None:
    site.append([msgspec.structs.replace(part, lots=lots, revision=revision)])


def of(lot: str) -> tuple[LotUsed, ...]:
    return (LotUsed(material="BAR", lot=lot),)


def line(site: OneSite) -> list[tuple[str, str]]:
    return [(item.command, item.state) for item in site.items("7")]


def decide(site: OneSite, item: ErpItem, decision: str) -> None:
    site.append([ParkedDecided(path=item.path, time_ns=now(), decision=decision, by="Ada", said_ns=0)])  # type: ignore[arg-type]


def test_component_lots_go_ahead_of_the_start_and_quantities_by_lot_behind_it(site: OneSite, erp: PaperErp) -> None:
    ordered(site)
    told(
        site,
        settled("7", CNC_1, 10, 60, good=9, scrap=2, final=True),
        LotPart(lot="L-1", good=4, scrap=2, used=of("HEAT-1")),
        LotPart(lot="L-2", good=5, used=of("HEAT-2")),
    )
    run(site, erp)
    assert line(site) == [(verb, "confirmed") for verb in ("lot", "lot", "start", "time", "quantity", "finish")]
    lots = [command for command in erp.told if isinstance(command, ReportLot)]
    assert [(one.material, one.lot, one.direction) for one in lots] == [
        ("BAR", "HEAT-1", "in"),
        ("BAR", "HEAT-2", "in"),
    ]
    (quantity,) = (command for command in erp.told if isinstance(command, ReportQuantity))
    assert quantity.lots == (LotQuantity(lot="L-1", good=4, scrap=2), LotQuantity(lot="L-2", good=5, scrap=0))
    before = len(erp.told)
    run(site, erp)
    assert len(erp.told) == before


def test_an_order_without_lots_is_told_as_ever(site: OneSite, erp: PaperErp) -> None:
    ordered(site)
    site.append([msgspec.structs.replace(site.all(JobOrdered)[0], materials=())])
    told(site, settled("7", CNC_1, 10, 60, good=9, final=True))
    run(site, erp)
    assert line(site) == [(verb, "confirmed") for verb in ("start", "time", "quantity", "finish")]
    assert [one.lots for one in erp.told if isinstance(one, ReportQuantity)] == [()]


def test_a_start_whose_material_needs_a_lot_waits_until_somebody_says_it(site: OneSite, erp: PaperErp) -> None:
    ordered(site)
    begun = settled("7", CNC_1, 10, 0)
    told(site, begun)
    run(site, erp)
    assert line(site) == [("start", "pending")]
    assert "which lot of BAR is used" in site.items("7")[0].message
    told(site, begun, LotPart(used=of("HEAT-1")), revision=1)
    run(site, erp)
    assert line(site) == [("lot", "confirmed"), ("start", "confirmed")]


def test_a_person_may_send_the_start_without_the_lot(site: OneSite, erp: PaperErp) -> None:
    ordered(site)
    told(site, settled("7", CNC_1, 10, 0))
    run(site, erp)
    decide(site, site.items("7")[0], "send again")
    run(site, erp)
    assert line(site) == [("start", "confirmed")]


def test_a_finish_waits_for_the_lot_of_what_was_made_where_the_erp_demands_it(site: OneSite, erp: PaperErp) -> None:
    ordered(site, lots_out=True)
    part = settled("7", CNC_1, 10, 60, good=9, final=True)
    told(site, part, LotPart(good=4, used=of("H")), LotPart(lot="L-1", good=5, used=of("H")))
    run(site, erp)
    assert line(site)[-1] == ("finish", "pending")
    assert "which lot of BR-100 was made" in site.items("7")[-1].message
    told(site, part, LotPart(lot="L-1", good=9, used=of("H")), revision=1)
    run(site, erp)
    assert {state for _, state in line(site)} == {"confirmed"}
    assert [one.lots for one in erp.told if isinstance(one, ReportQuantity)][-1] == (
        LotQuantity(lot="L-1", good=9, scrap=0),
    )


def test_a_component_lot_told_too_late_waits_for_a_person_and_holds_up_nothing(site: OneSite, erp: PaperErp) -> None:
    ordered(site)
    told(site, settled("7", CNC_1, 10, 0), LotPart(used=of("HEAT-1")))
    run(site, erp)
    erp.fail = iter([lambda _command: ErpRefuses("BAR is already booked")])
    told(site, settled("7", CNC_1, 10, 60, good=3, final=True), LotPart(lot="L-1", good=3, used=of("HEAT-2")))
    run(site, erp)
    assert sorted(line(site)) == sorted(
        [
            ("lot", "confirmed"),
            ("start", "confirmed"),
            ("lot", "parked"),
            ("time", "confirmed"),
            ("quantity", "confirmed"),
            ("finish", "confirmed"),
        ]
    )


def test_a_lot_that_was_told_wrong_and_not_sent_yet_is_withdrawn(site: OneSite, erp: PaperErp) -> None:
    ordered(site)
    begun = settled("7", CNC_1, 10, 0)
    told(site, begun, LotPart(used=of("WRONG")))
    erp.down = True
    box = Outbox(site, erp, PaperSection(), now)
    box.look(orders_known=True)
    told(site, begun, LotPart(used=of("HEAT-1")), revision=1)
    erp.down = False
    run(site, erp)
    assert [one.lot for one in erp.told if isinstance(one, ReportLot)] == ["HEAT-1"]
    assert [state for _, state in line(site)] == ["confirmed", "confirmed"]
