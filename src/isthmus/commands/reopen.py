"""Open the conduit again: a local act of two named people.

    isthmus reopen --by "A. Smith" --by "B. Jones" --reason "office network rebuilt and checked"

What waited in the buffer then follows, with nothing lost. If the site still asks for the cut, the
gate closes again with its first answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--by", action="append", default=[], required=True, help="a person; give it twice")
    parser.add_argument("--reason", required=True, help="why it is safe, for the log")
    parser.add_argument("--file", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")


def run(args: argparse.Namespace) -> int:
    """0 when it is open."""
    from isthmus.edge.reopen import reopen  # noqa: PLC0415  loads msgspec and the records
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above

    plant = load(args.file)
    keep_private()
    first, second = [*args.by, "", ""][:2]
    reopen(Path(plant.edge.data), first, second, args.reason)
    print(f"{plant.edge.conduit} is open; a running edge dials within a second")
    return 0
