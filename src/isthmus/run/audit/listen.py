"""Listen on a mirror port and keep the record up to date meanwhile; nothing is ever sent.

    isthmus audit listen --interface eth1                     until Ctrl-C
    isthmus audit listen --interface eth1 --for 24h --plant plant.toml
    isthmus audit listen --interface eth1 --keep captures/    keep the packets as well, for Wireshark

Linux alone. It needs the right to see raw packets (CAP_NET_RAW), and says how to give it. What was
heard stands in the audit's folder within a minute or so; other verbs may be used meanwhile, and what
they hold up is merged later. Packets for which the kernel found no room are counted and told.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

from isthmus.run.auditing import plant as audit_plant
from isthmus.run.auditing.words import folder, person

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen, for how long, and what to keep."""
    parser.add_argument("--interface", required=True, metavar="NAME", help="the interface at the mirror port")
    parser.add_argument(
        "--for", dest="seconds", type=_seconds, metavar="TIME", help="stop after so long: 90s, 30m, 24h, 7d"
    )
    folder(parser)
    person(parser)
    audit_plant.arguments(parser)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the packets too, as capture files")
    parser.add_argument(
        "--keep-gb", type=float, default=20.0, metavar="GB", help="the oldest go beyond so much (default: %(default)s)"
    )
    parser.add_argument(
        "--ring",
        type=int,
        default=64,
        metavar="MB",
        help="memory in which the kernel hands packets over (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Listen until the time is over or somebody stops it."""
    from isthmus.run.auditing.listen import listen  # noqa: PLC0415  heavy

    return listen(args)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", text)
    if not found:
        msg = f"{text!r} is no length of time; write 90s, 30m, 24h or 7d"
        raise argparse.ArgumentTypeError(msg)
    return float(found[1]) * _UNITS[found[2]]
