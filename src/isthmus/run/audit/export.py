"""Write the record for other tools: CSV, JSON or CycloneDX; redacted where it leaves the house.

    isthmus audit export assets.csv
    isthmus audit export assets.json                   every value with its source and frame
    isthmus audit export bom.cdx.json                  CycloneDX 1.6, a component per device
    isthmus audit export outside.csv --redacted        no address, serial, firmware or port

Each export names the state of the record it was made from, so that two can be told apart.
"""

from __future__ import annotations

import argparse
import csv
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.run.auditing.words import folder, identity

if TYPE_CHECKING:
    from isthmus.run.auditing.store import AuditStore


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and how much of it."""
    parser.add_argument("target", type=Path, metavar="FILE", help="ends in .csv, .json or .cdx.json")
    folder(parser, "--from")
    parser.add_argument(
        "--redacted", action="store_true", help="hash addresses, names and serials; leave firmware and ports out"
    )


def run(args: argparse.Namespace) -> int:
    """Write it."""
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    kind = "cdx" if args.target.name.endswith(".cdx.json") else args.target.suffix.lower()
    if kind not in ("cdx", ".csv", ".json"):
        msg = f"{args.target} says no format: let it end in .csv, .json or .cdx.json"
        raise UsageError(msg)
    if kind == "cdx" and args.redacted:
        msg = "a bill of hardware without its versions helps nobody; export redacted as .csv or .json"
        raise UsageError(msg)
    with AuditStore(args.folder, make=False) as store:
        try:
            count = _write(store, args.target, kind, redacted=args.redacted)
        except OSError as error:
            msg = f"{args.target} cannot be written: {error.strerror}"
            raise IsthmusError(msg) from error
        print(f"{args.target}: {count:,} assets as of fact {store.log.position:,}, {store.log.head[:16]}")
    return 0


def _write(store: AuditStore, target: Path, kind: str, *, redacted: bool) -> int:
    from isthmus.assets import export  # noqa: PLC0415  heavy
    from isthmus.model.records.assets import AssetAdvised, AssetKnown  # noqa: PLC0415  heavy

    assets = store.all(AssetKnown)
    secret = _secret(store.folder) if redacted else None
    if kind == ".csv":
        states = {row["id"]: row["state"] for row in store.views.query("SELECT id, state FROM assets_known")}
        advised = {identity(one): one for one in store.all(AssetAdvised)}  # type: ignore[arg-type]  # both have a path
        rows = export.rows(assets, states, advised, secret)
        columns = [name for name in export.COLUMNS if not rows or name in rows[0]]
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({name: _no_formula(row[name]) for name in columns} for row in rows)
        return len(rows)
    told: object
    if kind == "cdx":
        told = export.cyclonedx(assets, store.settings.name, store.log.head, time.time_ns())
    else:
        told = {
            "name": store.settings.name,
            "facts": store.log.position,
            "head": store.log.head,
            "redacted": redacted,
            "assets": export.whole(assets, store.source_names(), secret),
        }
    target.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    return len(assets)


def _no_formula(cell: str) -> str:
    """A cell that a spreadsheet does not run: devices may call themselves what they like."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _secret(folder: Path) -> bytes:
    """The secret with which a redacted export hashes; made once, readable by its owner alone."""
    file = folder / "redaction.key"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(secrets.token_bytes(32))
    return file.read_bytes()
