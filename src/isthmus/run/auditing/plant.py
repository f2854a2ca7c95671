"""What an audit is told of its plant: zones, conduits and name out of the plant file, public ranges used inside."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.model.errors import UsageError

if TYPE_CHECKING:
    from isthmus.run.auditing.store import AuditStore


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that tell it."""
    parser.add_argument("--plant", type=Path, metavar="PLANT.TOML", help="take zones, conduits and the name from it")
    parser.add_argument(
        "--internal", action="append", default=[], metavar="CIDR", help="a public range that the plant uses inside"
    )


def declare(store: AuditStore, args: argparse.Namespace) -> None:
    """Keep what the options tell in the audit's folder. Raises UsageError for a range that is none."""
    from msgspec.structs import replace  # noqa: PLC0415  small

    settings = store.settings
    if args.plant:
        from isthmus.plantfile import load  # noqa: PLC0415  heavy

        plant = load(args.plant)
        # The path of what was already said stays: facts are named by it.
        fresh = not store.sources()
        settings = replace(
            settings,
            path=plant.plant.path if fresh else settings.path,
            name=plant.plant.name,
            zones=plant.zones,
            conduits=plant.conduits,
            time_zone=plant.plant.time_zone,
        )
    if args.internal:
        settings = replace(settings, internal=tuple(sorted({*settings.internal, *args.internal})))
    try:
        _ = settings.places
    except ValueError as error:
        msg = f"{error}; write a range as 141.81.0.0/24"
        raise UsageError(msg) from error
    if settings != store.settings:
        store.declare(settings)
