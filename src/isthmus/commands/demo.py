"""Show a living plant: simulated machines behind real protocol servers, an edge, a site and a real ERP.

Everything runs on this machine, on loopback. The first start installs Tryton into a cache folder.

    isthmus demo                                  in the browser, until Ctrl-C
    isthmus demo --no-erp                         the same, without the ERP
    isthmus demo --headless --for 150 --seed 7    ends by itself; the last line is JSON, truth beside measured
    isthmus demo --headless --for 150 --faults    the same, while things break
    isthmus demo --speed 10                       a long story in a short time: machines ten times as fast
    isthmus demo --fault mute:paint@30+20         one fault to order: drop, mute, freeze, restart, lie, drift, clock, break
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.run.show.stage import Settings
    from isthmus.run.show.story import Happening

_SHORTEST_S = 60.0
_FAULTS_S = 150.0
_FASTEST = 20.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--headless", action="store_true", help="open no browser")
    parser.add_argument(
        "--for", dest="seconds", type=float, metavar="S", help="end after so many seconds of production"
    )
    parser.add_argument("--seed", type=int, default=7, help="another number, another day at the plant (7)")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="machines that do everything N times faster, 1 to 20 (1)"
    )
    parser.add_argument("--faults", action="store_true", help="cut, kill and freeze by a fixed script; needs --for 150")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND:MACHINE@S+S",
        help="a fault from a second on, for so long: mute:paint@30+20, lie:mill-04:temperature=95@30+20, "
        "drift:cnc-01:vibration=40@30+60, clock:cnc-02:600@30+20, drop, freeze, restart, break; may be given again",
    )
    parser.add_argument("--no-erp", action="store_true", help="leave the ERP out")
    parser.add_argument("--port", type=int, default=8600, help="of the pages (8600; 0 takes a free one)")
    parser.add_argument(
        "--history", type=float, metavar="DAYS", help="days of past production to begin with (7; 0 with --for)"
    )
    parser.add_argument("--folder", type=Path, help="keep everything in this folder; a temporary one by default")


def run(args: argparse.Namespace) -> int:
    """0 when it ended or was stopped."""
    from isthmus.run.private import keep_private  # noqa: PLC0415  as below
    from isthmus.run.show.disturb import ordered  # noqa: PLC0415  as above
    from isthmus.run.show.stage import Settings  # noqa: PLC0415  loads every room
    from isthmus.run.stop import run_until_stopped  # noqa: PLC0415  as above

    if args.faults and (args.seconds or 0) < _FAULTS_S:
        msg = f"--faults is a script of 110 s and time to recover; add --for {_FAULTS_S:.0f} or more"
        raise UsageError(msg)
    if args.seconds is not None and args.seconds < _SHORTEST_S:
        msg = f"--for {args.seconds:.0f} is too short for an order to run and settle; give {_SHORTEST_S:.0f} or more"
        raise UsageError(msg)
    if not 1 <= args.speed <= _FASTEST:
        msg = f"--speed {args.speed:g} must be from 1 to {_FASTEST:g}: beyond it a stop is shorter than a poll"
        raise UsageError(msg)
    extra = [ordered(text) for text in args.fault]
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    folder = args.folder or Path(tempfile.mkdtemp(prefix="isthmus-demo-"))
    keep_private(folder)
    settings = Settings(
        folder=folder.resolve(),
        seed=args.seed,
        seconds=args.seconds,
        erp=not args.no_erp,
        web_port=args.port,
        speed=args.speed,
    )
    try:
        days = args.history if args.history is not None else 0.0 if args.seconds else 7.0
        run_until_stopped(_show(settings, extra, headless=args.headless, faults=args.faults, days=days))
    finally:
        if args.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


async def _show(settings: Settings, extra: Sequence[Happening], *, headless: bool, faults: bool, days: float) -> None:
    from isthmus.run.show import panel as buttons  # noqa: PLC0415  as above
    from isthmus.run.show import past as days_before  # noqa: PLC0415  as above
    from isthmus.run.show import stage as demo  # noqa: PLC0415  as above
    from isthmus.run.show import story as demo_story  # noqa: PLC0415  as above
    from isthmus.run.show.summary import summary  # noqa: PLC0415  as above

    began = time.monotonic()

    def tell(words: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {words}", file=sys.stderr, flush=True)

    async with demo.stage(settings, tell) as stage:
        tell(f"pages at {stage.pages}; the edge's own page at http://{stage.file.edge.status}/")
        if not headless:
            link = demo.first_link(stage)
            tell(f"log in once by {link}")
            await asyncio.to_thread(webbrowser.open, link)
        panel = buttons.Panel(stage, tell)
        tell(f"make something happen: {await panel.open()}")
        demo.put_to_work(stage)
        past = asyncio.ensure_future(asyncio.to_thread(days_before.send, stage, days, settings.seed, tell))
        happenings = demo_story.story(settings.seconds) + (demo_story.faults() if faults else [])
        happenings += extra
        await demo_story.play(stage, happenings, tell)
        await past
        if settings.seconds is None:
            tell("the plant goes on until Ctrl-C")
            await asyncio.Event().wait()
        else:
            panel.close()
            end_ns = stage.start_ns + int(settings.seconds * 1e9)
            await asyncio.sleep(max((end_ns - time.time_ns()) / 1e9, 0))
            await stage.edge.stop()
            await stage.site.stop()
            print(json.dumps(await asyncio.to_thread(summary, stage, end_ns)), flush=True)
