"""Cut the conduits of an isolation level, from the OT side, at once.

One person may cut; the gate stays closed over restarts until two people open it here. Devices are
read on, local pages work on, and what is read waits in the buffer.

    isthmus isolate --level 2 --reason "ransomware in the office network"
"""

from __future__ import annotations

import argparse
import getpass
import time
from pathlib import Path

_WAIT_S = 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--level", type=int, choices=(1, 2, 3), required=True, help="1 suppliers, 2 enterprise, 3 all")
    parser.add_argument("--reason", required=True, help="why, for the log")
    parser.add_argument("--by", default=getpass.getuser(), help="who cuts (the user of this machine)")
    parser.add_argument("--file", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")


def run(args: argparse.Namespace) -> int:
    """0 when the conduit is closed and a running edge has proved it, or none runs; 1 otherwise."""
    from isthmus.edge import gate  # noqa: PLC0415  loads msgspec and the records
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above

    plant = load(args.file)
    conduit = next((one for one in plant.conduits if one.name == plant.edge.conduit), None)
    if conduit is not None and args.level < conduit.isolation_level:
        print(f"{conduit.name} stays open: it is cut from level {conduit.isolation_level} on")
        return 0
    folder = Path(plant.edge.data)
    keep_private()
    gate.close(folder, level=args.level, by=args.by, reason=args.reason)
    print(f"{plant.edge.conduit} is closed at level {args.level}")
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        latch = gate.read(folder)
        if latch.told:
            print(f"proved: {latch.verified}")
            if conduit is not None and conduit.lost_when_cut:
                print(f"without it: {conduit.lost_when_cut}")
            return 1 if latch.verified.startswith("NOT CUT") else 0
        time.sleep(0.1)
    print("no edge runs here that could prove it; the gate is closed when one starts")
    return 0
