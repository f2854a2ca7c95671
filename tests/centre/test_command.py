"""`isthmus history ship` and `isthmus centre`, as a person types them; and the site that ships by itself."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from group import T0, Site

from isthmus.cli import main
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, iso
from isthmus.run.ship import ship_history
from isthmus.site.config import HistorianSection
from isthmus.site.historian.shipping import shipped

NAME = "acme/north"


@pytest.fixture
def shipped_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The options of `isthmus centre` for a group to which one site shipped by hand."""
    (tmp_path / "group").mkdir()
    site = Site(tmp_path, tmp_path / "other", NAME, 3)
    for hour in (1, 2, 30):
        site.write(hour)
    site.store.seal()
    site.write(31)
    site.close()
    site.folder.rename(tmp_path / "history")
    assert main(["history", "--data", str(tmp_path), "ship", str(tmp_path / "group"), "--site", NAME]) == 0
    assert "360 samples put into the tail" in capsys.readouterr().out
    return ["centre", "--group", str(tmp_path / "group"), "--data", str(tmp_path / "centre")]


def test_status_says_what_each_site_shipped(shipped_group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*shipped_group, "status"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(NAME))
    assert line.split()[1] == "2", "days"


def test_query_answers_by_name(shipped_group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    stretch = ["--from", iso(T0), "--to", iso(T0 + 2 * NS_PER_DAY), "--by", "1d"]
    assert main([*shipped_group, "query", "acme/*:plc/t[12]", "--ask", "minmax", *stretch]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {(row["site"], row["tag"]) for row in found} == {(NAME, "plc/t1"), (NAME, "plc/t2")}
    assert {row["bucket_ns"] for row in found} == {iso(T0), iso(T0 + NS_PER_DAY)}
    assert all(int(row["n"]) > 0 for row in found)
    assert main([*shipped_group, "query", "*", "--ask", "top", *stretch]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "value,duration_ns,n"


def test_nothing_is_said_of_what_is_to_come_and_a_silent_site_is_named(
    shipped_group: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = [*shipped_group, "query", "*:plc/t1", "--from", iso(T0), "--to", "2200-01-01", "--by", "1d", "--ask"]
    assert main([*ask, "coverage"]) == 0
    told = capsys.readouterr()
    days = [row["bucket_ns"] for row in csv.DictReader(io.StringIO(told.out))]
    assert days[-1] == iso(time.time_ns() // NS_PER_DAY * NS_PER_DAY)
    assert "shipped last at" not in told.err
    monkeypatch.setattr("isthmus.commands.centre._SILENT_NS", -1)
    assert main([*ask, "coverage"]) == main([*ask, "minmax"]) == 0
    assert capsys.readouterr().err.count(f"{NAME} shipped last at") == 1


def test_a_question_that_cannot_be_asked_says_how_to_ask_it(
    shipped_group: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for given, said in (
        (["query", "mill/*"], "no tag fits 'mill/*'"),
        (["query", "*", "--by", "yesterday"], "'yesterday' is no length"),
        (["query", "*", "--from", "noon"], "'noon' is no time"),
        (["query", "*", "--from", "1990-01-01", "--by", "1s", "--ask", "mean"], "choose a longer --by"),
        (["query", "*", "--from", "2026-02-01", "--to", "2026-01-01"], "is not before --to"),
        (["query", "*", "--engine", "sail"], "sail has an environment of its own"),
        (["query", "*", "--engine", "spark", "--python", "/nowhere/python"], "/nowhere/python cannot be started"),
    ):
        assert main([*shipped_group, *given]) == 2
        assert said in capsys.readouterr().err


def test_verify_finds_a_file_that_was_changed(
    shipped_group: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*shipped_group, "verify"]) == 0
    assert "all as shipped" in capsys.readouterr().out
    path = next((tmp_path / "group").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert main([*shipped_group, "verify"]) == 1
    assert "does not hold what its name says" in capsys.readouterr().err
    assert main([*shipped_group, "status"]) == 1
    assert "refused since" in capsys.readouterr().out


def test_a_group_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["centre", "--group", str(tmp_path / "no"), "--data", str(tmp_path / "c"), "status"]) == 2
    assert "give the folder that the sites ship to" in capsys.readouterr().err


def test_a_site_ships_by_itself_and_says_once_that_the_share_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path, tmp_path / "group", NAME, 3)
    site.group.rename(tmp_path / "away")
    section = HistorianSection(ship_to=str(site.group), ship_every_s=0.02)
    site.write(1)

    async def a_while() -> None:
        shipping = asyncio.create_task(ship_history(site.folder, section, NAME))
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(0.2)
        (tmp_path / "away").rename(site.group)
        site.write(2)
        site.store.seal()
        await until((site.group / "site=acme~north" / shipped.ROOT).exists)
        await until(lambda: len(caplog.records) > 1)
        await until(lambda: shipped_to() == T0 + 2 * NS_PER_HOUR)
        shipping.cancel()

    def shipped_to() -> int:
        root = shipped.read_root(shipped.place(str(site.group)), NAME)
        return root.received_ns if root else 0

    try:
        with caplog.at_level(logging.WARNING):
            asyncio.run(a_while())
    finally:
        site.close()
    assert ["is not there" in caplog.text, "is shipped to" in caplog.text] == [True, True]
    assert len(caplog.records) == 2


async def until(there: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not there():  # noqa: ASYNC110  a file on disk sets no event
            await asyncio.sleep(0.02)


def test_nothing_is_shipped_where_nothing_is_asked(tmp_path: Path) -> None:
    asyncio.run(asyncio.wait_for(ship_history(tmp_path, HistorianSection(), NAME), 5))
    assert not list(tmp_path.iterdir())
