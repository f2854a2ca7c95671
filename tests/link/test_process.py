"""The edge as a process of its own: killed in mid-flow, stopped in order, light, and cut by a command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from counting import LIFE, until
from sites import Place, make_place, make_run, make_soon  # noqa: F401  fixtures

from isthmus.model import status as st
from isthmus.model.records.edge import DeviceIdentified, SourceChanged

Run = Callable[[Coroutine[Any, Any, None]], None]
HERE = Path(__file__).parent


class Process:
    """Starts and kills edges on one data folder."""

    def __init__(self, place: Place, status_port: int) -> None:
        self.folder, self.status = place.enrolled(), f"127.0.0.1:{status_port}"
        self._site, self._running = place.url, []  # type: tuple[str, list[subprocess.Popen[bytes]]]

    def start(self, life: int) -> subprocess.Popen[bytes]:
        argv = [sys.executable, str(HERE / "counting.py"), str(self.folder), self._site, self.status, str(life)]
        process = subprocess.Popen(argv)
        self._running.append(process)
        return process

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait(10)


@pytest.fixture
def process(place: Place, free_port: Callable[[], int]) -> Iterator[Process]:
    made = Process(place, free_port())
    yield made
    made.end()


def lives(values: list[int]) -> dict[int, list[int]]:
    out: dict[int, list[int]] = {}
    for value in values:
        out.setdefault(value // LIFE, []).append(value % LIFE)
    return out


def _alive(fresh: list[int], life: int) -> bool:
    return len(fresh) > 200 and any(value // LIFE == life for value in fresh)


async def killed_again_and_again(place: Place, process: Process, kills: int) -> None:
    async with place.listening():
        for life in range(kills):
            edge = process.start(life)
            seen = len(place.taker.values.get("line", []))
            # What the life before left may be more than that; each is killed with something of its own under way.
            await until(lambda seen=seen, life=life: _alive(place.taker.values.get("line", [])[seen:], life), 20)
            await asyncio.sleep(0.013 * (life % 17))
            edge.send_signal(signal.SIGKILL)
            await asyncio.to_thread(edge.wait, 10)
        last = process.start(kills)
        await until(lambda: any(value // LIFE == kills for value in list(place.taker.values["line"])), 20)
        last.terminate()
        assert await asyncio.to_thread(last.wait, 20) == 0
        rest = process.start(kills + 1)  # what the stopped one left goes out, too
        await until(lambda: any(value // LIFE == kills + 1 for value in list(place.taker.values["line"])), 20)
        await until(lambda: place.taker.told(DeviceIdentified), 20)
        rest.kill()
        await asyncio.to_thread(rest.wait, 10)
    for life, counted in lives(place.taker.values["line"]).items():
        assert counted == list(range(len(counted))), f"life {life} has a hole or a repeat"
    assert len(lives(place.taker.values["line"])) == kills + 2


def test_an_edge_killed_in_mid_flow_delivers_every_synced_row_exactly_once(
    place: Place, process: Process, run: Run
) -> None:
    run(killed_again_and_again(place, process, 3))
    lost = [row for row in place.taker.rows if row[1] and row[2] == st.BAD_NO_COMMUNICATION]
    assert len(lost) >= 3, "each kill leaves a gap that is told"
    assert {one.protocol for one in place.taker.told(DeviceIdentified)}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_edge_killed_fifty_times_delivers_every_synced_row_exactly_once(place: Place, process: Process) -> None:
    asyncio.run(asyncio.wait_for(killed_again_and_again(place, process, 50), 580))


def test_an_edge_that_is_stopped_leaves_nothing_behind_unsaid(place: Place, process: Process, run: Run) -> None:
    async def story() -> None:
        async with place.listening():
            edge = process.start(0)
            await until(lambda: len(place.taker.values.get("line", [])) > 200, 20)
            edge.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(edge.wait, 20) == 0
            again = process.start(1)
            await until(lambda: any(value // LIFE for value in list(place.taker.values["line"])), 20)
            again.terminate()
            await asyncio.to_thread(again.wait, 20)
        first = lives(place.taker.values["line"])[0]
        assert first == list(range(len(first)))
        states = [told.state for told in place.taker.told(SourceChanged)]
        assert "stopped" in states
        marks = [row for row in place.taker.rows if row[2] == st.BAD_NOT_CONNECTED]
        assert len(marks) == 1, "one mark for the one tag of the one source that was stopped and delivered"

    run(story())


def test_an_edge_loads_no_database_web_framework_or_solver(place: Place, process: Process, run: Run) -> None:
    modules = process.folder / "modules.json"

    async def story() -> None:
        async with place.listening():
            process.start(0)
            await until(modules.exists, 20)

    run(story())
    loaded = {name.partition(".")[0] for name in json.loads(modules.read_text())}
    assert {"isthmus", "pyarrow", "httpx"} <= loaded
    assert not loaded & {"duckdb", "litestar", "uvicorn", "jinja2", "ortools", "sklearn", "pint"}


def test_the_status_page_says_in_words_how_it_goes_and_works_without_a_site(
    place: Place, process: Process, run: Run
) -> None:
    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://{process.status}{path}", timeout=5) as reply:
            return str(reply.read().decode())

    def reached() -> bool:
        try:
            return "line" in get("/")
        except OSError:
            return False

    async def story() -> None:
        process.start(0)
        await until(lambda: reached() and "is the site running?" in get("/"), 20)
        page = await asyncio.to_thread(get, "/")
        assert "The gate is open." in page
        assert "delivering" in page
        assert "wait for the site" in page
        assert "<script" not in page
        now = json.loads(await asyncio.to_thread(get, "/status.json"))
        assert now["sources"][0]["state"] == "up"
        assert now["waiting_bytes"] > 0

    run(story())
    assert place.taker.bodies == 0


def test_two_edges_never_write_one_buffer(place: Place, process: Process, run: Run) -> None:
    async def story() -> None:
        async with place.listening():
            process.start(0)
            await until(lambda: place.taker.values.get("line"), 20)
            second = process.start(1)
            assert await asyncio.to_thread(second.wait, 20) != 0

    run(story())


def plant_file(process: Process, place: Place) -> Path:
    path = process.folder / "plant.toml"
    path.write_text(
        f'[plant]\nname = "N"\npath = "acme/northgate"\n[edge]\nsite = "{place.url}"\ndata = "{process.folder}"\n'
        f'[site]\ndata = "{process.folder}/site"\nlisten = "127.0.0.1:{place.port}"\n'
    )
    return path


def isthmus(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "isthmus", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, env=dict(os.environ))


def test_one_command_cuts_and_proves_it_and_two_people_open_again(place: Place, process: Process, run: Run) -> None:
    async def story() -> None:
        async with place.listening():
            process.start(0)
            await until(lambda: place.taker.values.get("line"), 20)
            file = str(plant_file(process, place))
            mild = await asyncio.to_thread(isthmus, "isolate", "--level", "1", "--reason", "drill", "--file", file)
            assert "stays open" in mild.stdout
            cut = await asyncio.to_thread(isthmus, "isolate", "--level", "2", "--reason", "drill", "--file", file)
            assert (cut.returncode, "failed after" in cut.stdout) == (0, True), cut
            bodies = place.taker.bodies
            await asyncio.sleep(0.5)
            assert place.taker.bodies == bodies
            alone = await asyncio.to_thread(isthmus, "reopen", "--by", "A", "--reason", "x", "--file", file)
            assert (alone.returncode, "two different people" in alone.stderr) == (2, True), alone
            both = await asyncio.to_thread(isthmus, "reopen", "--by", "A", "--by", "B", "--reason", "x", "--file", file)
            assert both.returncode == 0, both
            await until(lambda: place.taker.bodies > bodies)

    run(story())
    counted = lives(place.taker.values["line"])[0]
    assert counted == list(range(len(counted)))


def test_an_edge_is_enrolled_by_a_code_that_works_once(
    place: Place, process: Process, run: Run, tmp_path: Path
) -> None:
    site_folder = tmp_path / "site"
    file = tmp_path / "plant.toml"
    file.write_text(
        f'[plant]\nname = "N"\npath = "acme/northgate"\n[edge]\nsite = "{place.url}"\ndata = "{tmp_path}/new"\n'
        f'[site]\ndata = "{tmp_path}/at"\nlisten = "127.0.0.1:{place.port}"\n'
    )
    (tmp_path / "at").mkdir()
    (tmp_path / "at" / "tls").symlink_to(site_folder)

    del process

    async def story() -> None:
        async with place.listening():
            ask = ("--file", str(file))
            code = (await asyncio.to_thread(isthmus, "enrol", "code", "line-9", *ask)).stdout.split()[0]
            secret, _, fingerprint = code.partition(".")
            false = f"{secret}.{'0' * len(fingerprint)}"
            led_astray = await asyncio.to_thread(isthmus, "enrol", "edge", false, *ask)
            assert "not the site that gave this code" in led_astray.stderr
            done = await asyncio.to_thread(isthmus, "enrol", "edge", code, *ask)
            assert "enrolled as line-9" in done.stdout, done
            again = await asyncio.to_thread(isthmus, "enrol", "edge", code, *ask)
            assert (again.returncode, "used before" in again.stderr) == (2, True), again
            assert "line-9" in (await asyncio.to_thread(isthmus, "enrol", "list", *ask)).stdout
            assert (await asyncio.to_thread(isthmus, "enrol", "remove", "line-9", *ask)).returncode == 0
            assert "line-9" not in place.certificates.members()

    run(story())
    assert (tmp_path / "new" / "tls" / "own.key").stat().st_mode & 0o077 == 0
