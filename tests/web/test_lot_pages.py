"""Lots on pages: what went into a lot, what it went into, and what an order made by lot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from litestar.testing import TestClient
from visits import make_fresh  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.records.production import LotChanged, LotPart, LotUsed, RunSettled
from isthmus.model.time import NS_PER_MINUTE
from web_world import Visitor

Visit = Callable[[str], Visitor]


@pytest.fixture
def visit(fresh: worlds.World) -> Iterator[Visit]:
    with TestClient(fresh.app) as client:
        yield lambda role: Visitor(client, role)


def settled(fresh: worlds.World, order: str, product: str, minute: int, *lots: LotPart, revision: int = 0) -> None:
    part = RunSettled(
        path=worlds.path("CNC-02"),
        time_ns=fresh.now_ns + minute * NS_PER_MINUTE,
        revision=revision,
        start_ns=fresh.now_ns + (minute - 9) * NS_PER_MINUTE,
        order=order,
        product=product,
        good=sum(lot.good for lot in lots),
        lots=lots,
    )
    fresh.site.append([part])


def of(material: str, lot: str) -> tuple[LotUsed, ...]:
    return (LotUsed(material=material, lot=lot),)


@pytest.fixture
def three_levels(fresh: worlds.World) -> None:
    """HEAT-1 and HEAT-2 -> shaft lots S-1, S-2 -> gear lot G-1; S-9 is of another heat."""
    heat_1, heat_2 = of("BAR", "HEAT-1"), of("BAR", "HEAT-2")
    settled(
        fresh, "1045", "SHAFT", -60, LotPart(lot="S-1", good=10, used=heat_1), LotPart(lot="S-2", good=4, used=heat_2)
    )
    settled(fresh, "1045", "SHAFT", -50, LotPart(lot="S-2", good=6, scrap=1, used=heat_2), LotPart(good=2))
    settled(fresh, "1047", "SHAFT", -40, LotPart(lot="S-9", good=5, used=of("BAR", "HEAT-9")))
    settled(
        fresh,
        "1046",
        "GEAR",
        -30,
        LotPart(lot="G-1", good=3, used=of("SHAFT", "S-1")),
        LotPart(lot="G-1", good=4, used=of("SHAFT", "S-2")),
    )


def steps(visit: Visit, lot: str) -> set[tuple[str, int, str, str, float]]:
    rows = visit("quality").get(f"/api/lots/{lot}").json()["rows"]
    return {(row["way"], row["step"], row["lot"], row["used"], row["good"]) for row in rows}


@pytest.mark.usefixtures("three_levels")
def test_a_lot_is_traced_back_to_the_lots_that_went_into_it_at_any_distance(visit: Visit) -> None:
    assert steps(visit, "G-1") == {
        ("made", 0, "G-1", "S-1", 3),
        ("made", 0, "G-1", "S-2", 4),
        ("from", 1, "S-1", "HEAT-1", 10),
        ("from", 1, "S-2", "HEAT-2", 10),
    }


@pytest.mark.usefixtures("three_levels")
def test_a_lot_is_traced_forward_to_everything_it_went_into(visit: Visit) -> None:
    assert steps(visit, "HEAT-2") == {("into", 1, "S-2", "HEAT-2", 10), ("into", 2, "G-1", "S-2", 4)}
    assert steps(visit, "HEAT-9") == {("into", 1, "S-9", "HEAT-9", 5)}
    assert steps(visit, "no such lot") == set()


@pytest.mark.usefixtures("three_levels")
def test_a_lot_of_the_same_number_of_another_material_is_not_followed(fresh: worlds.World, visit: Visit) -> None:
    settled(fresh, "1048", "LID", -20, LotPart(lot="L-1", good=1, used=of("SHEET", "S-2")))
    assert ("into", 2, "L-1", "S-2", 1) not in steps(visit, "HEAT-2")


def test_a_ring_of_lots_ends(fresh: worlds.World, visit: Visit) -> None:
    settled(fresh, "1045", "SHAFT", -60, LotPart(lot="A", good=1, used=of("SHAFT", "B")))
    settled(fresh, "1045", "SHAFT", -50, LotPart(lot="B", good=1, used=of("SHAFT", "A")))
    assert {(way, lot) for way, _, lot, _, _ in steps(visit, "A")} == {
        ("made", "A"),
        ("from", "A"),
        ("from", "B"),
        ("into", "A"),
        ("into", "B"),
    }


def test_a_part_told_anew_replaces_its_lots(fresh: worlds.World, visit: Visit) -> None:
    settled(fresh, "1045", "SHAFT", -60, LotPart(lot="WRONG", good=10, used=of("BAR", "HEAT-1")))
    settled(fresh, "1045", "SHAFT", -60, LotPart(lot="S-1", good=10, used=of("BAR", "HEAT-1")), revision=1)
    assert steps(visit, "WRONG") == set()
    assert steps(visit, "HEAT-1") == {("into", 1, "S-1", "HEAT-1", 10)}


@pytest.mark.usefixtures("three_levels")
def test_the_pages_show_lots_and_lead_from_one_to_the_next(fresh: worlds.World, visit: Visit) -> None:
    orders = visit("planner").get("/orders?order=1045").text
    assert '<a href="/lots?lot=S-2">S-2</a>: 10 good, 1 scrap of BAR <a href="/lots?lot=HEAT-2">HEAT-2</a>' in orders
    assert "lot not said" in orders
    page = visit("planner").get("/lots?lot=G-1").text
    assert 'Not made here: BAR <a href="/lots?lot=HEAT-1">HEAT-1</a>, BAR <a href="/lots?lot=HEAT-2">HEAT-2</a>' in page
    assert "It went into nothing that was made here." in page
    assert "No settled part of an order names lot &lt;b&gt;" in visit("planner").get("/lots?lot=<b>").text
    order = fresh.site.views.query("SELECT order_no FROM runs WHERE path = ?", (worlds.path("CNC-02"),))[0]["order_no"]
    now = LotChanged(path=worlds.path("CNC-02"), time_ns=fresh.now_ns, order=order, lot="G-7", used=of("SHAFT", "S-2"))
    fresh.site.append([now])
    machine = visit("operator").get(f"/machine/{worlds.below('CNC-02')}").text
    assert 'Makes lot <a href="/lots?lot=G-7">G-7</a>; uses SHAFT lot <a href="/lots?lot=S-2">S-2</a>' in machine
