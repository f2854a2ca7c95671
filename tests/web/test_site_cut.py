"""The site's own cut on the connections page: one person makes it, two lift it, and the pages say how it stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from visits import make_fresh  # noqa: F401  a fixture

import web_world as worlds
from isthmus.model.records.people import SiteCut
from isthmus.model.records.site import SourceRefused
from isthmus.model.time import NS_PER_S
from isthmus.site.intake.refusal import Refusal
from isthmus.web.accounts import Person
from isthmus.web.figures.connections import all_connections
from web_world import Visitor

Visit = Callable[[str], Visitor]
CONDUIT = f"{worlds.PATH}#conduit/uplink"


@pytest.fixture(name="visit")
def make_visit(fresh: worlds.World) -> Visit:
    people = fresh.app.state.house.accounts
    people.add(Person(name="second", full_name="A second officer", role="security"), worlds.PASSWORD)
    client: TestClient[Litestar] = TestClient(fresh.app)
    return lambda name: Visitor(client, name)


def test_one_person_cuts_and_two_different_ones_lift_it(fresh: worlds.World, visit: Visit) -> None:
    refusal = Refusal(fresh.site, CONDUIT)
    security, second = visit("security"), visit("second")
    assert not refusal("line-1")
    assert security.post("/act/cut", conduit="uplink", reason=" ").status_code == 400
    assert security.post("/act/cut", conduit="nowhere", reason="test").status_code == 400
    assert security.post("/act/cut", conduit="uplink", reason="ransomware in the office").status_code == 303
    assert refusal("line-1")
    assert Refusal(fresh.site, CONDUIT)("line-1"), "a restart of the site forgets nothing"
    assert "Cut from this side by security: ransomware in the office." in security.get("/connections").text
    assert "This site refuses conduit uplink" in security.get("/plant").text

    assert security.post("/act/lift-cut", conduit="uplink", reason="rebuilt").status_code == 303
    assert refusal("line-1"), "one person alone lifts nothing"
    again = security.post("/act/lift-cut", conduit="uplink", reason="rebuilt")
    assert (again.status_code, "somebody else" in again.text) == (400, True)
    assert "Agree: the site takes uplink again" not in security.get("/connections").text
    assert "Agree: the site takes uplink again" in second.get("/connections").text
    assert second.post("/act/lift-cut", conduit="uplink", reason="checked").status_code == 303
    assert not refusal("line-1")
    assert second.post("/act/lift-cut", conduit="uplink", reason="checked").status_code == 400
    said = [one for _, one in fresh.site.log.read(0) if isinstance(one, SiteCut)]
    assert [(one.step, one.by, one.asked_by) for one in said] == [
        ("cut", "security", ""),
        ("lift asked", "security", ""),
        ("lifted", "second", "security"),
    ]


def test_a_new_cut_takes_back_a_lifting_that_was_asked_for(fresh: worlds.World, visit: Visit) -> None:
    refusal = Refusal(fresh.site, CONDUIT)
    for who, act in (("security", "cut"), ("security", "lift-cut"), ("administrator", "cut"), ("second", "lift-cut")):
        assert visit(who).post(f"/act/{act}", conduit="uplink", reason="because").status_code == 303
    assert refusal("line-1"), "the second person only asked again"


@pytest.mark.parametrize("role", ["operator", "planner", "programme"])
def test_who_may_not_cut_is_not_offered_the_button(visit: Visit, role: str) -> None:
    visitor = visit(role)
    assert "Cut the link to OT" not in visitor.get("/connections").text
    assert visitor.post("/act/cut", conduit="uplink", reason="why not").status_code == 403
    assert "Cut the link to OT" in visit("administrator").get("/connections").text
    assert visit("administrator").post("/act/lift-cut", conduit="uplink", reason="alone").status_code == 403


def test_a_conduit_whose_edge_is_not_heard_is_silent_and_not_open(fresh: worlds.World, visit: Visit) -> None:
    fresh.site.contact.begin(fresh.now_ns - 3600 * NS_PER_S)
    fresh.site.contact.heard("line-1", [], fresh.now_ns - 5 * NS_PER_S)
    assert ">open<" in visit("supervisor").get("/connections").text
    fresh.site.contact.heard("line-1", [], fresh.now_ns - 90 * NS_PER_S)
    page = visit("supervisor").get("/connections").text
    assert ">silent<" in page
    assert ">open<" not in page
    assert f"line-1 was last heard at {fresh.app.state.house.local.second(fresh.now_ns - 90 * NS_PER_S)}" in page


def test_an_edge_that_speaks_for_anothers_source_is_named_in_the_conduits_row(
    fresh: worlds.World, visit: Visit
) -> None:
    said = SourceRefused(
        path=CONDUIT, time_ns=fresh.now_ns - NS_PER_S, edge="line-2", source="saw", why="saw is of line-1", frames=7
    )
    fresh.site.append([said])
    assert "Refused from line-2: saw is of line-1." in visit("supervisor").get("/connections").text
    later = fresh.now_ns + 16 * 60 * NS_PER_S
    told = all_connections(fresh.app.state.house, later)
    assert "line-2" not in told.conduits[0].words
