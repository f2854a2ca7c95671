"""Joins the plant's bus, where there is one, to a site: what publishes to it and what reads from it."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Protocol

from isthmus.plantfile import PlantFile
from isthmus.site.intake.bus_reader import BusReader
from isthmus.site.intake.ingest import Ingest
from isthmus.site.publish.publisher import Publisher
from isthmus.site.publish.spool import Spool
from isthmus.site.site import Site


class Runs(Protocol):
    """Something that runs in a thread of its own until it is stopped."""

    def run(self, stop: Event) -> None:
        """Run."""
        ...


def spool_of(file: PlantFile, folder: Path) -> Spool | None:
    """Where frames wait for the bus; None where nothing is published."""
    if file.bus is None or not file.bus.publish:
        return None
    return Spool(folder / "bus" / "frames", file.bus.keep_mb * 1_000_000)


def runs_of(file: PlantFile, site: Site, ingest: Ingest, spool: Spool | None) -> list[Runs]:
    """What is to run beside the site. Nothing where the plant has no bus."""
    out: list[Runs] = []
    if file.bus is not None and spool is not None:
        out.append(Publisher(site, file.bus, spool, ingest.dictionaries))
    if file.bus is not None and file.bus.read:
        out.append(BusReader(ingest, file.bus))
    return out
