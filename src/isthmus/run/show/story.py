"""What happens in the demonstration: the story that everybody sees, and the fixed script of faults."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from isthmus.model.errors import IsthmusError
from isthmus.run.show.stage import OPERATOR, Stage, Tell
from isthmus.sim.northgate import MACHINES

Act = Callable[[Stage], Awaitable[None]]
_ASK_S = 0.1
_MOST_S = 60.0


class Happening(NamedTuple):
    """One thing that happens so many seconds after the first orders were put on."""

    at_s: float
    words: str
    act: Act


async def play(stage: Stage, happenings: Sequence[Happening], tell: Tell) -> None:
    """Let everything happen at its time; what takes long does not hold up what follows."""
    async with asyncio.TaskGroup() as group:
        for happening in sorted(happenings, key=lambda each: each.at_s):
            wait = stage.start_ns / 1e9 + happening.at_s - time.time()
            await asyncio.sleep(max(wait, 0))
            tell(f"{happening.at_s:4.0f} s  {happening.words}")
            group.create_task(_performed(happening, stage, tell))


async def _performed(happening: Happening, stage: Stage, tell: Tell) -> None:
    try:
        await happening.act(stage)
    except (IsthmusError, httpx.HTTPError, TimeoutError, OSError) as error:
        tell(f"        {happening.words}: {error}")


def story(seconds: float | None) -> list[Happening]:
    """Breakdowns, and a reason entered by a person; in a bounded run also the end of the working day."""
    out = [
        Happening(22, "CNC-03 breaks down: spindle drive F0457", breaks("cnc-03", 35, "F0457 spindle drive")),
        Happening(40, "Press-2 stops: hydraulics", breaks("press-2", 25, "HYDRAULICS")),
        Happening(60, "J. Hughes enters the reason of Press-2's stop", _reason("press-2", "HYDRAULICS")),
    ]
    if seconds is not None:
        out.append(Happening(seconds - 40, "the operators take their orders off", _unload))
    return out


def faults() -> list[Happening]:
    """The fixed script: everything overlaps, everything is over by 110 s."""
    return [
        Happening(15, "the link is cut for 60 s", cut_link(60)),
        Happening(25, "the edge is killed", kill_edge),
        Happening(35, "the site is killed", kill_site),
        Happening(45, "the ERP is down for 30 s", stop_erp(30)),
        Happening(50, "Press-1's controller hangs for 15 s", freeze("press-1", 15)),
        Happening(55, "CNC-02's controller loses power for 20 s", unplug("cnc-02", 20)),
    ]


def breaks(machine: str, seconds: float, alarm: str) -> Act:
    """A machine stops in the middle of what it does, with an alarm."""

    async def act(stage: Stage) -> None:
        stage.plant.world.machines[machine].break_down(seconds, alarm)

    return act


async def _unload(stage: Stage) -> None:
    for machine in stage.plant.world.machines.values():
        machine.unload()


def _reason(machine: str, reason: str) -> Act:
    async def act(stage: Stage) -> None:
        below = next(spec.path for spec in MACHINES if spec.name == machine)
        async with _logged_in(stage) as client:
            stop = await _newest_stop(client, below)
            page = (await client.get(f"/machine/{below}")).text
            found = re.search(r'name="form" value="([^"]+)"', page)
            form = {"form": found[1] if found else "", "start_ns": str(stop["start_ns"]), "reason": reason}
            if stop.get("end_ns"):
                form["end_ns"] = str(stop["end_ns"])
            (await client.post(f"/act/reason/{below}", data=form)).raise_for_status()

    return act


@asynccontextmanager
async def _logged_in(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """A browser's session of the simulated operator; tried again while the pages are away."""
    async with httpx.AsyncClient(base_url=stage.pages, trust_env=False, follow_redirects=True, timeout=10) as client:
        deadline = time.monotonic() + _MOST_S
        while True:
            try:
                (await client.post("/log-in", data={"name": OPERATOR, "password": stage.password})).raise_for_status()
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(1)
        yield client


async def _newest_stop(client: httpx.AsyncClient, below: str) -> dict[str, Any]:
    """The newest stop that somebody should explain; waits for it, since the pages may just have come back."""
    deadline = time.monotonic() + _MOST_S
    while time.monotonic() < deadline:
        reply = await client.get(f"/api/stops/{below}")
        stops = [stop for stop in reply.json()["rows"] if stop["state"] == "DOWN"] if reply.is_success else []
        if stops:
            return max(stops, key=lambda stop: int(stop["start_ns"]))
        await asyncio.sleep(1)
    msg = f"no stop of {below} was seen within {_MOST_S:.0f} s"
    raise TimeoutError(msg)


def cut_link(seconds: float) -> Act:
    """Nothing passes between edge and site for so long."""

    async def act(stage: Stage) -> None:
        await stage.line.cut()
        await asyncio.sleep(seconds)
        await stage.line.mend()
        await _recovers(stage, "link_cut", lambda status: bool(status["link"]["up"]))

    return act


async def kill_edge(stage: Stage) -> None:
    """Kill -9 of the edge; it is started again."""
    stage.edge.kill()
    names = {machine.name for machine in MACHINES}

    def reads_again(status: dict[str, Any]) -> bool:
        up = {source["name"] for source in status["sources"] if source["state"] == "up"}
        return names - up <= {"press-1", "cnc-02"}  # these two may be away by themselves

    await _recovers(stage, "edge_kill", reads_again)


async def kill_site(stage: Stage) -> None:
    """Kill -9 of the site; it is started again."""
    began = time.monotonic()
    stage.site.kill()
    await asyncio.sleep(0.5)
    async with httpx.AsyncClient(base_url=stage.pages, trust_env=False, timeout=2) as client:
        while time.monotonic() < began + _MOST_S:
            try:
                if (await client.get("/health")).is_success:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(_ASK_S)
    stage.recovered_s["site_kill"] = round(time.monotonic() - began, 2)


def stop_erp(seconds: float) -> Act:
    """The ERP is not there for so long."""

    async def act(stage: Stage) -> None:
        if stage.erp is None:
            return
        await asyncio.to_thread(stage.erp.stop)
        await asyncio.sleep(seconds)
        began = time.monotonic()
        await asyncio.to_thread(stage.erp.start)
        stage.recovered_s["erp_down"] = round(time.monotonic() - began, 2)

    return act


def freeze(machine: str, seconds: float) -> Act:
    """A controller hangs for so long."""

    async def act(stage: Stage) -> None:
        stage.plant.freeze(machine)
        await asyncio.sleep(seconds)
        stage.plant.thaw(machine)
        await delivers(stage, f"freeze:{machine}", machine)

    return act


def unplug(machine: str, seconds: float) -> Act:
    """A controller loses power for so long and comes back with other node ids."""

    async def act(stage: Stage) -> None:
        stage.plant.kill(machine)
        await asyncio.sleep(seconds)
        stage.plant.start(machine, shuffle=3)
        await stage.plant.listening()
        await delivers(stage, f"unplug:{machine}", machine)

    return act


async def delivers(stage: Stage, name: str, machine: str) -> None:
    """The time until the edge has samples of a source that were taken from now on."""
    since_ns = time.time_ns()

    def again(status: dict[str, Any]) -> bool:
        source = next(each for each in status["sources"] if each["name"] == machine)
        return source["state"] == "up" and (source["last_contact_ns"] or 0) > since_ns

    await _recovers(stage, name, again)


async def _recovers(stage: Stage, name: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    began = time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        while time.monotonic() < began + _MOST_S:
            try:
                if holds((await client.get(stage.status)).json()):
                    break
            except (httpx.HTTPError, ValueError):
                pass  # the edge itself may be on its way back
            await asyncio.sleep(_ASK_S)
    stage.recovered_s[name] = round(time.monotonic() - began, 2)
