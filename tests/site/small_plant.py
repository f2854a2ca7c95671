"""A small plant by `isthmus run`: a press behind its Modbus server, and edge and site as processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.sim.northgate import MACHINES
from isthmus.sim.processes import Controller, SimulatedPlant

PRESS = next(machine for machine in MACHINES if machine.protocol == "modbus")
PLANT_FILE = """
[plant]
name = "Northgate Works"
path = "acme/northgate"
[site]
listen = "127.0.0.1:{link}"
data = "{folder}/site"
[web]
listen = "127.0.0.1:{pages}"
data = "{folder}/web"
[edge]
site = "https://127.0.0.1:{link}"
data = "{folder}/edge"
status = "127.0.0.1:{status}"
[[zone]]
name = "control"
kind = "control"
[[source]]
kind = "modbus"
name = "press"
host = "127.0.0.1"
port = {device}
poll_s = 0.2
[[source.tags]]
name = "state"
address = 0
kind = "i64"
[[source.tags]]
name = "power"
address = 10
type = "f32"
"""


class Running:
    """`isthmus run` as a process; its words in a file."""

    def __init__(self, folder: Path, free_port: Callable[[], int]) -> None:
        self.link, self.pages, self.status, self.device = (free_port() for _ in range(4))
        self.folder, self._said = folder, folder / "said.txt"
        self.file = folder / "plant.toml"
        self.file.write_text(PLANT_FILE.format(**vars(self)))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "isthmus", "run", str(self.file)], stdout=said, stderr=said
            )

    def said(self) -> str:
        return self._said.read_text()

    def edge(self) -> dict[str, Any]:
        """How the edge says it fares; {} while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status}/status.json", timeout=2) as answer:
                told: dict[str, Any] = json.load(answer)
        except OSError:
            return {}
        return told

    def reads(self) -> bool:
        """The edge reads its source and reaches the site."""
        now = self.edge()
        return bool(now) and bool(now["link"]["up"]) and all(source["state"] == "up" for source in now["sources"])

    def end(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(40)


@pytest.fixture(name="running")
def make_running(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Running]:
    made = Running(tmp_path, free_port)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        try:
            made.process.wait(40)
        except subprocess.TimeoutExpired:
            made.process.kill()


def until(what: Callable[[], object], seconds: float = 45) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(name="device")
def make_device(running: Running, tmp_path: Path) -> Iterator[None]:
    """A press behind its Modbus server."""
    stop, loop = asyncio.Event(), asyncio.new_event_loop()

    async def live() -> None:
        controller = Controller(machine=PRESS, server="modbus", port=running.device)
        async with SimulatedPlant([controller], seed=3, folder=tmp_path):
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()
