"""What the tags of the demonstration's plant file say while a machine's signal has a value.

The protocol servers say it over the wire; the past that the demonstration begins with is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.samples import ValueKind
from isthmus.sim.northgate_file import flavour_of
from isthmus.sim.servers import modbus, mtconnect, opcua
from isthmus.sim.world import MachineSpec, Value

_NUMBERS = {
    "spindle_speed": ("spindle-speed", "rpm", 1.0),
    "spindle_load": ("spindle-load", "%", 1.0),
    "temperature": ("temperature", "°C", 1.0),
    "vibration": ("vibration", "mm/s", 1.0),
    "power": ("power", "kW", 1e-3),
    "energy": ("energy", "kWh", 1e-3),
}
_AGENT_FACTORS = {"power": ("W", 1.0), "energy": ("J", 3600.0)}
_COUNTS = {"good": "parts-good", "scrap": "parts-scrap"}

Told = tuple[str, ValueKind, str, Value]
"""tag, kind, unit, value"""


def told(machine: MachineSpec, signal: str, value: Value) -> Iterator[Told]:
    """The tags that change with a signal, and what they say then."""
    if signal in _COUNTS:
        yield _COUNTS[signal], ValueKind.I64, "", int(value)
    elif signal in _NUMBERS:
        tag, unit, factor = _NUMBERS[signal]
        if machine.protocol == "mtconnect" and signal in _AGENT_FACTORS:
            unit, factor = _AGENT_FACTORS[signal]
        yield tag, ValueKind.F64, unit, float(value) * factor
    elif signal == "state":
        yield from _state(machine, str(value))
    elif signal == "alarm" and machine.protocol == "opcua":
        yield "alarm", ValueKind.STR, "", str(value)


def _state(machine: MachineSpec, state: str) -> Iterator[Told]:
    if machine.protocol == "modbus":
        yield "state", ValueKind.I64, "", modbus.STATES.index(state) if state in modbus.STATES else 1
    elif machine.protocol == "mtconnect":
        yield "execution", ValueKind.STR, "", mtconnect.EXECUTION.get(state, "READY")
        yield "functional-mode", ValueKind.STR, "", "SETUP" if state == "SETUP" else "PRODUCTION"
    else:
        words = opcua.state_nodes(state, flavour_of(machine)).values()
        for tag, word in zip(("state", "mode"), words, strict=True):
            yield tag, ValueKind.STR, "", word
