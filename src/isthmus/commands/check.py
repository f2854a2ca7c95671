"""Check a plant file, say what it would read, and prove the connections.

Reports every mistake at once, each with its line and how to mend it. With --connect it runs each
source up to its first good sample, exactly as the edge would, and writes nothing anywhere.

    isthmus check plant.toml              what is wrong, or what would be read
    isthmus check plant.toml --connect    the same, and each device answers
    isthmus check --schema                JSON Schema of the plant file, for editors
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.plantfile import PlantFile


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")
    parser.add_argument("--connect", action="store_true", help="run each source to its first good sample")
    parser.add_argument("--deadline", type=float, default=10.0, metavar="S", help="longest wait for a source (10 s)")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema and stop")


def run(args: argparse.Namespace) -> int:
    """0 in order; 1 when the file or a connection is wrong."""
    from isthmus.plantfile import read  # noqa: PLC0415  loads every room's sections
    from isthmus.plantfile.schema import schema  # noqa: PLC0415  as above

    if args.schema:
        print(json.dumps(schema(), indent=2))
        return 0
    plant_file, mistakes = read(args.file)
    if plant_file is None:
        for mistake in mistakes:
            print(mistake, file=sys.stderr)
        print(f"{len(mistakes)} to mend in {args.file}", file=sys.stderr)
        return 1
    _say_what_it_reads(plant_file)
    return asyncio.run(_connect(plant_file, args.deadline)) if args.connect else 0


def _say_what_it_reads(plant_file: PlantFile) -> None:
    from isthmus.plantfile import tags_of  # noqa: PLC0415  as above

    plant = plant_file.plant
    print(f"{plant_file.file} is in order: {plant.name}, {plant.path}, clocks of {plant.time_zone}")
    told = {"machine": plant.machines, "product": plant.products, "stop reason": plant.reasons}
    print("  " + ", ".join(f"{len(each)} {name}{'s' * (len(each) != 1)}" for name, each in told.items()))
    for source in plant_file.sources:
        kind = source.__struct_config__.tag
        print(f"  {source.name}: {kind} in zone {source.zone}, {len(tags_of(source))} tags")
    for conduit in plant_file.conduits:
        print(f"  conduit {conduit.name}: {conduit.initiator} dials {conduit.responder}")


async def _connect(plant_file: PlantFile, deadline_s: float) -> int:
    from isthmus.edge.probe import probe  # noqa: PLC0415  as above

    findings = await asyncio.gather(*(probe(source, deadline_s) for source in plant_file.sources))
    for source, finding in zip(plant_file.sources, findings, strict=True):
        print(f"  {source.name}: {finding.sentence}")
        for fault in finding.faults:
            print(f"    {fault.tag}: {fault.why}")
    wrong = sum(not finding.well for finding in findings)
    print(f"{len(findings) - wrong} of {len(findings)} sources answer with every tag")
    return 1 if wrong else 0
