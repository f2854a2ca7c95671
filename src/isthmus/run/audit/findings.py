"""List the findings that wait for a person, the worst first, with their evidence and the next step.

    isthmus audit findings                  what is staged
    isthmus audit findings --all            also what was accepted or dismissed, and the notes
    isthmus audit findings --json           for other tools

Accept or dismiss one with isthmus audit accept.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import msgspec

from isthmus.model.inventory import FINDINGS
from isthmus.run.auditing.words import day, folder, moment


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which findings."""
    folder(parser)
    parser.add_argument("--all", action="store_true", help="also what was decided, and the notes")
    parser.add_argument("--severity", choices=("high", "medium", "low", "note"), help="only this severity")
    parser.add_argument("--what", choices=sorted(FINDINGS), help="only this sort")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--brief", action="store_true", help="one line each")


def run(args: argparse.Namespace) -> int:
    """Print them."""
    from isthmus.model.records.assets import AssetFinding  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    with AuditStore(args.folder, make=False) as store:
        states = {row["id"]: row["state"] for row in store.views.query("SELECT id, state FROM assets_findings")}
        names = store.source_names()
        every = store.all(AssetFinding)
    shown = [
        one
        for one in every
        if (args.all or (states[_id(one)] == "staged" and one.severity != "note"))
        and args.severity in (None, one.severity)
        and args.what in (None, one.what)
    ]
    if args.json:
        print(msgspec.json.format(msgspec.json.encode([_plain(one, states, names) for one in shown])).decode())
        return 0
    for one in shown:
        state = states[_id(one)]
        print(
            f"{one.severity:<7}{_id(one)}  {FINDINGS[one.what]}: {one.title}{'' if state == 'staged' else f' ({state})'}"
        )
        if args.brief:
            continue
        print(f"       {one.text}")
        for proof in one.evidence[:3]:
            where = names.get(proof.source, proof.source)
            print(f"       {moment(proof.time_ns)} {where} frame {proof.frame}: {proof.what}")
        print(f"       Next: {one.next_step}\n")
        if one.conduit:
            print(f"{one.conduit}")
    counts = Counter(one.severity for one in shown)
    told = ", ".join(f"{counts[one]} {one}" for one in ("high", "medium", "low", "note") if counts[one])
    print(
        f"{len(shown):,} findings{': ' + told if told else ''}; of {len(every):,} in all, the newest of {day(max((one.last_ns for one in every), default=0)) or 'no date'}"
    )
    return 0


def _id(one: Any) -> str:  # noqa: ANN401  any record
    return str(one.path.rpartition("/")[2])


def _plain(one: Any, states: dict[str, str], names: dict[str, str]) -> dict[str, Any]:  # noqa: ANN401  a finding
    told: dict[str, Any] = msgspec.to_builtins(one)
    told |= {"id": _id(one), "state": states[_id(one)]}
    told["evidence"] = [
        proof | {"source": names.get(proof["source"], proof["source"])} for proof in told.get("evidence", ())
    ]
    return told
