"""Our own MTConnect agent in a process of its own; takes orders as arguments before it listens, then on its standard input.

update <item> <time_ns> <value>          a value; UNAVAILABLE is none
condition <item> <time_ns> <level> <code> <text>
restart | sessions | drop
"""

from __future__ import annotations

import asyncio
import sys

from isthmus.sim.servers.mtconnect_agent import Agent, Component, Device, Item

MACHINE = Device(
    id="d1",
    name="LATHE",
    uuid="lathe-2",
    manufacturer="Northgate Machines",
    model="NM-200",
    serial="NM200-0007",
    items=(Item(id="avail", category="EVENT", type="AVAILABILITY"),),
    components=(
        Component(
            kind="Axes",
            id="axes",
            components=(
                Component(
                    kind="Rotary",
                    id="c",
                    name="C",
                    items=(
                        Item(
                            id="speed",
                            name="Srpm",
                            category="SAMPLE",
                            type="ROTARY_VELOCITY",
                            sub_type="ACTUAL",
                            units="REVOLUTION/MINUTE",
                        ),
                        Item(id="heat", category="CONDITION", type="TEMPERATURE"),
                    ),
                ),
            ),
        ),
        Component(
            kind="Controller",
            id="ctrl",
            components=(
                Component(
                    kind="Path",
                    id="path",
                    items=(
                        Item(id="execution", category="EVENT", type="EXECUTION"),
                        Item(id="parts", category="EVENT", type="PART_COUNT", sub_type="ALL"),
                        Item(id="place", category="SAMPLE", type="PATH_POSITION", units="MILLIMETER_3D"),
                        Item(id="program", category="EVENT", type="PROGRAM"),
                    ),
                ),
            ),
        ),
    ),
)


def obey(agent: Agent, line: str) -> str:
    verb, *words = line.rstrip("\n").split(" ", 2)
    if verb == "update":
        item, (time_ns, _, value) = words[0], words[1].partition(" ")
        agent.update(item, None if value == "UNAVAILABLE" else value, int(time_ns))
    elif verb == "condition":
        time_ns, level, code, text = words[1].split(" ", 3)
        agent.condition(words[0], level, int(time_ns), code=code.strip("-"), text=text.strip("-"))  # type: ignore[arg-type]
    elif verb == "restart":
        agent.restart()
    elif verb == "drop":
        agent.drop()
    else:
        return str(agent.sessions)
    return "done"


async def main(port: int, buffer: int) -> None:
    agent = Agent(MACHINE, buffer=buffer)
    for order in sys.argv[3:]:
        obey(agent, order)
    async with await agent.serve("127.0.0.1", port):
        print(f"READY {port}", flush=True)  # noqa: T201  its tongue
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(obey(agent, line), flush=True)  # noqa: T201


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
