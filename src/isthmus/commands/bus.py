"""The plant's bus: whether it is fit, and what waits for it.

    isthmus bus check plant.toml       version, sync and copies of the bus, each in a sentence; 1 when it is refused
    isthmus bus status plant.toml      how far this site has published, and what waits on its disk

`check` makes the streams where they are not there. `status` reads the disk alone: it may run beside the site.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.model.errors import BusAway, UsageError
from isthmus.model.time import iso

if TYPE_CHECKING:
    from isthmus.plantfile import PlantFile
    from isthmus.site.publish.bus import BusSection


def arguments(parser: argparse.ArgumentParser) -> None:
    """The task and the plant file."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for name, told in (("check", "whether the bus is fit"), ("status", "how far is published")):
        task = tasks.add_parser(name, help=told)
        task.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")


def run(args: argparse.Namespace) -> int:
    """Do the task; `check` gives 1 where the bus is refused or away."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections

    file = load(args.file)
    if file.bus is None:
        msg = f"{args.file} names no bus; add [bus] with kind = 'nats' and servers"
        raise UsageError(msg)
    if args.task == "status":
        return _status(file)
    return asyncio.run(_check(file.bus))


def _status(file: PlantFile) -> int:
    from isthmus.site.publish.bus import Lane  # noqa: PLC0415  heavy
    from isthmus.site.publish.publisher import read_marks  # noqa: PLC0415  as above

    folder = file.site.data / "bus"
    marks = read_marks(folder)
    print(f"bus: {marks.state}")
    spool = sorted(int(path.stem) for path in (folder / "frames").glob("*.seg"))
    end = spool[-1] + (folder / "frames" / f"{spool[-1]:020d}.seg").stat().st_size if spool else 0
    for lane in Lane:
        mark = marks.lanes.get(lane)
        if mark is None:
            print(f"  {lane:13} nothing published yet")
            continue
        what = f"{mark.at:,} records" if lane is Lane.RECORDS else f"{mark.at:,} bytes of the log"
        behind = f"; {end - mark.at:,} bytes wait" if lane is Lane.FRAMES else ""
        print(f"  {lane:13} {what}, at {iso(mark.time_ns)[:19]}Z{behind}")
    return 0


async def _check(section: BusSection) -> int:
    from isthmus.site.publish.bus import connection  # noqa: PLC0415  heavy

    bus = connection(section)
    try:
        for finding in await bus.open():
            print(finding.what)
    except BusAway as error:
        print(error)
        print("the bus is refused or away: nothing is published to it, and the site goes on")
        return 1
    finally:
        await bus.close()
    print("the bus is fit")
    return 0
