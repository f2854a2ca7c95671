"""A mill behind an MTConnect agent: execution, part counts, program, condition and spindle values."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from isthmus.sim.bus import DROP, changes
from isthmus.sim.servers.mtconnect_agent import Agent, Component, Device, Item
from isthmus.sim.world import Value

EXECUTION = {"RUN": "ACTIVE", "IDLE": "READY", "SETUP": "READY", "DOWN": "INTERRUPTED", "OFF": "STOPPED"}
_ITEMS = {
    "good": "good",
    "scrap": "bad",
    "order": "order",
    "product": "part",
    "spindle_speed": "speed",
    "spindle_load": "load",
    "temperature": "temp",
    "vibration": "vib",
    "power": "power",
    "energy": "energy",
}


def device(machine: str) -> Device:
    """What the agent says there is (MTConnect part 2)."""
    return Device(
        id=machine,
        name=machine,
        uuid=f"isthmus-{machine}",
        manufacturer="Isthmus simulated",
        model="SIM-5M mill",
        serial=f"S-{machine}",
        items=(Item(id="avail", category="EVENT", type="AVAILABILITY"),),
        components=(
            Component(
                kind="Controller",
                id="ctl",
                components=(
                    Component(
                        kind="Path",
                        id="path",
                        items=(
                            Item(id="exec", category="EVENT", type="EXECUTION"),
                            Item(id="mode", category="EVENT", type="FUNCTIONAL_MODE"),
                            Item(id="good", category="EVENT", type="PART_COUNT", sub_type="GOOD"),
                            Item(id="bad", category="EVENT", type="PART_COUNT", sub_type="BAD"),
                            Item(id="order", category="EVENT", type="PROCESS_OCCURRENCE_ID"),
                            Item(id="part", category="EVENT", type="PART_ID"),
                            Item(id="alarm", category="CONDITION", type="SYSTEM"),
                        ),
                    ),
                ),
            ),
            Component(
                kind="Rotary",
                id="c",
                name="C",
                items=(
                    Item(id="speed", category="SAMPLE", type="ROTARY_VELOCITY", units="REVOLUTION/MINUTE"),
                    Item(id="load", category="SAMPLE", type="LOAD", units="PERCENT"),
                    Item(id="temp", category="SAMPLE", type="TEMPERATURE", units="CELSIUS"),
                    Item(id="vib", category="SAMPLE", type="DISPLACEMENT", units="MILLIMETER/SECOND"),
                ),
            ),
            Component(
                kind="Electric",
                id="el",
                items=(
                    Item(id="power", category="SAMPLE", type="WATTAGE", units="WATT"),
                    Item(id="energy", category="SAMPLE", type="ELECTRICAL_ENERGY", units="WATT_SECOND"),
                ),
            ),
        ),
    )


def tell(agent: Agent, signal: str, time_ns: int, value: Value) -> None:
    """One change of the machine, in the agent's words."""
    if signal == "state":
        agent.update("exec", EXECUTION.get(str(value), "READY"), time_ns)
        agent.update("mode", "SETUP" if value == "SETUP" else "PRODUCTION", time_ns)
    elif signal == "alarm":
        agent.condition("alarm", "Fault" if value else "Normal", time_ns, code=str(value))
    elif signal in _ITEMS:
        in_joule = value * 3600 if signal == "energy" and isinstance(value, float) else value
        agent.update(_ITEMS[signal], in_joule, time_ns)


async def serve(bus: Path, machine: str, port: int) -> None:
    """Serve until the plant ends."""
    agent = Agent(device(machine))
    async with await agent.serve("127.0.0.1", port):
        async for signal, time_ns, value in changes(bus, machine):
            if signal == DROP:
                agent.drop()
                continue
            tell(agent, signal, time_ns, value)
            agent.update("avail", "AVAILABLE", time_ns)


def main() -> None:
    """Run as a process of its own."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bus", type=Path, required=True)
    options.add_argument("--machine", required=True)
    options.add_argument("--port", type=int, required=True)
    args = options.parse_args()
    with contextlib.suppress(KeyboardInterrupt, ConnectionError, FileNotFoundError):
        asyncio.run(serve(args.bus, args.machine, args.port))


if __name__ == "__main__":
    main()
