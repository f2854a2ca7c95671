"""Let an edge dial the site: the plant's own certificates, by a code that works once.

On the site:
    isthmus enrol site                 make the plant's authority and the site's certificate
    isthmus enrol code line-1          print a code for one edge, good for a day
    isthmus enrol code dmz --relay --edge line-1    the same for a relay, and for whom it speaks
    isthmus enrol list                 who may dial
    isthmus enrol remove line-1        let it dial no more
On the edge:
    isthmus enrol edge CODE            make a key here and have it certified
On one machine for both:
    isthmus enrol here line-1          the same without a code

The key never leaves the machine that it was made on. Certificates are renewed by themselves in good
time; one that ended is an alarm on the page and goes on working for 90 days.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.model.errors import UsageError

if TYPE_CHECKING:
    from isthmus.plantfile import PlantFile
    from isthmus.site.intake.certificates import Certificates


def arguments(parser: argparse.ArgumentParser) -> None:
    """Sub-verbs, each with its own help."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    for name, text in (
        ("site", "make the plant's authority and the site's certificate; run on the site"),
        ("code", "print a one-time code for one edge or relay; run on the site"),
        ("edge", "use a code: make a key on this machine and have it certified by the site"),
        ("here", "enrol an edge that runs on the same machine as the site, without a code"),
        ("list", "who may dial, and since when; run on the site"),
        ("remove", "let an edge dial no more; it is refused from its next request on; run on the site"),
    ):
        step = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name in {"code", "here", "remove"}:
            step.add_argument("name", help="what the edge is called, for example line-1")
        if name == "code":
            step.add_argument("--relay", action="store_true", help="the machine is a relay: it dials and is dialled")
            step.add_argument(
                "--edge", action="append", default=[], help="with --relay: an edge behind it, for which it may speak"
            )
        if name == "edge":
            step.add_argument("code", help="what `isthmus enrol code` printed")
            step.add_argument("--site", help="https://host:port of the site; the plant file's [edge] site by default")
        step.add_argument("--file", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")


def run(args: argparse.Namespace) -> int:
    """One step."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.run.enrol import enrol_edge  # noqa: PLC0415  loads httpx and cryptography
    from isthmus.run.private import keep_private  # noqa: PLC0415  as above
    from isthmus.site.intake.certificates import Certificates  # noqa: PLC0415  as above

    plant = load(args.file)
    keep_private()
    edge_tls = Path(plant.edge.data) / "tls"
    if args.step == "edge":
        enrolled = enrol_edge(edge_tls, args.site or plant.edge.site, args.code)
        print(f"enrolled as {enrolled.name}; key and certificate are in {edge_tls}. Start with `isthmus edge`")
        return 0
    certificates = Certificates(Path(plant.site.data) / "tls", plant.plant.path, plant.edge.conduit)
    certificates.prepare([plant.site.listen.rpartition(":")[0].strip("[]")])
    return _on_the_site(args, plant, certificates, edge_tls)


def _on_the_site(args: argparse.Namespace, plant: PlantFile, certificates: Certificates, edge_tls: Path) -> int:
    if args.step == "site":
        print(f"authority and site certificate are in {certificates.folder}; keep a copy of ca.key under lock")
    elif args.step == "code":
        if args.relay != bool(args.edge):
            msg = "a relay speaks for the edges behind it and for no others: --relay --edge line-1 --edge line-2"
            raise UsageError(msg)
        print(certificates.new_code(args.name, "relay" if args.relay else "edge", args.edge))
        print(f"works once, within a day:  isthmus enrol edge CODE --site {plant.edge.site}")
        _say_whose(args, plant, certificates)
    elif args.step == "here":
        certificates.enrol_here(edge_tls, args.name)
        print(f"{args.name} is enrolled; its key is in {edge_tls}")
        _say_whose(args, plant, certificates)
    elif args.step == "list":
        for name, member in certificates.members().items():
            since = time.strftime("%Y-%m-%d", time.gmtime(member.since_ns // 1_000_000_000))
            behind = f", for {', '.join(member.edges)}" if member.edges else ""
            print(f"{name:24} {member.role:6} certificate of {since}{behind}")
    elif not certificates.remove(args.name):
        print(f"nobody is called {args.name}; `isthmus enrol list` says who is")
        return 1
    else:
        print(f"{args.name} is refused from now on")
    return 0


def _say_whose(args: argparse.Namespace, plant: PlantFile, certificates: Certificates) -> None:
    """Before a second edge makes it unclear who speaks for a source."""
    edges = {name for name, member in certificates.members().items() if member.role == "edge"} | {args.name}
    unsaid = [source.name for source in plant.sources if not source.edge]
    if len(edges) > 1 and unsaid and not getattr(args, "relay", False):
        print(
            f"with more than one edge the site takes {', '.join(unsaid)} from nobody until {args.file} says whose "
            f'they are: write edge = "{args.name}" or another in each [[source]], and start the site again'
        )
