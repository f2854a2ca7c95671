"""`[site]`: the process on the IT side, and `[historian]`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from isthmus.model.plant import Section
from isthmus.site.secret import Secret


class SiteSection(Section, frozen=True, kw_only=True):
    """`[site]`: where it listens for edges, where it keeps its data, how long it waits for late samples."""

    listen: Annotated[str, Meta(description="address that edges and relays dial")] = "127.0.0.1:8700"
    data: Annotated[Path, Meta(description="folder of the log, the history and the certificates")] = Path("var/site")
    database: Annotated[
        str,
        Meta(
            pattern=r"^(postgresql://[^\s]+)?$",
            description="postgresql://user@host/name, for records and people; without it both are SQLite files",
        ),
    ] = ""
    database_password: Secret | None = None
    lateness_s: Annotated[
        float, Meta(gt=0, description="how long a machine's figures wait for its slowest source, s")
    ] = 5.0


class HistorianSection(Section, frozen=True, kw_only=True):
    """`[historian]`: how long what is kept, and where a group reads it."""

    keep_days: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="days of samples kept; none keeps all. Nothing goes while the days kept are nearly empty, as after a leap of the clock"
        ),
    ] = None
    seal_rows: Annotated[int, Meta(ge=1000, description="rows in memory at which they are sealed to disk")] = 1_000_000
    earliest: Annotated[
        date, Meta(description="samples from before this day are set aside: the clock of a device that was never set")
    ] = date(2000, 1, 1)
    future_s: Annotated[float, Meta(gt=0, description="samples further in the future than this are set aside, s")] = (
        300.0
    )
    ship_to: Annotated[
        str,
        Meta(description="folder or URL where a group reads this site's history, as /mnt/group; none ships nothing"),
    ] = ""
    ship_every_s: Annotated[
        float, Meta(ge=1, description="how old the newest samples at the group may be, s; only with ship_to")
    ] = 10.0
    ship_waveforms: Annotated[
        bool,
        Meta(description="bursts of fast signals are shipped too; false where the way to the group is too narrow"),
    ] = True
    ship_records: Annotated[
        bool,
        Meta(
            description="the log of records is shipped too: orders, stops and their reasons, lots. It names people and holds what they wrote, for everyone who may read ship_to; so it goes only where this says true"
        ),
    ] = False
