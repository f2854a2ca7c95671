"""Ask approved devices who they are, by reading only; off until the plant file approves each address.

    isthmus audit identify plant.toml               who is approved, and who would be refused now and why
    isthmus audit identify plant.toml --dry-run     every frame that would be sent, as bytes; nothing is sent
    isthmus audit identify plant.toml --send        ask, keep every byte as evidence, and import the answers

Each device needs a table of its own in the plant file:

    [[identify]]
    address = "10.4.1.20"
    protocol = "ethernet-ip"       ads, bacnet, ethernet-ip, fins, modbus, opc-ua, s7, snmp
    approved_by = "Anna Weber"
    begins = 2026-11-25T18:00:00+01:00
    ends = 2026-11-25T20:00:00+01:00

Only requests of a compiled-in list are sent, and none of them writes. One device at a time, one
connection, at most 25 frames on the wire both ways, closed from both sides; a second after each device;
two failures end it for that zone's network. Nothing is tried again. An address in a safety zone is
refused whatever the file says, and nothing is sent while the conduit is cut (isthmus isolate).

Ends with 0 when every device named answered (or may be asked now), with 1 when one did not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.model.time import from_datetime
from isthmus.run.auditing.words import Progress, folder, moment, person, table

if TYPE_CHECKING:
    from isthmus.assets.decode.said import Identity
    from isthmus.edge.identify.approved import Target
    from isthmus.edge.identify.rehearsal import Rehearsed
    from isthmus.edge.identify.round import Rules, Visit
    from isthmus.plantfile import PlantFile
    from isthmus.run.auditing.store import AuditStore


def arguments(parser: argparse.ArgumentParser) -> None:
    """Who, and whether anything is sent."""
    parser.add_argument("plant", type=Path, metavar="PLANT.TOML", help="the plant file with zones and approvals")
    folder(parser)
    person(parser)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--dry-run", action="store_true", help="print every frame that would be sent; send nothing")
    way.add_argument("--send", action="store_true", help="ask the devices; without it nothing is sent")
    parser.add_argument("--only", action="append", default=[], metavar="ADDRESS", help="only this approved address")
    parser.add_argument("--protocol", help="only approvals for this protocol")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """0 when every approved device may be asked, or answered; 1 when one is refused, fails or is not reached."""
    from isthmus.edge.identify.approved import targets  # noqa: PLC0415  loads every protocol
    from isthmus.edge.identify.rehearsal import rehearse  # noqa: PLC0415  as above
    from isthmus.plantfile import load  # noqa: PLC0415  heavy

    plant = load(args.plant)
    wanted = [
        one
        for one in plant.identify
        if (not args.only or one.address in args.only) and (not args.protocol or one.protocol == args.protocol)
    ]
    found = targets(wanted, plant.zones, datetime.now(UTC))
    if not found:
        _say_nothing_approved(plant, as_json=args.json)
        return 1
    if args.send:
        return _send(plant, found, args)
    rules = _rules(plant, args.folder, None, found)
    # A window that is not open yet hides no frames: they are looked at before it opens.
    frames = [list(rehearse(one)) if args.dry_run and one.address not in rules.refused else [] for one in found]
    found = [one._replace(refused=one.refused or rules.refused.get(one.address, "")) for one in found]
    _show_plan(found, frames, as_json=args.json, dry_run=args.dry_run)
    return int(any(one.refused for one in found))


def _say_nothing_approved(plant: PlantFile, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"sent": False, "targets": []}, indent=2))
    elif plant.identify:
        print("no approval of the plant file is for that address and protocol; nothing was sent")
    else:
        print(
            f"{plant.file} approves no device, so none is asked.\n"
            "An approval is a table [[identify]]; isthmus audit identify --help shows one."
        )


def _rules(plant: PlantFile, where: Path, store: AuditStore | None, found: Sequence[Target]) -> Rules:
    """What holds beside the plant file: the gate, what the record knows of safety, connections that were kept."""
    from isthmus.edge import gate  # noqa: PLC0415  loads the records
    from isthmus.edge.identify.approved import refusals  # noqa: PLC0415  loads every protocol
    from isthmus.edge.identify.round import Rules  # noqa: PLC0415  as above
    from isthmus.run.auditing.asked import kept_open, remembers, safety_of  # noqa: PLC0415  heavy

    refused = {
        address: f"it kept a connection half closed at {moment(since)} UTC; approve it anew, for a later window"
        for address, since in kept_open(remembers(where, plant)).items()
        if any(one.address == address and from_datetime(one.approval.begins) <= since for one in found)
    }
    known = safety_of(where, store)
    for one in found:
        declared = next((why for why in refusals(one.address, [*plant.zones, *known.zones]) if "safety" in why), "")
        if declared:
            refused[one.address] = declared
        elif why := known.addresses.get(one.address):
            refused[one.address] = (
                f"the asset record says that this is a safety controller ({why}): those are never asked"
            )
    # Relative to here, as the edge and `isthmus isolate` take it, and to the plant file.
    gates = tuple({Path(plant.edge.data), plant.file.parent / plant.edge.data})
    for latch in map(gate.read, gates):
        if latch.closed:
            refused |= {one.address: f"the conduit is cut by {latch.by}: {latch.reason}" for one in found}
    return Rules(gates, refused)


def _show_plan(found: Sequence[Target], frames: Sequence[Sequence[Rehearsed]], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        told = [
            _plain(one) | {"frames": [each._asdict() for each in own]} for one, own in zip(found, frames, strict=True)
        ]
        print(json.dumps({"sent": False, "targets": told}, indent=2))
        return
    _table(found)
    for one, own in zip(found, frames, strict=True):
        if own:
            print(f"\n{one.name} by {one.approval.protocol}, at most these; two dots stand for what it answers:")
        for each in own:
            print(f"  {each.name}\n      {each.clause}\n      {each.hex}")
    may = sum(not one.refused for one in found)
    more = "" if dry_run else "; --dry-run prints each frame, --send asks"
    print(f"\n{may} of {len(found)} may be asked now. Nothing was sent{more}.")


def _table(found: Sequence[Target]) -> None:
    rows = [
        (
            one.name,
            one.approval.protocol,
            one.approval.approved_by,
            f"{_time(one.approval.begins)} to {_time(one.approval.ends)}",
            one.segment,
            "refused" if one.refused else "may be asked",
        )
        for one in found
    ]
    table(("address", "protocol", "approved by", "window, UTC", "zone and network", "now"), rows)
    for one in found:
        if one.refused:
            print(f"{one.name} is refused: {one.refused}")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _plain(one: Target) -> dict[str, Any]:
    return {
        "address": one.address,
        "port": one.port,
        "protocol": one.approval.protocol,
        "approved_by": one.approval.approved_by,
        "begins": one.approval.begins.isoformat(),
        "ends": one.approval.ends.isoformat(),
        "segment": one.segment,
        "refused": one.refused,
    }


def _send(plant: PlantFile, found: Sequence[Target], args: argparse.Namespace) -> int:
    """Ask, import what came, and say what each device told."""
    from isthmus.edge.identify.evidence import Evidence  # noqa: PLC0415  loads every protocol
    from isthmus.edge.identify.round import ask_all, capture_name  # noqa: PLC0415  as above
    from isthmus.run.audit.import_ import take_in  # noqa: PLC0415  as above
    from isthmus.run.auditing.asked import declared, keep_open, remembers, told_by  # noqa: PLC0415  heavy
    from isthmus.run.auditing.judge import judge  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    with AuditStore(args.folder) as store:
        rules = _rules(plant, args.folder, store, found)
        declared(store, plant)
        visits: list[Visit] = []
        path = args.folder / "asked" / capture_name(datetime.now(UTC))
        progress = Progress("asking")
        with Evidence(path) as evidence:
            for visit in ask_all(found, evidence, rules):
                visits.append(visit)
                keep_open(remembers(args.folder, plant), visit)
                progress(f"{len(visits)} of {len(found)}, {visit.target.name} {visit.outcome}")
        progress.end()
        if any(one.requests for one in visits):
            take_in(store, path, by=args.by, say=(lambda _: None) if args.json else print)
            judge(store)
        told = told_by(path, visits)
    if args.json:
        _print_json(visits, told, path)
    else:
        _print_visits(visits, told, path)
    return int(any(one.outcome != "answered" or one.left for one in visits))


def _print_json(visits: Sequence[Visit], told: Sequence[Sequence[Identity]], path: Path) -> None:
    out = [
        _plain(visit.target)
        | {
            "outcome": visit.outcome,
            "why": visit.why,
            "frames_on_the_wire": visit.frames,
            "requests": visit.requests,
            "left": visit.left,
            "told": [
                {"by": one.method, "module": one.child, "maker": one.maker, "model": one.model}
                | {"firmware": one.firmware, "serial": one.serial, "name": one.name}
                for one in said
            ],
        }
        for visit, said in zip(visits, told, strict=True)
    ]
    print(json.dumps({"sent": True, "evidence": str(path), "targets": out}, indent=2))


def _print_visits(visits: Sequence[Visit], told: Sequence[Sequence[Identity]], path: Path) -> None:
    rows = []
    for visit, said in zip(visits, told, strict=True):
        target = visit.target
        begun = (target.name, target.approval.protocol, visit.outcome, str(visit.frames))
        rows += [(*begun, *module) for module in _modules(said)] or [(*begun, "", "", "", "", "")]
    print()
    table(("address", "protocol", "outcome", "frames", "module", "maker", "model", "firmware", "serial"), rows)
    for visit, said in zip(visits, told, strict=True):
        words = [visit.why, visit.left, "" if said or visit.outcome != "answered" else "it does not say who it is"]
        for line in (one for one in words if one):
            print(f"{visit.target.name}: {line}")
    answered = sum(one.outcome == "answered" for one in visits)
    print(f"\n{answered} of {len(visits)} answered. Every byte of it: {path}")


def _modules(said: Sequence[Identity]) -> list[tuple[str, ...]]:
    """Module, maker, model, firmware and serial; of several answers the latest that tells it."""
    out: dict[str, list[str]] = {}
    for one in said:
        row = out.setdefault(one.child, ["", "", "", ""])
        for at, told in enumerate((one.maker, one.model, one.firmware, one.serial)):
            row[at] = told or row[at]
    return [(child, *row) for child, row in out.items()]
