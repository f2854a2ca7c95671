"""Run a relay in a DMZ: edges dial it, it dials the site, nobody reaches through.

Enrol it at the site with `isthmus enrol code NAME --relay --edge line-1 --edge line-2` and, here,
`isthmus enrol edge CODE`; its plant file needs [plant] and [edge], whose `site` is the true site and
whose `data` is the relay's folder. The site believes it for the sources of those edges; where they are
several, the relay itself must be told whose each source is.

    isthmus relay plant.toml --listen 0.0.0.0:8701 --edge line-1
    isthmus relay plant.toml --listen 0.0.0.0:8701 --edge line-1=saw,press --edge line-2=mill
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")
    parser.add_argument("--listen", required=True, help="address that edges dial, host:port")
    parser.add_argument(
        "--edge",
        action="append",
        required=True,
        metavar="EDGE[=SOURCE,...]",
        help="an edge that may dial, and the sources that it reads; once for each",
    )


def run(args: argparse.Namespace) -> int:
    """Until it is stopped."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above
    from isthmus.run.relay import run_relay  # noqa: PLC0415  loads pyarrow and httpx
    from isthmus.run.stop import run_until_stopped  # noqa: PLC0415  as above

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    plant = load(args.file)
    edge = plant.edge
    keep_private(edge.data)
    edges = {
        name: tuple(filter(None, sources.split(","))) for name, _, sources in (e.partition("=") for e in args.edge)
    }
    print(f"relay of {plant.plant.path}: {args.listen} to {edge.site}, for {', '.join(args.edge)}")
    return run_until_stopped(
        run_relay(
            plant.plant.path,
            Path(edge.data),
            listen=args.listen,
            site=edge.site,
            edges=edges,
            conduit=edge.conduit,
            most_bytes=edge.buffer_mb * 1_000_000,
        )
    )
