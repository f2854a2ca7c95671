"""Run the site: take in what edges send, keep it, and work out what it means.

Stands on the IT side and listens on one port, where only enrolled edges and relays are heard.

    isthmus site plant.toml
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
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above
    from isthmus.run.site import run_site  # noqa: PLC0415  loads DuckDB
    from isthmus.run.stop import run_until_stopped  # noqa: PLC0415  as above

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    file = load(args.file)
    keep_private(file.site.data, file.web.data)
    print(f"site of {file.plant.path}: {len(file.plant.machines)} machines, edges dial {file.site.listen}")
    return run_until_stopped(run_site(file))
