"""A small plant on one machine: edge and site as two processes that are kept running, enrolled by themselves.

Two processes and not one, as on two machines: the edge reads on while the site is started anew.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from isthmus.model.errors import UsageError
from isthmus.plantfile import PlantFile
from isthmus.run.child import Child
from isthmus.site.intake.certificates import Certificates

Tell = Callable[[str], None]

_SHORT_S = 60.0
"""A process that lived shorter than this has failed again."""


async def run_both(path: Path, file: PlantFile, tell: Tell) -> None:
    """Keep the site and the edge of one plant file running until cancelled; then the edge ends first.

    What they say is passed to `tell`, each line behind the process's name. Raises UsageError when the
    edge dials somewhere else than where the site listens.
    """
    _demand_joined(file)
    if await asyncio.to_thread(_enrol_on_first_start, file):
        tell("run: the edge is enrolled at the site; its key is in " + str(file.edge.data / "tls"))
    tell(f"run: pages at http://{file.web.listen}, the edge's own page at http://{file.edge.status}/")
    children = [_child(verb, path, tell) for verb in ("site", "edge")]
    try:
        for child in children:
            await child.start()
        await asyncio.Event().wait()
    finally:
        # The edge first: what it has read last still finds the site there.
        for child in reversed(children):
            await child.stop()
            tell(f"run: the {child.name} has ended")


def _child(verb: str, path: Path, tell: Tell) -> Child:
    at_once = 0

    def ended(code: int, lived_s: float, wait_s: float) -> None:
        nonlocal at_once
        at_once = at_once + 1 if lived_s < _SHORT_S else 1
        often = f", {at_once} times in a row" if at_once > 1 else ""
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        last = "".join(f"\n    {line}" for line in child.last_words().splitlines()) or " nothing"
        tell(
            f"run: the {verb} {how} after {lived_s:.0f} s{often}; it is started again in {wait_s:.0f} s. Its last words:{last}"
        )

    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    child = Child(
        verb, [verb, str(path)], Path(os.devnull), environment, hear=lambda line: tell(f"{verb}: {line}"), ended=ended
    )
    return child


def _demand_joined(file: PlantFile) -> None:
    dialled, listens = urlsplit(file.edge.site).port or 443, int(file.site.listen.rpartition(":")[2])
    if dialled != listens:
        msg = (
            f"[edge] site = {file.edge.site!r} is not where [site] listen = {file.site.listen!r} listens. "
            "`isthmus run` joins both on this machine; for two machines start `isthmus edge` and `isthmus site`"
        )
        raise UsageError(msg)


def _enrol_on_first_start(file: PlantFile) -> bool:
    """Enrol the edge where it has no certificate yet; True when it was. One that was removed stays removed."""
    certificates = Certificates(file.site.data / "tls", file.plant.path, file.edge.conduit)
    certificates.prepare([file.site.listen.rpartition(":")[0].strip("[]")])
    tls = file.edge.data / "tls"
    if (tls / "own.pem").exists():
        return False
    named = sorted({source.edge for source in file.sources} - {""})
    if len(named) > 1:
        msg = (
            f"the plant file has sources of several edges ({', '.join(named)}), and `isthmus run` is one; "
            "start `isthmus site` here and `isthmus edge` on each machine"
        )
        raise UsageError(msg)
    certificates.enrol_here(tls, named[0] if named else socket.gethostname() or "edge")
    return True
