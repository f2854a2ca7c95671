"""Carry what waits in an edge's buffer to the site by hand, while the conduit is cut.

On the edge, running or stopped:
    isthmus carry out /media/stick       write what the site does not have
On the site, running or stopped:
    isthmus carry in /media/stick        take it in, each frame once, and write the acknowledgement
On the edge again:
    isthmus carry back /media/stick      let the edge forget what the site has

The last step may be left out: what arrives twice is taken once.

The edge seals what it writes with its certificate, and the site takes nothing that was changed on the
way, or is of another machine. An edge that was never enrolled has no certificate; its files are taken
with --unsealed, on the word of whoever types it.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.plantfile import PlantFile
    from isthmus.run.carry import Carried


def arguments(parser: argparse.ArgumentParser) -> None:
    """Three steps, each with its own help."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    for name, text in (
        ("out", "write what waits in this edge's buffer to files"),
        ("in", "take carried files into this site, and write the acknowledgement beside them"),
        ("back", "bring the site's acknowledgement to this edge"),
    ):
        step = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        step.add_argument("folder", type=Path, help="the folder that is carried, for example a stick")
        step.add_argument("--file", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")
        if name != "out":
            step.add_argument(
                "--unsealed", action="store_true", help="believe the files although no seal vouches for them"
            )


def run(args: argparse.Namespace) -> int:
    """One step."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.carry import carry_back, carry_out, summary  # noqa: PLC0415  loads pyarrow and httpx

    plant = load(args.file)
    buffer = Path(plant.edge.data) / "buffer"
    own = Path(plant.edge.data) / "tls"
    enrolled = own if (own / "own.pem").exists() else None
    if args.step == "out":
        print(f"{summary(carry_out(buffer, args.folder, enrolled))} written to {args.folder}")
        if enrolled is None:
            print("not sealed: this edge is not enrolled, so the site asks for --unsealed")
        print("on the site:  isthmus carry in FOLDER")
    elif args.step == "in":
        carried = asyncio.run(_take_in(args.folder, plant, unsealed=args.unsealed))
        print(f"{summary(carried)} are on the site's disk")
        print("on the edge, if you like:  isthmus carry back FOLDER")
    else:
        count = carry_back(args.folder, buffer, None if args.unsealed else own)
        print(f"{count} runs of numbers acknowledged; a running edge forgets them now")
    return 0


async def _take_in(folder: Path, plant: PlantFile, *, unsealed: bool) -> Carried:
    """Through the site's own door; a site that is stopped is started for as long as it takes."""
    from isthmus.run.carry import Door, Trust, carry_in  # noqa: PLC0415  as above
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above
    from isthmus.run.speakers import speakers_of  # noqa: PLC0415  as above
    from isthmus.site.intake.certificates import Certificates  # noqa: PLC0415  as above

    keep_private()
    certificates = Certificates(Path(plant.site.data) / "tls", plant.plant.path, plant.edge.conduit)
    certificates.prepare([plant.site.listen.rpartition(":")[0].strip("[]")])
    trust = None if unsealed else Trust(folder, certificates, speakers_of(plant, certificates))
    with Door(f"https://{plant.site.listen}", certificates) as door:
        if await asyncio.to_thread(door.reached):
            return await asyncio.to_thread(carry_in, folder, door.take, trust, certificates.folder)
        from isthmus.run.site import open_site  # noqa: PLC0415  loads the whole site

        async with open_site(plant):
            return await asyncio.to_thread(carry_in, folder, door.take, trust, certificates.folder)
