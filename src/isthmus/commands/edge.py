"""Run the edge: read the plant's devices, keep what was read, carry it to the site.

Stands on the OT side. It dials out and listens on nothing but loopback, where its status page is.
Enrol it first, see `isthmus enrol --help`; it also works before that, and keeps what it reads.

    isthmus edge plant.toml
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")


def run(args: argparse.Namespace) -> int:
    """Until it is stopped."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.edge import run_edge  # noqa: PLC0415  loads pyarrow and httpx
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above
    from isthmus.run.stop import run_until_stopped  # noqa: PLC0415  as above

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    plant = load(args.file)
    keep_private(plant.edge.data)
    print(f"edge of {plant.plant.path}: {len(plant.sources)} sources, status page at http://{plant.edge.status}/")
    return run_until_stopped(run_edge(plant.plant.path, plant.edge, plant.sources))
