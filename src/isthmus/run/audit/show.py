"""Show one asset with all that is known of it and how; or the completeness of the record, or its sources.

isthmus audit show 192.168.10.120       by id, address, serial or name
isthmus audit show --complete           the 32 attributes of the CISA guidance, by zone
isthmus audit show --sources            what was read, and every row that did not fit
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from isthmus.model.errors import UsageError
from isthmus.model.inventory import ATTRIBUTES, ROLES, spoken
from isthmus.run.auditing.words import day, folder, identity, moment, one_asset, table

if TYPE_CHECKING:
    from isthmus.run.auditing.store import AuditStore


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which asset, or which page."""
    parser.add_argument("asset", nargs="?", help="id, address, serial or name")
    folder(parser)
    parser.add_argument("--complete", action="store_true", help="how complete the record is, by zone")
    parser.add_argument("--sources", action="store_true", help="what was read, and what did not fit")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    if not (args.asset or args.complete or args.sources):
        msg = "name an asset, or give --complete or --sources"
        raise UsageError(msg)
    with AuditStore(args.folder, make=False) as store:
        if args.asset:
            _asset(store, args.asset)
        if args.complete:
            _complete(store)
        if args.sources:
            _sources(store)
    return 0


def _asset(store: AuditStore, said: str) -> None:
    from isthmus.assets.cisa import score_of  # noqa: PLC0415  heavy
    from isthmus.model.records.assets import AssetDecided, AssetFinding, AssetKnown  # noqa: PLC0415  heavy

    assets = store.all(AssetKnown)
    one = one_asset(assets, said)
    names = store.source_names()
    print(f"{one.best('name') or one.best('model') or identity(one)}   id {identity(one)}")
    print(f"{ROLES.get(one.role, one.role)}{': ' + one.role_why if one.role_why else ''}")
    print(f"seen {moment(one.first_ns)} to {moment(one.last_ns)} UTC; {score_of(one):.0%} of the record filled")
    print("known by " + "; ".join(one.keys) + "\n")
    rows = []
    for field in one.fields:
        where = f"{names.get(field.source, field.source)}{f' frame {field.frame}' if field.frame else ''}"
        span = f"{day(field.first_ns)} to {day(field.last_ns)}"
        rows.append((spoken(field.name), field.value, field.how, field.method, f"{field.confidence:.0%}", span, where))
    table(("field", "value", "known", "by", "sure", "seen", "evidence"), rows)
    below = [other for other in assets if other.parent == identity(one)]
    for other in below:
        print(f"behind it: {identity(other)} {other.best('model')} {other.best('firmware')} {other.best('serial')}")
    for finding in store.all(AssetFinding):
        if identity(one) in finding.assets:
            print(f"{finding.severity}: {finding.title}")
    for decided in store.all(AssetDecided):
        if decided.path.rpartition("/")[2] in one.aliases:
            print(
                f"{moment(decided.said_ns)} {decided.by}: {decided.decision}{_said(decided.fields)}"
                f"{f' until {day(decided.until_ns - 1)}' if decided.until_ns else ''} ({decided.reason})"
            )


def _said(fields: dict[str, str]) -> str:
    """What was decided of which fields; the digest of what an answer was of is for programs."""
    told = ", ".join(f"{name} {value}" for name, value in fields.items() if name != "of")
    return f" {told}" if told else ""


def _complete(store: AuditStore) -> None:
    from isthmus.assets.cisa import by_zone  # noqa: PLC0415  heavy
    from isthmus.model.records.assets import AssetKnown  # noqa: PLC0415  heavy

    scores = by_zone(store.all(AssetKnown))
    for score in scores:
        zone = "whole plant" if score.zone == "*" else score.zone or "no zone"
        told = (
            "no assets" if score.score is None else f"{score.score:.0%} in all, {score.high or 0:.0%} of the high ones"
        )
        print(f"{zone}: {score.assets:,} assets, {told}")
    print()
    rows = []
    for share in scores[0].shares:
        known = ", ".join(f"{how} {count}" for how, count in sorted(share.by.items()))
        oldest = day(share.oldest_ns) if share.oldest_ns else ""
        rows.append((ATTRIBUTES[share.attribute].priority, spoken(share.attribute), f"{share.filled:,}", known, oldest))
    table(("priority", "attribute", f"of {scores[0].assets:,}", "known", "oldest"), rows)


def _sources(store: AuditStore) -> None:
    for one in store.sources():
        print(
            f"{moment(one.said_ns)} {one.by}: {one.name} ({one.what}{f', {one.packets:,} packets' if one.packets else ''})"
        )
        for line in one.not_fitting:
            print(f"    {line}")
    print(f"the record's log ends with {store.log.head}, {store.log.position:,} facts")
