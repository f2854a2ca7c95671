"""How much of what is known about a folder of captures we find: devices, service names, findings.

The folder holds the captures beside `devices.csv`, `flows.csv` and `findings.csv`. A device counts as
identified by the truth where its `method` is not "endpoint only"; a conversation is one of OT where
its `service` is not empty. All captures are judged as one plant, as `isthmus audit import` would.
"""

from __future__ import annotations

import csv
import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from isthmus.assets.addresses import Places
from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.found import decoders
from isthmus.assets.decode.heard import Heard
from isthmus.assets.decode.said import Identity
from isthmus.assets.findings import Look, find
from isthmus.assets.heard import facts_of
from isthmus.assets.oriented import oriented
from isthmus.assets.record import record
from isthmus.model.errors import IsthmusError
from isthmus.model.records.assets import AssetFinding, AssetSeen, FlowSeen

Row = dict[str, str]
_TRUTHS: Final = ("devices.csv", "flows.csv", "findings.csv")
_NOTHING_KNOWN: Final = "endpoint only"
_TRAP: Final = "false positive trap"
_PLANT: Final = "score"
_ANY_MAC: Final = "00:00:00:00:00:00"
_WORD: Final = re.compile(r"[a-z0-9]{3,}")
_ID: Final = re.compile(r"\bid (\d+)\b")
_COMMON: Final = frozenset(
    [
        "automation",
        "electric",
        "electronics",
        "technology",
        "technologies",
        "systems",
        "corporation",
        "company",
        "inc",
        "gmbh",
        "ltd",
        "the",
        "vendor",
        "protocol",
        "group",
        "industries",
        "industrial",
        "control",
        "controls",
        "networks",
        "software",
        "international",
    ]
)


class NotTheFolder(IsthmusError):
    """The folder lacks what is needed to score; the message says what."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The figures; shares from 0 to 1, counts otherwise."""

    identified_share: float
    identified: int
    identifiable: int
    wrong: int
    must_report_missed: int
    must_report: int
    must_not_reported: int
    label_share: float
    labels: int
    packets: int
    packets_per_s: float
    misses: tuple[str, ...]
    """A sentence for each device, conversation and finding that is not as the truth has it."""


def score(folder: Path) -> Score:
    """Hear every capture of the folder and compare. Raises NotTheFolder."""
    lacks = [name for name in _TRUTHS if not (folder / name).is_file()]
    if lacks:
        msg = f"{folder}: lacks {', '.join(lacks)}; give a folder with captures and the lists of what is known of them"
        raise NotTheFolder(msg)
    devices, flows, findings = (_rows(folder / name) for name in _TRUTHS)
    names = sorted({row["capture"] for row in (*devices, *flows)})
    decoders()  # the first call loads them
    begin = time.perf_counter()
    heard = {name: hear(folder / name) for name in names}
    took_s = time.perf_counter() - begin
    misses: list[str] = []
    known = [row for row in devices if row["method"] != _NOTHING_KNOWN]
    identified = sum(_identified(row, heard[row["capture"]].identities, misses) for row in known)
    wrong = sum(_wrong(name, heard[name].identities, known, misses) for name in names)
    spoken = [row for row in flows if row["service"]]
    labels = sum(_labelled(row, heard[row["capture"]], misses) for row in spoken)
    due, missed, not_due = _judged(folder, heard, devices, findings, misses)
    packets = sum(one.packets for one in heard.values())
    return Score(
        identified_share=round(identified / max(len(known), 1), 4), identified=identified, identifiable=len(known),
        wrong=wrong, must_report_missed=missed, must_report=due, must_not_reported=not_due,
        label_share=round(labels / max(len(spoken), 1), 4), labels=len(spoken), packets=packets,
        packets_per_s=round(packets / max(took_s, 1e-9)), misses=tuple(misses),
    )  # fmt: skip


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _identified(row: Row, said: Iterable[Identity], misses: list[str]) -> bool:
    """One module behind the address has the model, the firmware, and without both the name or maker of the truth."""
    modules: dict[str, list[Identity]] = {}
    for one in said:
        if _same_place(row, one):
            modules.setdefault(one.child, []).append(one)
    for module in modules.values():
        models = {_plain(value) for one in module for value in (one.model, one.order_number) if value}
        firmware = {_version(one.firmware) for one in module if one.firmware}
        fits = _plain(row["model"]) in models or not row["model"]
        if row["firmware"]:
            fits = fits and _version(row["firmware"]) in firmware
        if not row["model"] and not row["firmware"]:
            fits = any(_plain(row["name"]) == _plain(one.name) and row["name"] for one in module) or (
                not row["name"] and any(_same_maker(row["vendor"], one) for one in module if one.maker)
            )
        if fits:
            return True
    misses.append(f"device not identified: {row['capture']} {row['ip'] or row['mac']} {row['model']} {row['firmware']}")
    return False


def _same_place(row: Row, one: Identity) -> bool:
    if row["ip"]:
        return row["ip"] == one.address
    return row["mac"] in {one.mac, _ANY_MAC}


def _wrong(capture: str, said: Iterable[Identity], known: Iterable[Row], misses: list[str]) -> int:
    """Makers and models that contradict every row of the truth for their place."""
    out = 0
    rows = [row for row in known if row["capture"] == capture]
    for one in said:
        here = [row for row in rows if _same_place(row, one) or (one.mac and row["mac"] == one.mac)]
        makers = [row["vendor"] for row in here if row["vendor"]]
        models = {_plain(row["model"]) for row in here if row["model"]}
        if one.maker and makers and not any(_same_maker(maker, one) for maker in makers):
            misses.append(f"wrong maker: {capture} frame {one.packet_frame} {one.maker}, where {makers} is known")
            out += 1
        if one.model and models and not models & {_plain(one.model), _plain(one.order_number)}:
            misses.append(
                f"wrong model: {capture} frame {one.packet_frame} {one.model}, where {sorted(models)} is known"
            )
            out += 1
    return out


def _same_maker(truth: str, one: Identity) -> bool:
    number = _ID.search(truth)
    if number and one.more.get("vendor id") == number[1]:
        return True
    return bool(_words(truth) & _words(one.maker))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold())) - _COMMON


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _version(text: str) -> str:
    return _plain(text).removeprefix("v")


def _labelled(row: Row, heard: Heard, misses: list[str]) -> bool:
    """The conversation is there, whoever its client is, and its service is one of those that the truth names."""
    names = {row["service"], *re.split(r"[/()]", row["service"])}
    port = int(row["port"]) if row["port"].isdigit() else -1
    found = [
        one.service
        for one in heard.conversations
        if {one.client, one.server} == {row["client"], row["server"]}
        and one.transport == row["l4"]
        and one.port == port
    ]
    if names & set(found):
        return True
    misses.append(f"service not named: {row['capture']} {row['client']} {row['server']} {row['service']}, but {found}")
    return False


def _judged(
    folder: Path, heard: Mapping[str, Heard], devices: list[Row], findings: list[Row], misses: list[str]
) -> tuple[int, int, int]:
    """How many findings were due, how many of them are missing, and how many were reported that must not be."""
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in heard}
    seen: list[AssetSeen] = []
    flows: list[FlowSeen] = []
    for name, one in heard.items():
        assets, talks = facts_of(_PLANT, one, digests[name])
        seen += assets
        flows += talks
    flows = oriented(flows)
    found = find(Look(_PLANT, record(_PLANT, seen, flows, Places()), flows, Places()))
    due = missed = not_due = 0
    for row in findings:
        reported = any(_matches(row, digests[row["capture"]], one) for one in found)
        if row["must_report"] == "yes":
            due += 1
            missed += not reported
            misses += [] if reported else [f"finding missed: {row['capture']} {row['kind']}: {row['finding']}"]
        else:
            wrong = list(_trapped(row, devices, heard[row["capture"]])) if row["kind"] == _TRAP else [row["finding"]]
            if reported or (row["kind"] == _TRAP and wrong):
                not_due += 1
                misses.append(f"must not be reported: {row['capture']} {row['finding']}: {wrong}")
    return due, missed, not_due


def _matches(row: Row, digest: str, one: AssetFinding) -> bool:
    addresses = {part for part in row["address"].split(";") if part}
    return (
        one.what == row["kind"]
        and any(evidence.source == digest for evidence in one.evidence)
        and (not addresses or bool(addresses & set(one.addresses)))
        and (not row["serial"] or row["serial"] in one.serials)
    )


def _trapped(row: Row, devices: list[Row], heard: Heard) -> Iterator[str]:
    """Devices whose maker was taken from a network card that is another's."""
    for device in devices:
        if device["capture"] != row["capture"] or not device["oui_vendor"]:
            continue
        if device["vendor"] and _words(device["vendor"]) & _words(device["oui_vendor"]):
            continue
        for one in heard.identities:
            if _same_place(device, one) and _words(one.maker) & _words(device["oui_vendor"]):
                yield f"{one.address} {one.maker}"
