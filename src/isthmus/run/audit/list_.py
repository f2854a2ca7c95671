"""List the assets, as a table.

isthmus audit list                              everything
isthmus audit list --role controller --zone control
isthmus audit list siemens                      whatever says "siemens" anywhere
"""

from __future__ import annotations

import argparse

from isthmus.model.inventory import ROLES
from isthmus.run.auditing.words import day, folder, identity, table


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to list."""
    parser.add_argument("words", nargs="*", help="words that all must stand somewhere in what is known of an asset")
    folder(parser, "--into")
    parser.add_argument("--role", choices=sorted(role for role in ROLES if role), help="only this role")
    parser.add_argument("--zone", help="only this zone")
    parser.add_argument("--state", choices=("staged", "accepted", "dismissed"), help="only those in this state")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from isthmus.model.records.assets import AssetKnown  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    with AuditStore(args.folder, make=False) as store:
        states = {row["id"]: row["state"] for row in store.views.query("SELECT id, state FROM assets_known")}
        assets = store.all(AssetKnown)
    rows = []
    for one in sorted(assets, key=lambda asset: (asset.zone, asset.best("address"), asset.best("name"))):
        text = " ".join(field.value for field in one.fields).lower()
        fits = all(word.lower() in text for word in args.words)
        fits = fits and (not args.role or one.role == args.role) and (not args.zone or one.zone == args.zone)
        state = states.get(identity(one), "staged")
        if fits and (not args.state or state == args.state):
            place = one.best("address") or (f"behind {one.best('behind')}" if one.best("behind") else one.best("mac"))
            rows.append(
                (
                    identity(one),
                    place,
                    one.best("name"),
                    ROLES.get(one.role, one.role),
                    one.best("maker"),
                    one.best("model"),
                    one.best("firmware"),
                    one.best("serial"),
                    one.zone,
                    day(one.last_ns),
                    state,
                )
            )
    table(("id", "address", "name", "role", "maker", "model", "firmware", "serial", "zone", "last seen", "state"), rows)
    print(f"{len(rows):,} of {len(assets):,} assets")
    return 0
