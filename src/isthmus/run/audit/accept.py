"""Say what is so: accept or dismiss a finding or an asset, set fields of one, or accept all traffic as normal.

    isthmus audit accept 3f9c2d1a7b10 --reason "change 4711"           a finding or an asset, by its id
    isthmus audit accept 3f9c2d1a7b10 --dismiss --reason "test bench"
    isthmus audit accept 192.168.10.120 --set owner="Line 2" --set criticality=high --reason "walk-through"
    isthmus audit accept --baseline --reason "commissioned 2026-11-20"  what speaks now is normal
    isthmus audit accept --everything --reason "first walk-through"     every staged asset
    isthmus audit accept 3f9c2d1a7b10 --until 2027-03-31 --reason "until the new switch is in"

Each is kept for ever with who said it and why; --reopen takes an acceptance back, and the day after --until
it waits for a person again.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Literal

from isthmus.model.equipment import beside
from isthmus.model.errors import UsageError
from isthmus.model.time import end_of_day
from isthmus.run.auditing.words import fields_given, folder, identity, named_person, one_asset, person

if TYPE_CHECKING:
    from isthmus.model.records.assets import AssetDecided
    from isthmus.run.auditing.store import AuditStore

_Plain = Literal["accept", "dismiss", "reopen"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is decided, and why."""
    parser.add_argument("which", nargs="?", help="a finding's id, or an asset's id, address, serial or name")
    folder(parser)
    person(parser)
    parser.add_argument("--reason", required=True, help="why; it stands in the history")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--dismiss", action="store_true", help="it is none, instead of accepted")
    way.add_argument("--reopen", action="store_true", help="look at it again")
    way.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="what a field of the asset is")
    parser.add_argument(
        "--until",
        type=_day,
        default=0,
        metavar="DATE",
        help="accepted or dismissed to the end of this day (UTC), as 2027-03-31",
    )
    parser.add_argument("--baseline", action="store_true", help="accept all conversations seen so far as normal")
    parser.add_argument("--everything", action="store_true", help="accept every staged asset")


def _day(text: str) -> int:
    """The end of a day to come. Raises ArgumentTypeError for what is none."""
    try:
        end_ns = end_of_day(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if end_ns <= time.time_ns():
        msg = f"{text} is over"
        raise argparse.ArgumentTypeError(msg)
    return end_ns


def run(args: argparse.Namespace) -> int:
    """Log the decision and judge anew."""
    from isthmus.run.auditing.judge import judge  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    if not args.reason.strip():
        msg = "say why with --reason; whoever reads the history will ask"
        raise UsageError(msg)
    args.by = named_person(args)
    if args.until and (args.reopen or args.set or args.baseline):
        msg = "--until goes with accepting or dismissing a finding or an asset"
        raise UsageError(msg)
    if (args.dismiss or args.reopen or args.set) and (args.baseline or args.everything or not args.which):
        msg = "--dismiss, --reopen and --set speak of one finding or asset: name it, without --baseline or --everything"
        raise UsageError(msg)
    if not (args.which or args.baseline or args.everything):
        msg = "name a finding or an asset, or give --baseline or --everything"
        raise UsageError(msg)
    with AuditStore(args.folder, make=False) as store:
        said = _decisions(store, args)
        store.append(said)
        told = judge(store)
        work = sum(one.severity != "note" for one in told.findings)
        print(f"{len(said):,} decision{'s' if len(said) != 1 else ''} kept; {work:,} findings stand in the record")
    return 0


def _decisions(store: AuditStore, args: argparse.Namespace) -> list[AssetDecided]:
    from isthmus.assets.findings.connections import baseline_of  # noqa: PLC0415  heavy
    from isthmus.model.records.assets import AssetDecided, AssetFinding, AssetKnown, FlowSeen  # noqa: PLC0415  heavy

    now = time.time_ns()
    plain: _Plain = "dismiss" if args.dismiss else "reopen" if args.reopen else "accept"
    plant = store.settings.path
    out: list[AssetDecided] = []
    if args.baseline:
        talks = baseline_of(store.all(FlowSeen))
        out.append(
            AssetDecided(
                path=beside(plant, "audit-baseline", "flows"),
                time_ns=now,
                decision="baseline",
                talks=talks,
                reason=args.reason,
                by=args.by,
                said_ns=now,
            )
        )
        print(f"{len(talks):,} conversations are normal from now on")
    if args.everything:
        staged = store.views.query("SELECT id FROM assets_known WHERE state = 'staged' ORDER BY id")
        out += [
            AssetDecided(
                path=beside(plant, "asset", row["id"]),
                time_ns=now,
                decision="accept",
                reason=args.reason,
                by=args.by,
                said_ns=now,
                until_ns=args.until,
            )
            for row in staged
        ]
    if args.which:
        findings = {one.path.rpartition("/")[2]: one.path for one in store.all(AssetFinding)}
        if args.which in findings and not args.set:
            path = findings[args.which]
        else:
            path = beside(plant, "asset", identity(one_asset(store.all(AssetKnown), args.which)))
        out.append(
            AssetDecided(
                path=path,
                time_ns=now,
                decision="set" if args.set else plain,
                fields=fields_given(args.set),
                reason=args.reason,
                by=args.by,
                said_ns=now,
                until_ns=args.until,
            )
        )
    return out
