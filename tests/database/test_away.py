"""A database that is away costs pages and doors their tables for a while, and the taking in nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from isthmus.model.errors import DatabaseAway
from isthmus.model.records.people import JobStarted, SiteCut
from isthmus.model.time import NS_PER_S
from isthmus.plantfile import read
from isthmus.site.intake.refusal import Refusal
from isthmus.site.records import far_views, postgresql
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.web.accounts import Person
from isthmus.web.app import make_app
from isthmus.web.config import WebSection
from isthmus.web.live import messages
from isthmus.web.pages import plant
from postgres import Cluster
from spine import MONDAY, Spine

PATH = "acme/northgate/machining/cnc-01"


@pytest.fixture
def own(postgres: Cluster) -> Iterator[Cluster]:
    """The server, which these tests may stop; it runs again for the next."""
    yield postgres
    postgres.wake()
    postgres.start()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not wait as long as a plant would."""
    monkeypatch.setattr(far_views, "_AGAIN_S", 0.1)
    monkeypatch.setattr(far_views, "_FIRST_S", 5.0)
    monkeypatch.setattr(postgresql, "_PAUSE_S", 0.1)
    monkeypatch.setattr(postgresql, "DEADLINE_S", 1.0)


def said(number: int) -> JobStarted:
    return JobStarted(path=PATH, time_ns=MONDAY + number, order=str(number), by="ann", said_ns=MONDAY)


def orders(spine: Spine) -> list[str]:
    rows = spine.site.views.query("SELECT order_no FROM runs_begun ORDER BY time_ns")
    return [row["order_no"] for row in rows]


def wait_for(what: Callable[[], bool], within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def reads(spine: Spine) -> bool:
    try:
        orders(spine)
    except DatabaseAway:
        return False
    return True


@pytest.mark.peer("postgresql")
def test_taking_in_goes_on_without_the_database_and_the_tables_catch_up(tmp_path: Path, own: Cluster) -> None:
    spine = Spine(tmp_path / "site", database=PostgresDatabase(own.database()))
    try:
        spine.site.append([said(1)])
        assert orders(spine) == ["1"]
        own.stop()
        began = time.monotonic()
        spine.send([(MONDAY + n * NS_PER_S, "parts", n) for n in range(100)])
        for number in range(2, 30):
            spine.site.append([said(number)])
        assert time.monotonic() - began < 4
        with pytest.raises(DatabaseAway, match="PostgreSQL at 127"):
            orders(spine)
        own.start()
        wait_for(lambda: reads(spine))
        assert orders(spine) == [str(number) for number in range(1, 30)]
        spine.until(MONDAY + 200 * NS_PER_S)
        assert spine.facts("Counted")
    finally:
        spine.close()


@pytest.mark.long
@pytest.mark.peer("postgresql")
def test_a_database_that_only_sleeps_is_given_up_within_its_deadline(tmp_path: Path, own: Cluster) -> None:
    spine = Spine(tmp_path / "site", database=PostgresDatabase(own.database()))
    try:
        spine.site.append([said(1)])
        own.sleep()
        began = time.monotonic()
        for number in range(2, 12):
            spine.site.append([said(number)])
        assert time.monotonic() - began < 5
        assert not reads(spine)
        own.wake()
        wait_for(lambda: reads(spine), 40)
        assert orders(spine) == [str(number) for number in range(1, 12)]
    finally:
        own.wake()
        spine.close()


@pytest.mark.peer("postgresql")
def test_a_site_starts_without_its_database_and_a_cut_of_the_link_still_holds(
    tmp_path: Path, own: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address, conduit = own.database(), "acme/northgate#conduit/uplink"
    spine = Spine(tmp_path / "site", database=PostgresDatabase(address))
    spine.site.append(
        [said(1), SiteCut(path=conduit, time_ns=MONDAY, step="cut", reason="seen", by="ann", said_ns=MONDAY)]
    )
    spine.close()
    own.stop()
    monkeypatch.setattr(far_views, "_FIRST_S", 0.5)
    with caplog.at_level(logging.WARNING):
        again = Spine(tmp_path / "site", database=PostgresDatabase(address))
    try:
        assert not reads(again)
        assert "the site goes on taking in" in caplog.text
        again.site.recall()
        assert Refusal(again.site, conduit)("edge-1")
        own.start()
        wait_for(lambda: reads(again))
        assert orders(again) == ["1"]
    finally:
        again.close()


@pytest.mark.peer("postgresql")
def test_a_page_says_what_is_missing_and_what_goes_on(tmp_path: Path, own: Cluster) -> None:
    spine = Spine(tmp_path / "site", database=PostgresDatabase(own.database()))
    try:
        app = make_app(spine.site, WebSection(data=tmp_path / "web"))
        with TestClient(app) as client:
            assert client.get("/plant", follow_redirects=False).headers["location"].startswith("/log-in")
            own.stop()
            for address in ("/plant", "/api/machines"):
                answer = client.get(address, follow_redirects=False)
                assert answer.status_code == 503
                assert "Records and people cannot be read: PostgreSQL at 127.0.0.1" in answer.text
                assert "Samples, counts and states are taken in and kept all the same" in answer.text
            own.start()
            wait_for(lambda: client.get("/plant", follow_redirects=False).status_code != 503)
    finally:
        spine.close()


@pytest.mark.long
@pytest.mark.peer("postgresql")
def test_a_live_page_falls_silent_and_goes_on_by_itself(tmp_path: Path, own: Cluster) -> None:
    spine = Spine(tmp_path / "site", database=PostgresDatabase(own.database()))
    try:
        house = make_app(spine.site, WebSection(data=tmp_path / "web")).state.house
        house.accounts.add(Person(name="ann", full_name="Ann", role="administrator"), "three words do well")
        token = house.accounts.log_in("ann", "three words do well", "x")

        async def seen() -> list[bytes]:
            stream = messages(house, token, plant.build, "", {})
            out = [await anext(stream)]
            await asyncio.to_thread(own.stop)
            while not (line := await anext(stream)).startswith(b":"):
                pass
            out.append(line)
            await asyncio.to_thread(own.start)
            while not (line := await anext(stream)).startswith(b"data"):
                pass
            await stream.aclose()
            return [*out, line]

        first, silent, again = asyncio.run(asyncio.wait_for(seen(), 40))
        assert first.startswith(b"data")
        assert silent == b": records and people cannot be read\n\n"
        assert again.startswith(b"data")
        house.accounts.close()
    finally:
        spine.close()


@pytest.mark.long
@pytest.mark.peer("postgresql")
def test_two_sites_never_write_one_database(tmp_path: Path, own: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    address = own.database()
    first = Spine(tmp_path / "first", database=PostgresDatabase(address))
    monkeypatch.setattr(far_views, "_FIRST_S", 0.5)
    second = Spine(tmp_path / "second", database=PostgresDatabase(address))
    try:
        with pytest.raises(DatabaseAway, match="is written by another site"):
            orders(second)
        assert reads(first)
    finally:
        second.close()
        first.close()


@pytest.mark.long
@pytest.mark.peer("postgresql")
def test_tables_of_another_log_are_made_anew(tmp_path: Path, own: Cluster) -> None:
    address = own.database()
    for folder, number in (("first", 1), ("second", 2), ("second", 3)):
        spine = Spine(tmp_path / folder, database=PostgresDatabase(address))
        spine.site.append([said(number)])
        found = orders(spine)
        spine.close()
    assert found == ["2", "3"]


def test_a_password_in_the_plant_file_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "plant.toml"
    file.write_text("[plant]\npath = 'acme/n'\nname = 'N'\n[site]\ndatabase = 'postgresql://ann:secret@db/isthmus'\n")
    _, mistakes = read(file)
    assert any("a password stands in the plant file" in mistake.what for mistake in mistakes)
    assert all("secret" not in str(mistake) for mistake in mistakes)
