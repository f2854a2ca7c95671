"""A past brought to a running site and samples put right there, by the command line and through the site's own data."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import plants
from isthmus.cli import main
from isthmus.model.query import Raw
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S, iso
from isthmus.plantfile import load
from isthmus.run.site import open_site
from isthmus.site.historian.reader import Reader
from isthmus.site.intake import handed
from isthmus.site.site import Site

EVER = 1 << 62


@pytest.fixture
def plant(tmp_path: Path, free_port: Callable[[], int]) -> Path:
    path = tmp_path / "plant.toml"
    path.write_text(plants.one_machine(tmp_path, free_port()))
    return path


def past(path: Path, rows: int, start_ns: int, tag: str = "parts") -> Path:
    """A table of one tag, a row a second, counting from 0."""
    lines = [f"{tag},{start_ns // NS_PER_S + at},{at}" for at in range(rows)]
    path.write_text("tag,time,value\n" + "\n".join(lines) + "\n")
    return path


def values(site: Site, name: str) -> list[float]:
    number = site.tags.find(name)
    if number is None:
        return []
    table = site.historian.query(Raw(), [number], 0, EVER)
    return [row["i64"] if row["i64"] is not None else row["f64"] for row in table.to_pylist()]


def good(site: Site) -> float:
    told = site.views.query("SELECT total(body ->> 'good') FROM facts WHERE kind = 'Counted' AND gone = 0")
    return float(told[0][0])


async def until(what: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(what):  # noqa: ASYNC110  threads change it
            await asyncio.sleep(0.05)


def hour_ago() -> int:
    """Whole seconds, and of this day, which is the plant's shift."""
    now = time.time_ns()
    return max(now - 60 * NS_PER_MINUTE, now // NS_PER_DAY * NS_PER_DAY) // NS_PER_S * NS_PER_S


def test_a_past_comes_into_a_running_site_once_and_its_figures_follow(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["history", "--data", str(tmp_path / "site"), "import", str(tmp_path / "past.csv"), "--source", "plc"]
    start = hour_ago()
    past(tmp_path / "past.csv", 300, start)
    (tmp_path / "run.csv").write_text(f"tag,time,value\nrunning,{start // NS_PER_S},1\n")

    async def story() -> None:
        async with open_site(load(plant)) as site:
            site.tags.intern_all([TagInfo(name=f"plc/{name}", kind=ValueKind.I64) for name in ("running", "parts")])
            other = [*command[:4], str(tmp_path / "run.csv"), *command[5:]]
            assert await asyncio.to_thread(main, other) == 0
            # What is folded now has begun before the past comes: it must be led back.
            await until(lambda: site.views.query("SELECT 1 FROM facts WHERE kind = 'StateChanged'"))
            assert await asyncio.to_thread(main, command) == 0
            assert values(site, "plc/parts") == list(range(300))
            await until(lambda: good(site) == 299)
            last = site.namespace.last("plc/parts")
            assert last is not None
            assert last.value == 299
            written = site.log.position
            assert await asyncio.to_thread(main, command) == 0
            assert values(site, "plc/parts") == list(range(300))
            assert good(site) == 299
            assert site.log.position - written < 5_000
            assert list((tmp_path / "site" / handed.FOLDER).iterdir()) == []

    asyncio.run(story())
    assert "the site is running and is handed the samples" in capsys.readouterr().out


def test_a_sample_put_right_by_the_command_line_reaches_the_running_site_and_its_figures(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = hour_ago()

    async def story() -> None:
        async with open_site(load(plant)) as site:
            ids = site.tags.intern_all(
                [TagInfo(name=f"plc/{name}", kind=ValueKind.I64) for name in ("running", "parts")]
            )
            times = [start + at * NS_PER_S for at in range(10)]
            site.historian.append([Batch(1, 1, 1, start, columns(ValueKind.I64, [ids[0]], [start], [0], [1]))])
            site.historian.append(
                [Batch(1, 1, 2, start, columns(ValueKind.I64, [ids[1]] * 10, times, [0] * 10, list(range(10))))]
            )
            await until(lambda: good(site) == 9)
            right = ["history", "--data", str(tmp_path / "site"), "correct", "plc/parts", iso(times[-1])]
            assert await asyncio.to_thread(main, [*right, "12", "--by", "J. Holt", "--why", "read again"]) == 0
            assert values(site, "plc/parts")[-1] == 12
            await until(lambda: good(site) == 12)
            assert await asyncio.to_thread(main, [*right, "many", "--by", "J. Holt", "--why", "no"]) != 0
            said = site.views.query("SELECT body ->> 'by' AS who FROM facts WHERE kind = 'SampleCorrected'")
            assert [row["who"] for row in said] == ["J. Holt"]

    asyncio.run(story())
    told = capsys.readouterr()
    assert "the running site took it and folds again" in told.out
    assert "'many' is no value of kind i64" in told.err


def test_what_a_site_cannot_take_is_set_aside_with_the_reason_and_the_rest_goes_on(plant: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site" / handed.FOLDER
    folder.mkdir(parents=True)
    (folder / "00-00.samples").write_bytes(b"ISTH no frame")
    (folder / "01-00.corrections").write_text(
        '[{"tag":"no/such","time_ns":1,"value":"1","by":"x","why":"y","said_ns":2}]'
    )
    (folder / "02-00.late").write_text('{"no/such": [1, 2]}')

    async def story() -> None:
        async with open_site(load(plant)):
            await until(lambda: len(list(folder.glob("*.aside"))) == 2)

    asyncio.run(story())
    assert {path.name: path.read_text() for path in folder.glob("*.why")}["01-00.why"] == "no tag is called no/such"
    assert not (folder / "02-00.late").exists()


@pytest.mark.long
def test_an_import_beside_a_stopped_site_is_folded_when_it_starts(plant: Path, tmp_path: Path) -> None:
    start = hour_ago()

    async def first() -> None:
        async with open_site(load(plant)) as site:
            ids = site.tags.intern_all(
                [TagInfo(name=f"plc/{name}", kind=ValueKind.I64) for name in ("running", "parts")]
            )
            site.historian.append([Batch(1, 1, 1, start, columns(ValueKind.I64, [ids[0]], [start], [0], [1]))])
            await until(lambda: site.views.query("SELECT 1 FROM facts WHERE kind = 'StateChanged'"))
            await asyncio.sleep(1)

    async def second() -> None:
        async with open_site(load(plant)) as site:
            await until(lambda: good(site) == 99)

    asyncio.run(first())
    table = str(past(tmp_path / "past.csv", 100, start + NS_PER_MINUTE))
    assert main(["history", "--data", str(tmp_path / "site"), "import", table, "--source", "plc"]) == 0
    asyncio.run(second())


@pytest.mark.long
@pytest.mark.timeout(180)
def test_an_import_goes_on_over_kills_of_the_site_and_takes_nothing_twice(plant: Path, tmp_path: Path) -> None:
    start = time.time_ns() - 9 * NS_PER_DAY
    rows = 400_000
    table = past(tmp_path / "past.csv", rows, start, tag="force")
    site = [sys.executable, "-m", "isthmus", "site", str(plant)]
    bring = ["history", "--data", str(tmp_path / "site"), "import", str(table), "--source", "old"]
    alive = subprocess.Popen(site, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    importing = None
    try:
        time.sleep(4)
        importing = subprocess.Popen([sys.executable, "-m", "isthmus", *bring], cwd=tmp_path, stdout=subprocess.PIPE)
        for _ in range(3):
            time.sleep(2.5)
            alive.send_signal(signal.SIGKILL)
            alive.wait()
            alive = subprocess.Popen(site, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        out, _ = importing.communicate(timeout=120)
        assert importing.returncode == 0, out
        assert f"{rows:,} samples" in out.decode()
    finally:
        for one in (alive, importing):
            if one is not None:
                one.kill()
                one.wait()
    with Reader(tmp_path / "site" / "history") as reader:
        number = reader.tags.find("old/force")
        assert number is not None
        answer = reader.query(Raw(), [number], 0, EVER)
    assert answer.num_rows == rows
    assert sum(answer["f64"].to_pylist()) == rows * (rows - 1) / 2
