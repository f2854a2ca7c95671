"""Pages as somebody without script reads them: complete, honest about what is not known, for each role its own."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from visits import make_client, make_fresh, make_silent, make_told, make_visit  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.records.production import Elements, Indicator
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE
from isthmus.web import app as web_app
from isthmus.web.figures.shifts import on_day
from isthmus.web.roles import ROLES
from web_world import Visitor

Visit = Callable[[str], Visitor]
MACHINE = f"/machine/{worlds.below('CNC-02')}"
PAGES = (
    "/plant",
    "/plant?line=line-b&sort=state",
    MACHINE,
    f"{MACHINE}?open=stop:TOOL",
    "/orders",
    "/connections",
    "/settings",
)


def text_of(page: httpx.Response) -> str:
    assert page.status_code == 200, page.text
    plain = re.sub(r"<[^>]+>", " ", page.text).replace("\xa0", " ")
    return re.sub(r"\s+", " ", plain)


@pytest.mark.parametrize("address", [*PAGES, "/accounts", "/"])
def test_nobody_sees_a_page_without_logging_in(client: TestClient[Litestar], address: str) -> None:
    client.cookies.clear()
    answer = client.get(address, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"][:7]) == (303, "/log-in")


@pytest.mark.parametrize("address", ["/api/machines", "/api/schema/openapi.json", "/live/plant"])
def test_nobody_reads_the_api_or_a_stream_without_logging_in(client: TestClient[Litestar], address: str) -> None:
    client.cookies.clear()
    assert client.get(address, follow_redirects=False).status_code == 401


@pytest.mark.parametrize("role", list(ROLES))
def test_each_role_lands_on_its_own_page_and_may_read_it(visit: Visit, role: str) -> None:
    visitor = visit(role)
    landing = visitor.get("/").headers["location"]
    assert landing == ROLES[role][1]  # type: ignore[index]
    assert visitor.get(landing).status_code == 200


def test_the_plant_page_tells_every_machine_without_script(visit: Visit) -> None:
    page = text_of(visit("supervisor").get("/plant"))
    for name in worlds.NAMES:
        assert name in page
    for word in ("running", "down", "set-up", "no data", "starved", "F0457", "420 of 1,200 pcs"[3:]):
        assert word in page
    assert re.search(r"\d+ % 9\d(\.\d)? % observed", page)
    assert re.search(r"99\.\d % of the shift observed", page)
    assert page.count("scrap") >= len(worlds.NAMES)


def test_what_needs_a_person_is_named_in_plain_words(visit: Visit) -> None:
    page = text_of(visit("supervisor").get("/plant"))
    assert re.search(r"CNC-03 down \d+", page)
    assert re.search(r"press-2 silent since \d\d:\d\d:\d\d", page)
    assert "10.4.1.22 answers, but not on port 4840. Last contact" in page
    assert "4 tags marked bad; nothing counted since" in page
    assert "Order 1046: the ERP did not take a report" in page
    assert "1 tag of mill-04 cannot be read coolant (the sensor says it is broken)" in page


def test_lines_can_be_chosen_and_the_worst_stands_first(visit: Visit) -> None:
    page = visit("supervisor").get("/plant?line=line-a&sort=state").text
    names = re.findall(r'<th scope="row" class="m"><a href="[^"]+"><b>([^<]+)', page)
    assert names[0] == "CNC-03"
    assert set(names) == {"CNC-01", "CNC-02", "CNC-03", "Mill-04"}


def test_no_page_holds_script_style_or_an_address_of_elsewhere(visit: Visit) -> None:
    visitor = visit("administrator")
    for address in (*PAGES, "/accounts", "/nowhere"):
        page = visitor.get(address)
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", page.text), address
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", page.text), address
        assert not re.search(r"(?:https?:)?//(?!www\.w3\.org)[a-z0-9.-]+\.[a-z]{2,}", page.text), address


def test_every_page_weighs_at_most_150_kilobytes_compressed_with_all_it_loads(visit: Visit) -> None:
    static = Path(web_app.__file__).parent / "static"
    visitor = visit("supervisor")
    for address in PAGES:
        page = visitor.get(address).text
        loads = set(re.findall(r'(?:src|href)="/static/([^"]+)"', page))
        size = len(gzip.compress(page.encode())) + sum(
            len(gzip.compress((static / name).read_bytes())) for name in loads
        )
        assert loads >= {"isthmus.css", "icon.svg"}
        assert size <= 150_000, (address, size)


def test_pages_are_sent_compressed(client: TestClient[Litestar], visit: Visit) -> None:
    visit("supervisor")
    assert client.get("/plant").headers["content-encoding"] == "gzip"


def test_the_minutes_on_the_page_add_up_to_the_shift_and_unknown_is_among_them(visit: Visit) -> None:
    page = visit("supervisor").get(MACHINE).text
    table = page.partition('<table class="wf">')[2].partition("</table>")[0]
    rows = re.findall(
        r'<tr( class="sum")?[^>]*><th scope="row">(?:<a[^>]*>)?([^<]+).*?<td class="num">([-\d.,]+)</td>', table
    )
    ladder = {name: (bool(total), float(number.replace(",", ""))) for total, name, number in rows}
    lost = sum(number for total, number in ladder.values() if not total)
    assert ladder["Not observed"][1] > 0
    assert round(lost + ladder["Good pieces at ideal speed"][1], 1) == ladder["Shift so far"][1]
    assert "Tool change" in ladder


def test_a_figure_opens_to_its_minutes_its_events_and_its_samples(visit: Visit, told: worlds.World) -> None:
    visitor = visit("supervisor")
    minutes = visitor.get(MACHINE).text
    opened = re.search(r'href="([^"]*open=good[^"]*)#stops"', minutes)
    assert opened
    events = visitor.get(opened[1].replace("&amp;", "&")).text
    assert "good pieces counted" in events
    first = told.now_ns - 600 * 10**9
    samples = text_of(visitor.get(f"{MACHINE}?open=good&from={first}&to={told.now_ns}"))
    assert "cnc-02/good" in samples
    assert "Good" in samples
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3}", samples)


def test_a_past_shift_is_found_by_its_date_and_says_when_it_knows_nothing(visit: Visit, told: worlds.World) -> None:
    plant = told.site.plant
    machine = plant.machines[worlds.path("CNC-02")]
    day = on_day(plant, machine, told.now_ns, told.app.state.house.local.date(told.shift_start_ns - 3 * 86_400 * 10**9))
    assert [window.name for window in day] == ["Early", "Late", "Night"]
    page = text_of(visit("supervisor").get(f"{MACHINE}?shift={day[0].key}"))
    assert "Shift: Early" in page
    assert "no data 8 h 00 min" in visit("supervisor").get(f"{MACHINE}?shift={day[0].key}").text
    assert "nothing was folded for it" in page


def test_a_plant_of_which_nothing_was_heard_says_what_to_do(silent: worlds.World) -> None:
    with TestClient(silent.app) as client:
        visitor = Visitor(client, "supervisor")
        plant = text_of(visitor.get("/plant"))
        assert plant.count("nothing heard yet") == len(worlds.NAMES)
        assert "No source has reported yet" in plant
        assert "Nothing needs a person now" in plant
        assert "isthmus edge plant.toml" in text_of(visitor.get("/connections"))
        assert "isthmus check --connect" in text_of(visitor.get("/connections"))
        assert "They appear when the ERP is read" in text_of(visitor.get("/orders"))
        assert "No figures for this shift yet" in text_of(visitor.get(MACHINE))


def test_addresses_and_firmware_are_shown_to_those_who_may_see_them_alone(visit: Visit) -> None:
    assert "opc.tcp://10.4.1.20:4840" in visit("ot-engineer").get("/connections").text
    for address in ("/connections", "/api/connections", "/api/connections?format=csv"):
        assert "opc.tcp://" not in visit("operator").get(address).text


def test_a_wrong_address_is_answered_in_words(visit: Visit) -> None:
    visitor = visit("supervisor")
    page = visitor.get("/machine/no/such/machine")
    assert page.status_code == 404
    assert "There is no such page" in page.text
    assert visitor.get("/api/stops/no/such").status_code == 404


def test_the_same_figures_come_as_json_and_as_csv(visit: Visit) -> None:
    visitor = visit("supervisor")
    machines = visitor.get("/api/machines").json()
    by_name = {row["name"]: row for row in machines["rows"]}
    assert by_name["CNC-03"]["state"] == "DOWN"
    assert 0.9 < by_name["CNC-02"]["coverage"] < 1
    lines = visitor.get("/api/machines?format=csv").text.splitlines()
    assert lines[0].startswith("path,name,line,state")
    assert len(lines) == 1 + len(worlds.NAMES)
    shift = visitor.get(f"/api/shift/{worlds.below('CNC-02')}").json()
    parts = [line["shown_min"] for line in shift["ladder"]["lines"] if not line["total"]]
    good = shift["ladder"]["lines"][-1]["shown_min"]
    assert round(sum(parts) + good, 1) == round(shift["ladder"]["lines"][0]["shown_min"], 1)
    for what in ("states", "stops", "counts", "tags"):
        assert visitor.get(f"/api/{what}/{worlds.below('CNC-02')}?format=csv").text.count("\r\n") >= 2, what


def test_a_trend_is_thinned_and_keeps_its_extremes(visit: Visit, told: worlds.World) -> None:
    start, end = told.now_ns - 1300 * 10**9, told.now_ns
    asked = f"/api/trend?tag=paint/load&start_ns={start}&end_ns={end}"
    every = visit("operator").get(f"{asked}&points=4000").json()
    thin = visit("operator").get(f"{asked}&points=20").json()
    assert len(every["value"]) == 120
    assert len(thin["value"]) <= 40
    assert (max(thin["value"]), min(thin["value"])) == (max(every["value"]), min(every["value"]))
    assert thin["unit"] == "%"
    assert visit("operator").get("/api/trend?tag=no/such&start_ns=0&end_ns=1").status_code == 404


def test_a_run_that_ends_counts_once_while_it_is_still_previewed(fresh: worlds.World) -> None:
    def made() -> float:
        found = client.get("/api/orders").json()["rows"]
        return float(next(order["good"] for order in found if order["order"] == "1051"))

    at = worlds.path("Paint")
    [live] = fresh.site.namespace.preview(at, "RunEnded")
    with TestClient(fresh.app) as client:
        Visitor(client, "planner")
        before = made()
        fresh.site.append([live])
        assert before > 0
        assert made() == before


def test_the_api_describes_itself_without_anything_from_elsewhere(visit: Visit) -> None:
    schema = visit("supervisor").get("/api/schema/openapi.json")
    assert schema.status_code == 200
    assert "/api/machines" in schema.json()["paths"]


def test_a_revised_shift_shows_its_revision_and_its_warning(fresh: worlds.World) -> None:
    at = worlds.path("Paint")
    fresh.site.namespace.put_previews(at, ("Indicator",), [])
    start = fresh.shift_start_ns
    indicator = Indicator(
        path=at,
        time_ns=start + 60 * NS_PER_MINUTE,
        start_ns=start,
        revision=2,
        window="shift",
        name="x",
        policy="Northgate 2026 · 3",
        elements=Elements(apt_ns=60 * NS_PER_MINUTE),
        pbt_ns=60 * NS_PER_MINUTE,
        good=130,
        scrap=0,
        rework=0,
        ideal_ns=65 * NS_PER_MINUTE,
        good_ideal_ns=65 * NS_PER_MINUTE,
        availability=1,
        effectiveness=1.08,
        quality=1,
        oee=1.08,
        coverage=1,
        warning="standard wrong: effectiveness above 1",
    )
    fresh.site.append([indicator])
    with TestClient(fresh.app) as client:
        page = text_of(Visitor(client, "supervisor").get(f"/machine/{worlds.below('Paint')}"))
    assert "revision 2" in page
    assert "Standard wrong: effectiveness above 1." in page
    assert "Faster than the standard" in page
    assert "-5.0" in page


@pytest.mark.parametrize(
    "asked",
    ["from=²&to=³", f"from=1&to={10**30}", f"from={1 << 63}&to={1 << 63}", "stop=²", f"stop={10**30}",
     "day=9999-12-31", "day=0001-01-01", "shift=9999-12-31/Night", "shift=0001-01-01/Early"],
)  # fmt: skip
def test_an_address_with_impossible_times_still_shows_the_machine(visit: Visit, asked: str) -> None:
    assert visit("supervisor").get(f"{MACHINE}?{asked}").status_code == 200


def test_the_api_has_no_shift_beyond_the_calendar(visit: Visit) -> None:
    below = worlds.below("CNC-02")
    for shift in ("9999-12-31/Night", "0001-01-01/Early"):
        assert visit("supervisor").get(f"/api/states/{below}?shift={shift}").status_code == 404


def previewed(made: worlds.World, name: str) -> Indicator:
    found = [one for one in made.site.namespace.preview(worlds.path(name), "Indicator") if isinstance(one, Indicator)]
    return next(one for one in found if one.window == "shift")


def test_a_ratio_of_a_shift_that_hardly_anybody_saw_is_not_shown_as_nought(fresh: worlds.World) -> None:
    indicator = previewed(fresh, "CNC-02")
    unseen = msgspec.structs.replace(indicator, oee=0.004, availability=0.005, coverage=0.005, effectiveness=0.9)
    fresh.site.namespace.put_previews(worlds.path("CNC-02"), ["Indicator"], [unseen])
    with TestClient(fresh.app) as client:
        visitor = Visitor(client, "supervisor")
        (row,) = [one for one in visitor.get("/api/machines").json()["rows"] if one["name"] == "CNC-02"]
        assert (row["oee"], row["availability"], row["coverage"]) == (None, None, 0.005)
        page = visitor.get("/plant").text
        assert "0.5\N{NO-BREAK SPACE}% observed" in page
        assert "availability \N{EN DASH}, effectiveness \N{EN DASH}" in page
        assert "OEE \N{EN DASH}" in visitor.get(f"/machine/{worlds.below('CNC-02')}").text


def test_figures_that_lack_late_data_are_shown_as_not_yet_computed(fresh: worlds.World) -> None:
    with TestClient(fresh.app) as client:
        visitor = Visitor(client, "supervisor")
        assert "not computed yet" not in visitor.get("/plant").text
        fresh.site.redoing[worlds.path("CNC-02")] = fresh.shift_start_ns - NS_PER_HOUR
        rows = visitor.get("/api/machines").json()["rows"]
        assert [one["name"] for one in rows if one["oee"] is None and one["coverage"] is not None] == ["CNC-02"]
        assert visitor.get("/plant").text.count("not computed yet") == 1
        assert "has just come in late" in visitor.get(f"/machine/{worlds.below('CNC-02')}").text
        fresh.site.redoing[worlds.path("CNC-02")] = fresh.now_ns + NS_PER_HOUR
        assert "not computed yet" not in visitor.get("/plant").text
