"""The asset pages: filtered in the database, decided with a reason, and closed to whom firmware is not for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, cast

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from isthmus.model.equipment import beside
from isthmus.model.records.assets import (
    Advice,
    AssetAdvised,
    AssetFinding,
    AssetKnown,
    Evidence,
    Field,
    FlowSeen,
)
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.status import GOOD
from isthmus.site.namespace import Last
from isthmus.web.figures import assets as figures
from web_world import PASSWORD, PATH, World, path, world

SECTION = '[[conduit]]\nname = "plc-2"\n'


def asset(number: str, **fields: str) -> AssetKnown:
    told = tuple(
        Field(name=key, value=value, how="observed", method="CIP", confidence=0.9, first_ns=1, last_ns=2, source="s")
        for key, value in fields.items()
        if key not in ("zone", "role")
    )
    return AssetKnown(
        path=beside(PATH, "asset", number),
        time_ns=10,
        keys=(f"address {number}",),
        aliases=(number, f"old-{number}"),
        zone=fields.get("zone", ""),
        role=fields.get("role", ""),
        fields=told,
        first_ns=1,
        last_ns=2,
        filled=0.4,
    )


def many(count: int) -> list[AssetKnown]:
    return [
        asset(
            f"a{n:04d}",
            name=f"plc-{n:04d}",
            maker="Siemens" if n % 2 else "Omron",
            model="CP1L",
            firmware=f"1.{n}",
            address=f"10.4.{n // 250}.{n % 250}",
            serial=f"SN{n:06d}",
            zone="control" if n % 3 else "safety",
            role="controller",
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("assets"), told=False) as made:
        finding = AssetFinding(
            path=beside(PATH, "finding", "f1"),
            time_ns=5,
            what="drift",
            title="plc-0001 changed its firmware",
            text="1.0 then 1.1",
            next_step="Compare with the change record.",
            severity="high",
            assets=("a0001",),
            addresses=("10.4.0.1",),
            last_ns=6,
            evidence=(Evidence(source="s", frame=7, time_ns=5, what="firmware <b>1.1"),),
            conduit=SECTION,
        )
        advice = Advice(
            advisory="ICSA-1",
            title="T",
            answer="affected",
            why="w",
            product="p",
            product_id="P",
            version="<2",
            certain=True,
        )
        advised = AssetAdvised(
            path=beside(PATH, "asset", "a0002"),
            time_ns=11,
            answer="affected",
            newest="2024-10-01",
            advices=(advice,),
            conduit=SECTION,
        )
        talk = FlowSeen(
            path=beside(PATH, "flow-seen", "x"),
            time_ns=1,
            source="s",
            last_ns=2,
            client="10.4.0.1",
            server="10.4.0.3",
            transport="tcp",
            port=502,
            service="modbus",
        )
        made.site.append([*many(120), finding, advised, talk])
        yield made


@pytest.fixture(scope="module")
def client(place: World) -> Iterator[TestClient[Litestar]]:
    """One for all: the application closes its accounts when its client leaves."""
    with TestClient(place.app, base_url="http://testserver.local") as made:
        yield made


@pytest.fixture
def security(client: TestClient[Litestar]) -> TestClient[Litestar]:
    log_in(client, "security")
    return client


def log_in(client: TestClient[Litestar], role: str) -> None:
    client.cookies.clear()
    answer = client.post("/log-in", data={"name": role, "password": PASSWORD}, follow_redirects=False)
    assert answer.status_code == 303


def token(text: str) -> str:
    return text.split('name="form" value="', 1)[1].split('"', 1)[0]


def test_a_proposed_conduit_stands_on_the_pages_as_it_is_pasted(security: TestClient[Litestar]) -> None:
    for address, id_ in (("/assets/findings", "conduit-f1"), ("/asset/a0002", "advised-conduit")):
        page = security.get(address).text
        assert unescape(page.split(f'<pre id="{id_}" tabindex="0">')[1].split("</pre>")[0]) == SECTION
        assert f'data-copies="{id_}"' in page


def test_a_page_of_the_inventory_holds_fifty_and_the_next_goes_on(security: TestClient[Litestar]) -> None:
    first = security.get("/assets").text
    assert "120 known" in first
    assert first.count('<th scope="row"') >= figures.PAGE
    assert "plc-0049" in first
    assert "plc-0050" not in first
    third = security.get("/assets?page=3").text
    assert "101 to 120 of 120" in third
    assert security.get("/assets?page=99999999").status_code == 200
    assert "101 to 120 of 120" in security.get("/assets?page=44").text


def test_filters_and_words_narrow_it(security: TestClient[Litestar]) -> None:
    assert "60 of 120" in security.get("/assets?maker=Omron").text
    assert "40 of 120" in security.get("/assets?zone=safety").text
    assert "plc-0007" in security.get("/assets?q=sn000007").text
    only = security.get("/assets?answer=affected").text
    assert "plc-0002" in only
    assert "1 of 120" in only
    assert "Nothing fits" in security.get("/assets?q=nobody").text


def test_the_asset_page_shows_evidence_connections_advisories_and_history(security: TestClient[Litestar]) -> None:
    page = security.get("/asset/a0001").text
    for words in ("10.4.0.1", "1.1", "changed its firmware", "plc-0003", "modbus", "First known".lower()):
        assert words in page
    assert "ICSA-1" in security.get("/asset/a0002").text
    assert security.get("/asset/old-a0001").status_code == 200
    assert security.get("/asset/nothing").status_code == 404


def test_what_devices_say_is_text_and_never_markup(security: TestClient[Litestar]) -> None:
    page = security.get("/assets/findings").text
    assert "firmware <b>" not in page
    assert "firmware &lt;b&gt;1.1" in page


def test_who_may_not_see_firmware_and_addresses_finds_and_sorts_by_neither(client: TestClient[Litestar]) -> None:
    log_in(client, "operator")
    for address in ("/assets", "/asset/a0001", "/assets?sort=address", "/assets?q=plc-0001"):
        page = client.get(address).text
        assert "plc-0001" in page
        for secret in ("10.4.0.1<", "1.1<", "SN000001", "changed its firmware", "modbus"):
            assert secret not in page, (address, secret)
    assert "Nothing fits" in client.get("/assets?q=sn000001").text
    assert "120 known" in client.get("/assets?answer=affected").text
    for closed in ("/assets/map", "/assets/findings"):
        assert client.get(closed).status_code == 403


def test_a_decision_needs_a_reason_and_the_right_and_stands_in_the_history(
    security: TestClient[Litestar],
) -> None:
    form = {"form": token(security.get("/assets/findings").text), "kind": "finding", "name": "f1", "decision": "accept"}
    assert security.post("/act/asset", data=form).status_code == 400
    done = security.post("/act/asset", data={**form, "reason": "change 4711", "back": "/assets/findings"})
    assert done.status_code == 200
    assert "changed its firmware" not in security.get("/assets/findings").text
    assert "changed its firmware" in security.get("/assets/findings?state=accepted").text
    told = {
        "form": form["form"],
        "kind": "asset",
        "name": "a0003",
        "decision": "set",
        "set-owner": "Line 2",
        "reason": "walk",
    }
    assert security.post("/act/asset", data=told).status_code == 200
    page = security.get("/asset/a0003").text
    assert "Line 2" in page
    assert "security: walk" in page
    log_in(security, "administrator")
    mine = token(security.get("/assets").text)
    assert security.post("/act/asset", data={**form, "form": mine, "reason": "no"}).status_code == 403


def test_a_decision_may_be_for_a_time_to_come(security: TestClient[Litestar]) -> None:
    page = security.get("/asset/a0003").text
    assert 'type="date" name="until"' in page
    form = {"form": token(page), "kind": "asset", "name": "a0003", "decision": "accept", "reason": "till the shutdown"}
    for wrong in ("2001-01-01", "soon", "2999-01-01"):
        assert security.post("/act/asset", data={**form, "until": wrong}).status_code == 400
    assert "till the shutdown" not in security.get("/asset/a0003").text
    assert security.post("/act/asset", data={**form, "until": "2199-12-30"}).status_code == 200
    page = security.get("/asset/a0003").text
    assert "accepted until" in page
    assert "2199" in page


def test_the_map_draws_zones_as_bands_with_safety_below(security: TestClient[Litestar]) -> None:
    page = security.get("/assets/map").text
    bands = [part.split("<", 1)[0] for part in page.split('class="zone"')[1:]]
    assert [band.rpartition(">")[2] for band in bands] == ["control", "safety"]
    assert 'class="edge' in page


def test_many_are_paged_by_the_database(tmp_path: Path) -> None:
    with world(tmp_path, told=False) as big:
        big.site.append(many(3_000))
        found = figures.listed(big.app.state.house, figures.Asked(page=30, zone="control"), details=True)
        assert (found.total, len(found.rows)) == (2000, figures.PAGE)
        assert isinstance(found.rows[0], sqlite3.Row)


def test_what_the_plant_reads_itself_shows_its_signals_and_leads_to_its_machine(
    place: World, client: TestClient[Litestar]
) -> None:
    """The last test: it adds to the record that the others count."""
    name = "CNC-01 (cnc-01)"
    own = asset("own1", name=name, source="cnc-01", model="SIM-5", namespaces="urn:a", serial="S-1", behind="10.0.0.7")
    cast("Any", place.site.tags).intern(TagInfo(name="cnc-01/spindle", kind=ValueKind.F64, unit="rpm"))
    place.site.namespace.put_samples({"cnc-01/spindle": Last(place.now_ns, GOOD, 8180.0)})
    place.site.append([own])
    log_in(client, "security")
    page = client.get("/asset/own1").text
    assert f"<h1>{name}</h1>" in page
    assert "cnc-01/spindle" in page
    assert "8,180 rpm" in page
    assert f'<a href="/machine/{path("CNC-01").removeprefix(PATH + "/")}">CNC-01</a>' in page
    assert page.index("Serial number") < page.index("What else its protocol says") < page.index("urn:a")
    assert "behind 10.0.0.7" in client.get("/assets?q=cnc-01").text
    assert "Signals" not in client.get("/asset/a0001").text
