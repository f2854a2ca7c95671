"""The commented plant file that a new plant begins with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from isthmus.edge.opcua_client.profiles import Proposal
from isthmus.edge.source import TagFound

SHIFTS = {
    "1": ("one shift", (("Day", "07:00", "15:30", "Mon-Fri", ("12:00-12:30",)),)),
    "2": (
        "two shifts",
        (
            ("Early", "06:00", "14:00", "Mon-Fri", ("10:00-10:15",)),
            ("Late", "14:00", "22:00", "Mon-Fri", ("18:00-18:15",)),
        ),
    ),
    "3": (
        "three shifts, every day",
        (
            ("Early", "06:00", "14:00", "Mon-Sun", ()),
            ("Late", "14:00", "22:00", "Mon-Sun", ()),
            ("Night", "22:00", "06:00", "Mon-Sun", ()),
        ),
    ),
}


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said, or the defaults."""

    name: str = "My Works"
    enterprise: str = "acme"
    time_zone: str = "Europe/London"
    shifts: str = "2"
    source: str = ""
    """Name of a first source, "" for none."""
    kind: str = ""
    fields: dict[str, object] = {}
    """The source's own fields: host, port, url."""
    tags: Sequence[TagFound] = ()
    """What browsing found."""
    machines: Sequence[Proposal] = ()
    """Machines that were recognised among them."""


_NO_DIRECTORY = (
    "# This protocol cannot say which signals a device has: add a [[source.tags]] for each, with its address\n"
    "# from the device's manual. docs/reference/plant-file.md lists the fields."
)


def slug(text: str) -> str:
    """A name as a part of a path.

    >>> slug("Northgate Works, Leeds")
    'northgate-works-leeds'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "plant"


def starter(answers: Answers) -> str:
    """The text of a plant file that passes the check."""
    title, shifts = SHIFTS[answers.shifts]
    calendar = "\n".join(_shift(*shift) for shift in shifts)
    return f"""\
# The plant file: everything Isthmus knows of this plant. Check it with `isthmus check plant.toml`.
# No secrets stand here: write them as "env:NAME" or "file:PATH".

[plant]
name = {_text(answers.name)}
path = {_text(f"{slug(answers.enterprise)}/{slug(answers.name)}")}   # ISA-95 enterprise/site
time_zone = {_text(answers.time_zone)}

# {title.capitalize()}. Breaks lie outside planned busy time. Days that differ go into `exceptions`:
#   exceptions = [{{ date = 2026-12-25, note = "Christmas" }}]
[[calendar]]
name = "main"
shifts = [
{calendar}
]

# Zones and conduits (IEC 62443). The OT side dials; nothing opens a port towards it.
[[zone]]
name = "control"
kind = "control"
networks = []          # for example ["10.4.1.0/24"]

[[zone]]
name = "supervisory"
kind = "supervisory"

[[zone]]
name = "enterprise"
kind = "enterprise"

[[conduit]]
name = "uplink"
initiator = "supervisory"
responder = "enterprise"
protocols = ["https"]
purpose = "machine data to the site"
owner = ""             # the person who answers for it
lost_when_cut = "live pages and ERP reports; the edge keeps every value"

# Why machines stand still. Six to twelve serve a shop floor best.
[[reason]]
code = "TOOL"
name = "Tool change"

[[reason]]
code = "MATERIAL"
name = "Waiting for material"

[[reason]]
code = "FAULT"
name = "Machine fault"

[[reason]]
code = "CLEANING"
name = "Planned cleaning"
planned = true
{_source(answers)}"""


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else str(value)


def _shift(name: str, start: str, end: str, days: str, breaks: Sequence[str]) -> str:
    paused = f", breaks = [{', '.join(map(_text, breaks))}]" if breaks else ""
    return f'  {{ name = "{name}", start = "{start}", end = "{end}", days = "{days}"{paused} }},'


def _source(answers: Answers) -> str:
    if not answers.kind:
        return """
# Machines and their sources. `isthmus init --from opc.tcp://HOST:4840` writes one by browsing a server;
# `docs/reference` lists the fields of every protocol.
#
# [[machine]]
# path = "machining/line-a/cnc-01"    # area / work centre / work unit
# name = "CNC-01"
# calendar = "main"
"""
    lines = [
        "",
        "# Found by browsing; keep what you need." if answers.tags else _NO_DIRECTORY,
        "[[source]]",
        f'kind = "{answers.kind}"',
    ]
    lines.append(f"name = {_text(answers.source)}")
    lines += [f"{key} = {_value(value)}" for key, value in answers.fields.items()]
    names = _unique_names(answers.tags)
    lines += ["", *(line for tag, name in zip(answers.tags, names, strict=True) for line in _tag(tag, name))]
    whole = {tag.path: f"{answers.source}/{name}" for tag, name in zip(answers.tags, names, strict=True)}
    for proposal in answers.machines:
        lines += [*(f"# {line}".rstrip() for line in _machine(proposal, whole)), ""]
    return "\n".join(lines) + "\n"


def _machine(proposal: Proposal, names: Mapping[str, str]) -> list[str]:
    """A machine as the companion specification's names propose it; a person takes the marks away."""
    name = proposal.root.rpartition("/")[2]
    sure = "" if proposal.sure else ", by the names alone: the server does not say that it follows the specification"
    parts = {part: _text(names[tag.path]) for part, tag in proposal.parts.items()}
    if "good" in parts:
        parts.pop("total", None)  # good pieces are counted apart
    counters = [f"{part} = {{ tag = {parts[part]} }}" for part in ("good", "total", "scrap") if part in parts]
    single = [f"{part} = {parts[part]}" for part in ("order", "stop_code") if part in parts]
    signals = ", ".join(f"{signal} = {_text(names[tag.path])}" for signal, tag in proposal.state.items())
    return [
        f"Recognised as {proposal.profile}{sure}. Compare it with the machine, then take the marks away:",
        "",
        "[[machine]]",
        f"path = {_text(f'area/line/{slug(name)}')}   # area / work centre / work unit",
        f"name = {_text(name)}",
        'calendar = "main"',
        *counters,
        *single,
        "",
        "[machine.state]",
        f"profile = {_text(proposal.profile)}",
        f"tags = {{ {signals} }}",
    ]


def _tag(tag: TagFound, name: str) -> list[str]:
    fields: dict[str, Any] = {"name": name, **tag.address}
    if tag.kind is not None:
        fields["kind"] = tag.kind.value
    if tag.unit:
        fields["unit"] = tag.unit
    lines = ["[[source.tags]]", *(f"{key} = {_value(value)}" for key, value in fields.items())]
    return [*([f"# {tag.description}"] if tag.description else []), *lines, ""]


def _unique_names(tags: Sequence[TagFound]) -> list[str]:
    """The shortest tail of each path that tells it from the others."""
    out = []
    for tag in tags:
        parts = tag.path.split("/")
        for length in range(1, len(parts) + 1):
            tail = "/".join(parts[-length:])
            if sum(other.path == tail or other.path.endswith(f"/{tail}") for other in tags) == 1:
                break
        out.append(tail)
    return out
