"""The demonstration: a simulated plant of real protocol servers, an edge, a site and a real ERP, in one command.

machines (here) -> controllers (a process each) -> edge (a process) -> line -> site (a process) -> Tryton
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import msgspec

from isthmus.model.errors import UsageError
from isthmus.plantfile import PlantFile, load
from isthmus.run import tryton
from isthmus.run.child import Child
from isthmus.run.show.line import Line
from isthmus.run.show.orders import Job, controllers, erp_plant, jobs
from isthmus.sim.northgate import MACHINES, work
from isthmus.sim.northgate_file import Addresses, plant_text
from isthmus.sim.processes import SimulatedPlant
from isthmus.site.intake.certificates import Certificates
from isthmus.web.accounts import Accounts, Person

Tell = Callable[[str], None]

OPERATOR = "j.hughes"
"""The simulated operator who enters reasons, under an account of their own."""
_UP_S = 60.0


class Stage(msgspec.Struct, kw_only=True):
    """Everything that plays a part, for the story and for the faults."""

    folder: Path
    file: PlantFile
    plant: SimulatedPlant
    edge: Child
    site: Child
    line: Line
    erp: tryton.Server | None
    erp_key: str
    jobs: list[Job]
    password: str
    """Of the simulated operator's account."""
    start_ns: int = 0
    """When the first orders were put on the machines."""
    recovered_s: dict[str, float] = {}

    @property
    def pages(self) -> str:
        """Where the pages are."""
        return f"http://{self.file.web.listen}"

    @property
    def status(self) -> str:
        """Where the edge says how it fares."""
        return f"http://{self.file.edge.status}/status.json"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may choose."""

    folder: Path
    seed: int = 7
    seconds: float | None = None
    """Length of a bounded run; None goes on until it is stopped."""
    erp: bool = True
    speed: float = 1.0
    """How many times faster the machines work."""
    web_port: int = 8600


@asynccontextmanager
async def stage(settings: Settings, tell: Tell) -> AsyncIterator[Stage]:
    """Set everything up and keep it running for as long as the context lasts.

    Raises UsageError or ErpAway, each in words, when a part cannot come up.
    """
    _demand_free(settings.web_port)
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    wanted = jobs(settings.seconds, settings.speed)
    async with AsyncExitStack() as stack:
        erp, filled = await _start_erp(settings, wanted, stack, tell)
        ports = dict(zip([machine.name for machine in MACHINES], _free_ports(len(MACHINES)), strict=True))
        floor, places = controllers(ports, folder)
        link_port, site_port, status_port = _free_ports(3)
        addresses = Addresses(
            folder=str(folder),
            edge_dials=f"127.0.0.1:{link_port}",
            site=f"127.0.0.1:{site_port}",
            web=f"127.0.0.1:{settings.web_port or _free_ports(1)[0]}",
            status=f"127.0.0.1:{status_port}",
            erp=_erp_lines(erp, filled),
        )
        path = folder / "plant.toml"
        path.write_text(plant_text(places, addresses, settings.speed))
        file = load(path)
        password = _prepare(file)
        environment = {**os.environ, "ISTHMUS_ERP_KEY": filled.key, "PYTHONUNBUFFERED": "1"}
        tell(f"plant: {len(MACHINES)} machines on two lines, each behind its own protocol server")
        plant = await stack.enter_async_context(
            SimulatedPlant(floor, seed=settings.seed, folder=folder, speed=settings.speed)
        )
        line = Line(link_port, site_port)
        await line.mend()
        stack.push_async_callback(line.cut)
        children = [Child(verb, [verb, str(path)], folder / f"{verb}.log", environment) for verb in ("site", "edge")]
        for child in children:
            await child.start()
            stack.push_async_callback(child.stop)
        tell("site and edge: starting")
        await plant.listening()
        site, edge = children
        await _until_up(f"http://{file.web.listen}", site)
        await _until_read(file, edge)
        tell("first values from every machine")
        yield Stage(
            folder=folder, file=file, plant=plant, edge=edge, site=site, line=line, erp=erp, erp_key=filled.key,
            jobs=wanted, password=password,
        )  # fmt: skip


def put_to_work(stage: Stage) -> None:
    """The operators key in their orders, each machine its own, one behind the other."""
    stage.start_ns = time.time_ns()
    for job in stage.jobs:
        stage.plant.world.machines[job.machine].load(work(job.number, job.article, job.quantity))


def first_link(stage: Stage) -> str:
    """The one-time link by which the person at the screen becomes the first administrator."""
    people = Accounts(stage.file.web.data, time.time_ns)
    try:
        return f"{stage.pages}/enter/{people.first_link()}"
    finally:
        people.close()


async def _start_erp(
    settings: Settings, wanted: Sequence[Job], stack: AsyncExitStack, tell: Tell
) -> tuple[tryton.Server | None, tryton.Filled]:
    if not settings.erp:
        return None, tryton.Filled(login="", key="", orders=[])

    def progress(what: str, share: float) -> None:
        tell(f"{what} {share:.0%}" if 0 < share < 1 else what)

    def start() -> tuple[tryton.Server, tryton.Filled]:
        home, base = tryton.base_database(tryton.default_cache(), progress)
        filled = tryton.fill(home, base, settings.folder / "erp", erp_plant(wanted), progress)
        server = tryton.Server(home, settings.folder / "erp", _free_ports(1)[0])
        server.start()
        return server, filled

    server, filled = await asyncio.to_thread(start)
    stack.push_async_callback(asyncio.to_thread, server.stop)
    tell(f"ERP: Tryton answers with {len(wanted)} orders")
    return server, filled


def _erp_lines(server: tryton.Server | None, filled: tryton.Filled) -> str:
    if server is None:
        return ""
    return (
        f'[erp]\nkind = "tryton"\nurl = "{server.url}"\ndatabase = "erp"\nuser = "{filled.login}"\n'
        'key = "env:ISTHMUS_ERP_KEY"\npoll_s = 2.0\n'
    )


def _prepare(file: PlantFile) -> str:
    """Certificates for the link, and the simulated operator's account. Returns its password."""
    certificates = Certificates(file.site.data / "tls", file.plant.path, file.edge.conduit)
    certificates.prepare(["127.0.0.1"])
    certificates.enrol_here(file.edge.data / "tls", "line-1")
    password = secrets.token_urlsafe(18)
    people = Accounts(file.web.data, time.time_ns)
    try:
        if people.find(OPERATOR) is None:
            people.add(Person(name=OPERATOR, full_name="J. Hughes", role="supervisor"), password)
    finally:
        people.close()
    return password


async def _until_up(pages: str, site: Child) -> None:
    """Return when the pages answer. Raises TimeoutError with the site's last words."""
    deadline = time.monotonic() + _UP_S
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{pages}/health")).is_success:
                    return
            await asyncio.sleep(0.1)
    msg = f"the site did not come up within {_UP_S:.0f} s; it says:\n{site.last_words()}"
    raise TimeoutError(msg)


async def _until_read(file: PlantFile, edge: Child) -> None:
    """Return when the edge reads every source. Raises TimeoutError naming those that it does not."""
    deadline = time.monotonic() + _UP_S
    silent = {source.name for source in file.sources}
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        while silent and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                status = (await client.get(f"http://{file.edge.status}/status.json")).json()
                silent = {source["name"] for source in status["sources"] if source["state"] != "up"}
            await asyncio.sleep(0.1)
    if silent:
        msg = f"the edge reads nothing from {', '.join(sorted(silent))}; it says:\n{edge.last_words()}"
        raise TimeoutError(msg)


def _demand_free(port: int) -> None:
    """Raise UsageError when somebody has the pages' port: their pages would pass for ours."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        msg = f"port {port}: {os.strerror(error.errno or 0)}; another demonstration may run here. --port 0 takes a free one"
        raise UsageError(msg) from error


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            found.append(int(sock.getsockname()[1]))
        return found
