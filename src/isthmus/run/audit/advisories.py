r"""Hold a folder of security advisories (CSAF 2.0) against the record.

    isthmus audit advisories csaf/                      affected, not affected, unknown, no data
    isthmus audit advisories csaf.tar.xz --asset 192.168.10.120
    isthmus audit advisories --decide ICSA-20-105-08 --asset 192.168.1.40 --status known_not_affected \
        --reason "port 102 is closed by conduit line-2"
    isthmus audit advisories --vex plant-vex.json       what was decided, as CSAF VEX

An answer is as old as the newest advisory; its date stands under every list. "No data" means that no
advisory names the device, which is not to say that nothing is known against it. The advisories that were
given last are held against each device that is new or otherwise since. A decision speaks of the firmware
that the device had then; with another it must be made anew.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.run.auditing.words import Progress, day, folder, identity, one_asset, person, table

if TYPE_CHECKING:
    from isthmus.assets.advisories import Decided
    from isthmus.model.records.assets import AssetAdvised, AssetKnown
    from isthmus.run.auditing.store import AuditStore


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where the advisories lie, and what to do with the answers."""
    parser.add_argument(
        "documents", nargs="?", type=Path, metavar="FOLDER", help="a folder of CSAF files, or a .zip or .tar.xz of them"
    )
    folder(parser)
    person(parser)
    parser.add_argument("--asset", help="only this one: id, address, serial or name")
    parser.add_argument("--decide", metavar="ADVISORY", help="decide on this advisory for --asset")
    parser.add_argument(
        "--status",
        choices=("known_affected", "known_not_affected", "fixed", "under_investigation"),
        help="what is decided",
    )
    parser.add_argument("--reason", default="", help="why it is decided so")
    parser.add_argument("--vex", type=Path, metavar="FILE", help="write the decided answers as CSAF VEX")
    parser.add_argument(
        "--namespace", default="", metavar="URL", help="of the VEX's publisher: a URL of your own house"
    )


def run(args: argparse.Namespace) -> int:
    """Match, show, decide or export."""
    from isthmus.assets.advisories import decisions  # noqa: PLC0415  heavy
    from isthmus.assets.csaf import load  # noqa: PLC0415  heavy
    from isthmus.model.records.assets import AssetAdvised, AssetDecided, AssetKnown  # noqa: PLC0415  heavy
    from isthmus.run.auditing.judge import hold_advisories  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    with AuditStore(args.folder, make=False) as store:
        if args.documents:
            progress = Progress("reading advisories")
            library = load(args.documents, progress, datetime.now(UTC).date())
            progress.end()
            for line in library.told:
                print(line)
            hold_advisories(store, library)
            store.keep_library(library)
            print(
                f"{library.documents:,} advisories with {len(library.rows):,} products, the newest of "
                f"{library.newest or 'no date that can be read'}"
            )
        answers = {identity(one): one for one in store.all(AssetAdvised)}  # type: ignore[arg-type]  # both have a path
        if not answers:
            msg = "no advisories have been held against this record yet; give the folder where they lie"
            raise UsageError(msg)
        assets = store.all(AssetKnown)
        decided = decisions(store.all(AssetDecided), assets)
        one = one_asset(assets, args.asset) if args.asset else None
        if one and identity(one) not in answers:
            msg = f"no advisories have been held against {args.asset} yet; give the folder where they lie again"
            raise UsageError(msg)
        if args.decide:
            _decide(store, one, answers, args)
        elif args.vex:
            _vex(store, assets, answers, decided, args)
        elif one:
            _one(one, answers[identity(one)], decided)
        else:
            _all(assets, answers, decided)
    return 0


def _all(
    assets: list[AssetKnown], answers: dict[str, AssetAdvised], decided: Mapping[tuple[str, str], Decided]
) -> None:
    rows = []
    for one in assets:
        told = answers.get(identity(one))
        if told is None or told.answer == "no data":
            continue
        hit = [advice for advice in told.advices if advice.answer == told.answer]
        names = sorted({advice.advisory for advice in hit})
        done = sum((said := decided.get((identity(one), name))) is not None and said.stands for name in names)
        rows.append(
            (
                told.answer,
                f"{max((advice.score for advice in hit), default=0):.1f}",
                one.best("address") or one.best("behind"),
                one.best("model"),
                one.best("firmware"),
                "order number" if any(advice.certain for advice in hit) else "family only",
                f"{done} of {len(names)}",
                ", ".join(names),
            )
        )
    rows.sort(key=lambda row: (row[0] != "affected", -float(row[1])))
    table(("answer", "score", "address", "model", "firmware", "matched by", "decided", "advisories"), rows)
    counts = Counter(told.answer for told in answers.values())
    newest = max((told.newest for told in answers.values()), default="")
    print("; ".join(f"{counts[one]:,} {one}" for one in ("affected", "unknown", "not affected", "no data")))
    if missing := sum(identity(one) not in answers for one in assets):
        print(f"{missing:,} assets were never held against any advisory; give the folder where they lie again")
    print(f"As of {newest or 'no date'}, the newest advisory. What came out since then is not in it.")


def _one(asset: AssetKnown, told: AssetAdvised, decided: Mapping[tuple[str, str], Decided]) -> None:
    print(f"{asset.best('model')} {asset.best('firmware')}: {told.answer}, as of {told.newest or 'no advisory'}")
    for advice in told.advices:
        print(
            f"{advice.answer:<13}{advice.score:>4.1f} {advice.advisory} {advice.title}\n             {advice.product}: {advice.why}"
        )
        if advice.answer == "affected":
            print(f"             {'Fix' if advice.patch else 'No patch; mitigation'}: {advice.fix or 'none is named'}")
        if said := decided.get((identity(asset), advice.advisory)):
            stands = "" if said.stands else " (of another model or firmware: decide anew)"
            print(f"             Decided {day(said.said_ns)} by {said.by}: {said.status}{stands}, {said.reason}")
    if told.conduit:
        print(f"Proposed for plant.toml while there is no patch:\n\n{told.conduit}")


def _decide(
    store: AuditStore, one: AssetKnown | None, answers: dict[str, AssetAdvised], args: argparse.Namespace
) -> None:
    from isthmus.model.records.assets import AssetDecided  # noqa: PLC0415  heavy

    if one is None or not args.status or not args.reason.strip() or not args.by.strip():
        msg = (
            "to decide, give --asset, --status and --reason, and --by if your name is not the one you are logged in by"
        )
        raise UsageError(msg)
    advice = next((each for each in answers[identity(one)].advices if each.advisory == args.decide), None)
    if advice is None:
        msg = f"{args.decide} does not speak of {args.asset}; see isthmus audit advisories --asset {args.asset}"
        raise UsageError(msg)
    now = time.time_ns()
    fields = {"advisory": advice.advisory, "product_id": advice.product_id, "status": args.status}
    fields["of"] = answers[identity(one)].of
    said = AssetDecided(
        path=one.path, time_ns=now, decision="advisory", fields=fields, reason=args.reason, by=args.by, said_ns=now
    )
    store.append([said])
    print(f"{args.decide} on {args.asset}: {args.status}, by {args.by}")


def _vex(
    store: AuditStore,
    assets: list[AssetKnown],
    answers: dict[str, AssetAdvised],
    decided: Mapping[tuple[str, str], Decided],
    args: argparse.Namespace,
) -> None:
    from isthmus.assets.vex import left_out, vex  # noqa: PLC0415  heavy

    for line in left_out(assets, answers, decided):
        print(line)
    try:
        told = vex(
            store.settings.path, store.settings.name, assets, answers, decided, time.time_ns(), args.namespace.strip()
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        args.vex.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    except OSError as error:
        msg = f"{args.vex} cannot be written: {error.strerror}"
        raise IsthmusError(msg) from error
    print(f"{args.vex}: {len(told['vulnerabilities'])} decided answers as CSAF VEX")
    if not args.namespace.strip():
        print("Before it leaves the house, name its publisher with --namespace https://your.house.example")
