"""`isthmus init` against a simulated machine behind a real MTConnect agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.plantfile import load, tags_of
from isthmus.sim.northgate import MACHINES
from isthmus.sim.processes import Controller, SimulatedPlant

MILL = next(machine for machine in MACHINES if machine.protocol == "mtconnect")


def test_a_browsed_agent_becomes_a_plant_file_that_reads_every_signal(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    port, file = free_port(), tmp_path / "plant.toml"

    async def story() -> tuple[int, int]:
        controllers = [Controller(machine=MILL, server="mtconnect", port=port)]
        async with SimulatedPlant(controllers, seed=1, folder=tmp_path) as plant:
            await plant.listening(30)
            url = f"http://127.0.0.1:{port}"
            written = await asyncio.to_thread(main, ["init", str(file), "--yes", "--from", url, "--source", "mill"])
            return written, await asyncio.to_thread(main, ["check", str(file), "--connect"])

    assert asyncio.run(story()) == (0, 0)
    (source,) = load(file).sources
    assert source.name == "mill"
    assert {"EXECUTION", "WATTAGE"} <= {tag.name.rpartition("/")[2] for tag in tags_of(source)}
    assert "1 of 1 sources answer with every tag" in capsys.readouterr().out


def test_a_starter_without_a_source_passes_the_check(tmp_path: Path) -> None:
    file = tmp_path / "plant.toml"
    assert main(["init", str(file), "--yes", "--name", "Leeds Works", "--shifts", "3"]) == 0
    assert load(file).plant.path == "acme/leeds-works"
    assert len(load(file).plant.calendars["main"].shifts) == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--from", "ftp://10.0.0.1"], "no source browses ftp"),
        (["--from", "http://127.0.0.1:1", "--field", "heartbeat=1"], "did you mean heartbeat_s?"),
        (["--from", "http://127.0.0.1:1", "--field", "device"], "write KEY=VALUE"),
        (["--from", "http://127.0.0.1:1", "--deadline", "5"], "127.0.0.1:1"),
        (["--shifts", "9"], "none of 1, 2, 3"),
    ],
)
def test_what_cannot_be_is_said_and_no_file_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    file = tmp_path / "plant.toml"
    assert main(["init", str(file), "--yes", *more]) != 0
    assert words in capsys.readouterr().err
    assert not file.exists()


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plant.toml"
    file.write_text("mine")
    assert main(["init", str(file), "--yes"]) == 2
    assert file.read_text() == "mine"
    assert "is there already" in capsys.readouterr().err
