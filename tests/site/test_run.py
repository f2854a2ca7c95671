"""`isthmus run`: edge and site on one machine, started, enrolled, watched and ended by one command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

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

    def reads(self) -> bool:
        """The edge reads its source and reaches the site."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status}/status.json", timeout=2) as answer:
                now = json.load(answer)
        except OSError:
            return False
        return bool(now["link"]["up"]) and all(source["state"] == "up" for source in now["sources"])

    def end(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(40)


@pytest.fixture
def running(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Running]:
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


@pytest.fixture
def device(running: Running, tmp_path: Path) -> Iterator[None]:
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


@pytest.mark.usefixtures("device")
@pytest.mark.timeout(150)
def test_one_command_enrols_reads_keeps_running_and_ends_in_order(running: Running) -> None:
    running.start()
    until(running.reads)
    until(lambda: "make the first administrator" in running.said())
    assert f"run: pages at http://127.0.0.1:{running.pages}" in running.said()
    assert f"status page at http://127.0.0.1:{running.status}/" in running.said()
    key = (running.folder / "edge" / "tls" / "own.key").read_bytes()

    for process in children_of(running):
        os.kill(process, signal.SIGKILL)
    until(lambda: running.said().count("was killed by signal 9 after") == 2)
    until(running.reads)

    assert running.end() == 0
    assert running.said().rstrip().endswith("run: the edge has ended\nrun: the site has ended")
    running.start()
    until(running.reads)
    assert (running.folder / "edge" / "tls" / "own.key").read_bytes() == key, "enrolled once, at the first start"
    assert "the edge is enrolled" not in running.said()
    assert running.end() == 0


def test_a_process_that_keeps_failing_is_told_with_its_last_words_and_the_other_lives(running: Running) -> None:
    with socket.create_server(("127.0.0.1", running.pages)):
        running.start()
        until(lambda: re.search(r"the site ended with 2 after .* 2 times in a row", running.said()))
        assert f"[web] listen = '127.0.0.1:{running.pages}': Address already in use" in running.said()
        assert "the edge ended with" not in running.said()
    assert running.end() == 0


def test_an_edge_that_dials_elsewhere_is_not_run_beside_this_site(running: Running) -> None:
    text = running.file.read_text().replace(f"https://127.0.0.1:{running.link}", "https://10.0.0.9:1")
    running.file.write_text(text)
    running.start()
    assert running.process is not None
    assert running.process.wait(30) == 2
    assert "is not where [site] listen" in running.said()


def children_of(running: Running) -> list[int]:
    assert running.process is not None
    listed = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    return [int(each) for each in listed.split()]
