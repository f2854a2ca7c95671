"""`isthmus init` against simulated machines behind real MTConnect, OPC UA and Modbus servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.plantfile import load, tags_of
from isthmus.sim import certificates
from isthmus.sim.northgate import MACHINES
from isthmus.sim.processes import Controller, SimulatedPlant

MILL = next(machine for machine in MACHINES if machine.protocol == "mtconnect")
PRESS = next(machine for machine in MACHINES if machine.protocol == "modbus")
FILLER = next(machine for machine in MACHINES if machine.protocol == "opcua")


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


def machining(tmp_path: Path, controller: Controller, *calls: list[str]) -> list[int]:
    """Calls of the command while the machine's server runs, and what each returned."""

    async def story() -> list[int]:
        async with SimulatedPlant([controller], seed=1, folder=tmp_path) as plant:
            await plant.listening(30)
            return [await asyncio.to_thread(main, call) for call in calls]

    return asyncio.run(story())


def secured(tmp_path: Path, port: int) -> tuple[Controller, str]:
    """An OPC UA server with a certificate of its own, and the fingerprint that it shows."""
    certificate, key, fingerprint = certificates.make(tmp_path / "device", FILLER.name)
    options = ("--flavour", "packml", "--certificate", str(certificate), "--key", str(key))
    return Controller(machine=FILLER, server="opcua", port=port, options=options), fingerprint


def test_first_contact_with_an_opc_ua_server_is_approved_by_fingerprint_and_proposes_its_machine(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    port, file = free_port(), tmp_path / "plant.toml"
    controller, fingerprint = secured(tmp_path, port)
    init = ["init", str(file), "--yes", "--from", f"opc.tcp://127.0.0.1:{port}", "--source", "filler"]
    init += ["--field", f"certificates={tmp_path.as_posix()}/own"]
    stranger = "00" * 32
    codes = machining(
        tmp_path, controller, init, [*init, "--trust", stranger], [*init, "--trust", fingerprint],
        ["check", str(file), "--connect", "--deadline", "20"],
    )  # fmt: skip
    said = capsys.readouterr()
    assert codes == [1, 2, 0, 0], said.err
    assert "somebody may stand between" in said.err
    colons = bytes.fromhex(fingerprint).hex(":").upper()
    assert colons in said.out
    assert f'server_certificate = "{colons}"' in file.read_text()
    assert "looks like packml" in said.out

    proposed = file.read_text().partition("# [[machine]]")
    lines = proposed[2].splitlines()
    file.write_text(proposed[0] + "[[machine]]\n" + "\n".join(line.removeprefix("# ") for line in lines))
    (machine,) = load(file).plant.machines.values()
    assert machine.state.profile == "packml"
    assert set(machine.state.tags) >= {"state", "mode"}
    assert machine.order is not None or machine.scrap is not None


def test_a_person_says_yes_to_the_fingerprint_before_it_is_written(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, file = free_port(), tmp_path / "plant.toml"
    controller, _ = secured(tmp_path, port)
    spoken = iter(["Leeds Works", "", "Europe/Londn", "Europe/London", "1", "no", "", "", "", "", "yes"])
    monkeypatch.setattr("builtins.input", lambda _: next(spoken))
    init = ["init", str(file), "--from", f"opc.tcp://127.0.0.1:{port}"]
    init += ["--field", f"certificates={tmp_path.as_posix()}/own"]
    codes = machining(tmp_path, controller, init, init)
    assert codes == [1, 0]
    assert "did you mean Europe/London?" in capsys.readouterr().out
    assert load(file).plant.name == "My Works"


def test_a_modbus_device_becomes_a_source_that_waits_for_its_addresses(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    port, file = free_port(), tmp_path / "plant.toml"
    controller = Controller(machine=PRESS, server="modbus", port=port)
    codes = machining(tmp_path, controller, ["init", str(file), "--yes", "--from", f"modbus://127.0.0.1:{port}/1"])
    assert codes == [0], capsys.readouterr().err
    (source,) = load(file).sources
    assert (source.__struct_config__.tag, getattr(source, "port", 0)) == ("modbus", port)
    assert "add a [[source.tags]]" in file.read_text()


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
        (["--time-zone", "Europe/Londn"], "did you mean Europe/London?"),
        (["--from", "modbus://"], "names no device"),
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
