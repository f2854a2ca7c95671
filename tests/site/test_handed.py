"""An audit's record handed to a site at work, through its own folder on its own machine."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import plants
from isthmus.cli import main
from isthmus.model.records.edge import DeviceIdentified
from isthmus.model.records.people import ReasonGiven
from isthmus.plantfile import load
from isthmus.run.auditing.facts import AuditFacts
from isthmus.run.auditing.judge import Judged, judge
from isthmus.run.site import open_site
from isthmus.site.intake import handed
from isthmus.site.site import Site

LIST = "Address,Manufacturer,Model\n10.0.0.1,Siemens,6ES7 211-1BE31-0XB0\n10.0.0.2,Omron,CP1L\n"


def assets(site: Site) -> int:
    return int(site.views.query("SELECT count(*) FROM assets_known")[0][0])


def put(path: Path, data: bytes) -> None:
    """Leave a file for the site whole, as whoever hands something over does."""
    path.with_suffix(".new").write_bytes(data)
    path.with_suffix(".new").replace(path)


async def until_known(site: Site, count: int) -> None:
    """The site judges within seconds what it was told."""
    async with asyncio.timeout(20):
        while assets(site) != count:  # noqa: ASYNC110  a thread judges
            await asyncio.sleep(0.05)


@pytest.fixture
def plant(tmp_path: Path, free_port: Callable[[], int]) -> Path:
    path = tmp_path / "plant.toml"
    path.write_text(plants.no_machine(tmp_path, free_port()))
    (tmp_path / "list.csv").write_text(LIST)
    assert main(["audit", "import", str(tmp_path / "list.csv"), "--into", str(tmp_path / "audit")]) == 0
    return path


def test_a_running_site_takes_the_record_and_nothing_twice(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", "hand-over", "--plant", str(plant), "--into", str(tmp_path / "audit")]

    async def story() -> None:
        async with open_site(load(plant)) as site:
            assert await asyncio.to_thread(main, command) == 0
            await until_known(site, 2)
            position = site.log.position
            assert await asyncio.to_thread(main, command) == 0
            assert site.log.position == position
            assert site.log.verify() == []

    asyncio.run(story())
    told = capsys.readouterr().out
    assert "facts given to Northgate Works; its pages show them now" in told
    assert "\n0 facts given" in told


def test_what_no_audit_says_is_set_aside_and_the_rest_taken(
    plant: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.time_ns()
    foreign = ReasonGiven(path="acme/northgate/m", time_ns=now, end_ns=None, reason="jam", by="nobody", said_ns=now)
    folder = tmp_path / "site" / "handed"

    async def story() -> None:
        async with open_site(load(plant)) as site:
            await asyncio.to_thread(handed.hand, folder.parent, [foreign])
            put(folder / "00-torn.frames", b"ISTH no frame")
            put(folder / "01-empty.frames", b"")
            put(folder / "02-empty.samples", b"")
            async with asyncio.timeout(15):
                while len(list(folder.glob("*.aside"))) < 4:  # noqa: ASYNC110  a thread puts them there
                    await asyncio.sleep(0.05)
            assert site.log.position == 0
            assert sorted(one.suffix for one in folder.iterdir()) == [*[".aside"] * 4, ".why"]

    asyncio.run(story())
    assert "an audit may not say ReasonGiven" in caplog.text
    assert "01-empty.frames is set aside: it is empty" in caplog.text
    assert "it is empty" in (folder / "02-empty.why").read_text()


def identified(  # noqa: PLR0913, PLR0917  what a device says
    source: str, time_ns: int, address: str, model: str, serial: str = "", firmware: str = ""
) -> DeviceIdentified:
    return DeviceIdentified(
        path=f"acme/northgate#source/{source}",
        time_ns=time_ns,
        address=address,
        protocol="opcua",
        maker="Siemens",
        model=model,
        serial=serial,
        firmware=firmware,
    )


def test_what_the_sites_own_sources_learn_becomes_its_record(plant: Path) -> None:
    now = time.time_ns()
    once = identified("cnc-01", now, "opc.tcp://10.0.0.7:4840", model="S7-1515", serial="AX100", firmware="2.8")
    again = identified("cnc-01", now + 1, "opc.tcp://10.0.0.7:4840", model="S7-1515", serial="AX100", firmware="2.8")
    behind = [identified(f"press-{at}", now, f"10.0.0.9:{502 + at}", model=f"Press {at}") for at in range(2)]

    async def story() -> None:
        async with open_site(load(plant)) as site:
            await asyncio.to_thread(site.append, [once, again, *behind])
            await until_known(site, 3)
            row = site.views.query("SELECT maker, model, firmware, address FROM assets_known WHERE serial = 'AX100'")[0]
            assert tuple(row) == ("Siemens", "S7-1515", "2.8", "10.0.0.7")
            newer = identified(
                "cnc-01", now + 2, "opc.tcp://10.0.0.7:4840", model="S7-1515", serial="AX100", firmware="2.9"
            )
            await asyncio.to_thread(site.append, [newer])
            async with asyncio.timeout(20):
                while not site.views.query("SELECT 1 FROM assets_findings WHERE what = 'drift'"):  # noqa: ASYNC110  as above
                    await asyncio.sleep(0.05)

    asyncio.run(story())


def test_a_record_that_cannot_be_judged_stops_nothing_and_is_judged_once_it_can(
    plant: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = [ValueError("no such zone"), sqlite3.OperationalError("database is locked")]

    def first_not(facts: AuditFacts) -> Judged:
        if wrong:
            raise wrong.pop()
        return judge(facts)

    monkeypatch.setattr("isthmus.run.auditing.site.judge", first_not)
    monkeypatch.setattr("isthmus.run.auditing.site._LOOK_S", 0.1)

    async def story() -> None:
        async with open_site(load(plant)) as site:
            await asyncio.to_thread(site.append, [identified("cnc-01", time.time_ns(), "10.0.0.7:4840", "S7-1515")])
            await until_known(site, 1)

    asyncio.run(story())
    assert "not up to date: database is locked" in caplog.text
    assert "cannot be judged; the site goes on" in caplog.text
    assert not wrong
