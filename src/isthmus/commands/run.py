"""Run a small plant on one machine: the edge and the site as two processes, kept running.

The first start enrols the edge and prints, once, the link by which the first administrator is made.
SIGTERM or Ctrl-C ends the edge and then the site, each in order. A process that ends by itself is
started again and told with its last words. For a plant whose edge stands on the OT side, run
`isthmus edge` there and `isthmus site` here instead.

    isthmus run                 with plant.toml of this folder
    isthmus run leeds.toml
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")


def run(args: argparse.Namespace) -> int:
    """0 when it was stopped."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.both import run_both  # noqa: PLC0415  loads cryptography
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above
    from isthmus.run.stop import run_until_stopped  # noqa: PLC0415  as above

    def tell(line: str) -> None:
        print(line, flush=True)

    file = load(args.file)
    keep_private(file.edge.data, file.site.data, file.web.data)
    return run_until_stopped(run_both(args.file, file, tell))
