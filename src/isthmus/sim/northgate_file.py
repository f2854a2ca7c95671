"""Writes the demonstration's plant file: the same file that a person would write for such a plant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from isthmus.sim.northgate import ARTICLES, MACHINES, NAME, PATH, REASONS, ZONE, past_cycle_s
from isthmus.sim.servers.opcua import MACHINERY, PACKML, RATE_HZ, WAVEFORM
from isthmus.sim.world import MachineSpec

_UNITS = {
    "spindle_speed": "rpm",
    "spindle_load": "%",
    "temperature": "°C",
    "vibration": "mm/s",
    "power": "kW",
    "energy": "kWh",
}
_WHOLE, _WORDS = ("good", "scrap"), ("order", "product", "lot", "material_lot", "alarm")
_NAMES = {
    "good": "parts-good",
    "scrap": "parts-scrap",
    "order": "order",
    "product": "product",
    "lot": "lot",
    "material_lot": "material-lot",
    "alarm": "alarm",
    "spindle_speed": "spindle-speed",
    "spindle_load": "spindle-load",
    "temperature": "temperature",
    "vibration": "vibration",
    "power": "power",
    "energy": "energy",
}
_MODBUS = (
    ("state", 0, "u16", "i64"),
    ("alarm-code", 1, "u16", "i64"),
    ("parts-good", 2, "u32", "i64"),
    ("parts-scrap", 4, "u32", "i64"),
    ("order", 6, "u32", "i64"),
    ("power", 10, "f32", "f64"),
    ("energy", 12, "f32", "f64"),
    ("temperature", 14, "f32", "f64"),
    ("vibration", 16, "f32", "f64"),
)
_MTCONNECT = {
    "execution": ("exec", "str", ""),
    "functional-mode": ("mode", "str", ""),
    "parts-good": ("good", "i64", ""),
    "parts-scrap": ("bad", "i64", ""),
    "order": ("order", "str", ""),
    "product": ("part", "str", ""),
    "alarm": ("alarm", "str", ""),
    "spindle-speed": ("speed", "f64", "rpm"),
    "spindle-load": ("load", "f64", "%"),
    "temperature": ("temp", "f64", "°C"),
    "power": ("power", "f64", "W"),
    "energy": ("energy", "f64", "J"),
}
_CLOSEST_POLL_S = 0.02
_SHIFTS = (("Early", "06:00", "14:00"), ("Late", "14:00", "22:00"), ("Night", "22:00", "06:00"))


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a machine's controller answers, and the fingerprint of its certificate, "" for none."""

    port: int
    fingerprint: str = ""


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the processes of the demonstration listen and keep their data."""

    folder: str
    edge_dials: str
    site: str
    web: str
    status: str
    erp: str
    """The lines of the [erp] table, "" for a plant without an ERP."""


def flavour_of(machine: MachineSpec) -> str:
    """The companion specification that an OPC UA machine follows."""
    return "packml" if machine.name == "paint" else "machinery"


def plant_text(places: Mapping[str, Place], addresses: Addresses, speed: float = 1.0) -> str:
    """The whole plant file. At a speed of N ideal cycles and micro-stops are an Nth, and polls come so much closer."""
    parts = [_head(addresses, speed)]
    parts += [_source(machine, places[machine.name], addresses, speed) for machine in MACHINES]
    parts += [_machine(machine) for machine in MACHINES]
    parts += [
        f'[[product]]\ncode = "{article.code}"\nname = "{article.name}"\n'
        f'cycles = [{{ machine = "*", seconds = {_shorter(article.cycle_s, speed)} }}]\n'
        for article in ARTICLES
    ]
    parts += [
        f'[[reason]]\ncode = "{code}"\nname = "{name}"\nplanned = {str(planned).lower()}\nmatch = {_list(match)}\n'
        for code, name, match, planned in REASONS
    ]
    return "\n".join(parts)


def _list(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def _shorter(seconds: float, speed: float) -> float:
    return round(seconds / speed, 4)


def _head(addresses: Addresses, speed: float) -> str:
    shifts = "\n".join(
        f'  {{ name = "{name}", start = "{start}", end = "{end}", days = "Mon-Sun" }},' for name, start, end in _SHIFTS
    )
    return f"""\
# Northgate Works, the plant of `isthmus demo`. Written at its start; a plant of your own: `isthmus init`.

[plant]
name = "{NAME}"
path = "{PATH}"
time_zone = "{ZONE}"
currency = "GBP"

[[calendar]]
name = "three-shift"
shifts = [
{shifts}
]

[kpi]
name = "Northgate 2026"
version = 1
micro_stop_s = {_shorter(8.0, speed)}

[[zone]]
name = "control"
kind = "control"
networks = ["127.0.0.0/8"]
owner = "R. Patel, controls"

[[zone]]
name = "supervisory"
kind = "supervisory"
owner = "R. Patel, controls"

[[zone]]
name = "enterprise"
kind = "enterprise"
owner = "S. Novak, IT"

[[zone]]
name = "safety"
kind = "safety"
owner = "M. Okafor, safety"

[[conduit]]
name = "uplink"
initiator = "supervisory"
responder = "enterprise"
protocols = ["https"]
purpose = "machine data to the site"
owner = "R. Patel, controls"
lost_when_cut = "live pages and ERP reports; the edge keeps every value"

[edge]
site = "https://{addresses.edge_dials}"
data = "{addresses.folder}/edge"
status = "{addresses.status}"

[site]
listen = "{addresses.site}"
data = "{addresses.folder}/site"

[web]
listen = "{addresses.web}"
data = "{addresses.folder}/web"

{addresses.erp}
"""


def _source(machine: MachineSpec, place: Place, addresses: Addresses, speed: float) -> str:
    head = f'[[source]]\nkind = "{machine.protocol}"\nname = "{machine.name}"\n'
    if machine.protocol == "modbus":
        rows = [_modbus_tag(name, address, kind, as_) for name, address, kind, as_ in _MODBUS]
        poll_s = max(_shorter(0.2, speed), _CLOSEST_POLL_S)
        return f'{head}host = "127.0.0.1"\nport = {place.port}\npoll_s = {poll_s}\ngap = 16\n' + _tags(rows)
    if machine.protocol == "mtconnect":
        rows = [
            f'name = "{name}", item = "{item}", kind = "{kind}"' + (f', unit = "{unit}"' if unit else "")
            for name, (item, kind, unit) in _MTCONNECT.items()
        ]
        return f'{head}url = "http://127.0.0.1:{place.port}"\n' + _tags(rows)
    security = f'server_certificate = "{place.fingerprint}"' if place.fingerprint else 'security = "none"'
    head += f'url = "opc.tcp://127.0.0.1:{place.port}/"\n{security}\npublishing_ms = 100.0\n'
    head += f'certificates = "{addresses.folder}/edge/tls/opcua"\n'
    return head + _tags(_opcua_tags(machine))


def _tags(rows: Sequence[str]) -> str:
    return "tags = [\n" + "".join(f"  {{ {row} }},\n" for row in rows) + "]\n"


def _modbus_tag(name: str, address: int, kind: str, as_: str) -> str:
    unit = _UNITS.get(name, "")
    row = f'name = "{name}", address = {address}, type = "{kind}", kind = "{as_}"'
    return row + (f', unit = "{unit}"' if unit else "")


def _opcua_tags(machine: MachineSpec) -> list[str]:
    packml = flavour_of(machine) == "packml"
    root = f"Objects/Machines/{machine.name}"
    states = {"state": "Status/StateCurrent", "mode": "Status/UnitModeCurrent"}
    if not packml:
        states = {
            "state": "MachineryBuildingBlocks/MachineryItemState/CurrentState",
            "mode": "MachineryBuildingBlocks/MachineryOperationMode/CurrentState",
        }
    rows = [f'name = "{name}", node = "{root}/{path}", kind = "str"' for name, path in states.items()]
    for signal, (path, _) in (PACKML if packml else MACHINERY).items():
        kind = "i64" if signal in _WHOLE else "str" if signal in _WORDS else "f64"
        row = f'name = "{_NAMES[signal]}", node = "{root}/{path}", kind = "{kind}"'
        rows.append(row + (f', unit = "{_UNITS[signal]}"' if signal in _UNITS else ""))
    rows.append(
        f'name = "vibration-burst", node = "{root}/{WAVEFORM}", kind = "waveform", unit = "mm/s", rate_hz = {RATE_HZ}'
    )
    return rows


def _machine(machine: MachineSpec) -> str:
    tag = f"{machine.name}/"
    head = (
        f'[[machine]]\npath = "{machine.path}"\nname = "{machine.name.upper()}"\ncalendar = "three-shift"\n'
        f'erp_work_centre = "{machine.name.upper()}"\ncost_per_hour = "60"\n'
        f'ideal_cycle_s = {past_cycle_s(machine)}\norder = "{tag}order"\n'
        f'good = {{ tag = "{tag}parts-good", width = {machine.counter_bits} }}\n'
        f'scrap = {{ tag = "{tag}parts-scrap", width = {machine.counter_bits} }}\n'
    )
    if machine.protocol == "modbus":
        rules = ["DOWN if state == 4", "RUN if state == 3", "SETUP if state == 2", "OFF if state == 0", "IDLE"]
        return f'{head}[machine.state]\ntags = {{ state = "{tag}state" }}\nrules = {_list(rules)}\n'
    head += f'stop_code = "{tag}alarm"\n'
    if machine.protocol == "mtconnect":
        names = f'execution = "{tag}execution", functional_mode = "{tag}functional-mode"'
        return f'{head}[machine.state]\nprofile = "mtconnect"\ntags = {{ {names} }}\n'
    materials = sorted({article.material for article in ARTICLES if machine.name in article.machines})
    used = ", ".join(f'{material} = "{tag}material-lot"' for material in materials)
    head += f'lot = "{tag}lot"\nlots_in = {{ {used} }}\n'
    names = f'state = "{tag}state", mode = "{tag}mode"'
    return f'{head}[machine.state]\nprofile = "{flavour_of(machine)}"\ntags = {{ {names} }}\n'
