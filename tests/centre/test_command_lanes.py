"""`isthmus history ship` and `isthmus centre` for bursts and records, as a person types them; and the site by itself."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import duckdb
import pytest
from group import T0
from test_command import until
from test_ship_records import gave
from test_ship_waveforms import NAME, READINGS, Site

from isthmus.cli import main
from isthmus.model.records.production import RunStarted
from isthmus.model.time import NS_PER_DAY, iso
from isthmus.run.ship import ship_history
from isthmus.site.config import HistorianSection
from isthmus.site.historian.shipping import shipped
from isthmus.site.records import shipped_log
from isthmus.site.records.records_log import RecordsLog

STRETCH = ["--from", iso(T0), "--to", iso(T0 + 3 * NS_PER_DAY)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A site's data folder with three bursts, one of them not sealed, and six records."""
    site = Site(tmp_path)
    for hour in (1, 30):
        site.burst(hour)
    site.store.seal()
    site.burst(31, tag=2, value=[3.0, -4.0])
    site.close()
    site.folder.rename(tmp_path / "history")
    log = RecordsLog(tmp_path / "log")
    log.append([RunStarted(path=f"{NAME}/press", time_ns=T0 + n, order=f"O-{n}", by="machine") for n in range(5)])
    log.append([gave(NAME, T0 + 9)])
    log.close()
    (tmp_path / "group").mkdir()
    return tmp_path


@pytest.fixture
def centre(data: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The options of `isthmus centre` for a group to which that site shipped everything by hand."""
    group = str(data / "group")
    assert main(["history", "--data", str(data), "ship", group, "--site", NAME, "--records"]) == 0
    said = capsys.readouterr().out
    assert "bursts: 2 days, 2 of them with a new list" in said
    assert "1 bursts put into the tail" in said
    assert "records: 6 records that were not there" in said
    return ["centre", "--group", group, "--data", str(data / "centre")]


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_bursts_are_listed_and_fetched_by_name(
    centre: list[str], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*centre, "waveforms", "acme/*:press/*", *STRETCH]) == 0
    listed = rows(capsys)
    assert [(each["site"], each["tag"], each["n"]) for each in listed] == [
        (NAME, "press/v1", str(READINGS)),
        (NAME, "press/v1", str(READINGS)),
        (NAME, "press/v2", "2"),
    ]
    assert (listed[2]["rate_hz"], listed[2]["peak"], listed[2]["rms"]) == ("25600.0", "4.0", str(12.5**0.5))
    assert main([*centre, "waveforms", "*:press/v2", *STRETCH, "--readings"]) == 0
    assert [each["value"] for each in rows(capsys)] == ["3.0", "-4.0"]

    out = data / "bursts.parquet"
    command = [*centre, "waveforms", "*", *STRETCH, "--readings", "--format", "parquet", "--out", str(out)]
    assert main(command) == 0
    found = duckdb.sql(f"SELECT tag, len(readings), readings[2] FROM '{out}' ORDER BY time").fetchall()  # noqa: S608  our own file
    assert [row[:2] for row in found] == [("press/v1", READINGS), ("press/v1", READINGS), ("press/v2", 2)]
    assert found[2][2] == -4.0
    assert not list(data.glob("*.tmp"))


def test_records_are_told_by_kind_and_by_what_they_are_about(
    centre: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*centre, "records", "--kind", "RunStarted", "--about", "O-3", *STRETCH]) == 0
    (row,) = rows(capsys)
    assert (row["site"], row["order"], row["by"], row["time"]) == (NAME, "O-3", "machine", iso(T0 + 3))
    assert main([*centre, "records", "--kind", "ReasonGiven", *STRETCH, "--format", "jsonl"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["position"], said["reason"], said["by"], said["note"]) == (6, "jam", "-", "")
    assert main([*centre, "records", "--people", *STRETCH]) == 0
    every = rows(capsys)
    assert [each["kind"] for each in every] == ["RunStarted"] * 5 + ["ReasonGiven"]
    assert json.loads(every[-1]["facts"])["by"] == "A. Khan"


def test_status_and_verify_tell_of_bursts_and_of_the_chain(
    centre: list[str], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*centre, "status"]) == 0
    said = capsys.readouterr().out
    log = RecordsLog(data / "log")
    assert f"6 records, frame 2, {log.head}" in said, "the hash that dates the site's log"
    log.close()
    assert "2 days, 2 files, 2 bursts" in said
    assert main([*centre, "verify"]) == 0
    assert "all as shipped" in capsys.readouterr().out
    for pattern in ("site=*/waveforms/*/*.parquet", "site=*/records/open/*.frames"):
        path = next((data / "group").glob(pattern))
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert main([*centre, "verify"]) == 1
        assert str(path.relative_to(data / "group")) in capsys.readouterr().err
        path.write_bytes(good)
        assert main([*centre, "verify"]) == 0
        capsys.readouterr()


def test_what_cannot_be_asked_of_bursts_and_records_says_how_to_ask_it(
    centre: list[str], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, said in (
        (["waveforms", "mill/*"], "no tag fits 'mill/*'"),
        (["waveforms", "*", "--format", "parquet"], "--out bursts.parquet"),
        (["waveforms", "*", *STRETCH, "--format", "parquet", "--out", str(data / "no/b")], "cannot be written"),
        (["records", "--kind", "Order"], "there is no kind 'Order'; there are AssetAdvised"),
        (["records", "--from", "2026-02-01", "--to", "2026-01-01"], "is not before --to"),
        (["accept", "acme/mill"], "acme/mill ships no records here"),
    ):
        assert main([*centre, *given]) == 2, given
        assert said in capsys.readouterr().err


def test_records_name_people_so_a_site_ships_them_only_where_its_file_says_so(data: Path) -> None:
    def ship(section: HistorianSection, name: str) -> None:
        async def a_while() -> None:
            shipping = asyncio.create_task(ship_history(data / "history", section, NAME))
            await until((data / "group" / f"site=acme~north{name}").exists)
            await asyncio.sleep(0.05)
            shipping.cancel()

        asyncio.run(a_while())

    target = str(data / "group")
    folder = data / "group/site=acme~north"
    ship(HistorianSection(ship_to=target, ship_every_s=0.02, ship_waveforms=False), f"/{shipped.TAIL}")
    assert not (folder / shipped.WAVEFORMS).exists()
    ship(HistorianSection(ship_to=target, ship_every_s=0.02), f"/waveforms/{shipped.TAIL}")
    assert not (folder / shipped_log.ROOT).exists()
    assert not HistorianSection().ship_records
    ship(HistorianSection(ship_to=target, ship_every_s=0.02, ship_records=True), f"/{shipped_log.ROOT}")


def test_a_group_without_records_says_which_key_ships_them(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["centre", "--group", str(data / "group"), "--data", str(data / "centre"), "records"]) == 2
    assert "`[historian] ship_records = true`" in capsys.readouterr().err
