"""`[edge]`: the process on the OT side. Sources have their own classes in `sources/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from isthmus.model.plant import Section


class EdgeSection(Section, frozen=True, kw_only=True):
    """`[edge]`: where the edge keeps its buffer, whom it dials, how much it may hold."""

    site: Annotated[str, Meta(description="https://host:port of the site or relay it dials")] = "https://127.0.0.1:8700"
    conduit: Annotated[str, Meta(description="name of the [[conduit]] it dials through")] = "uplink"
    data: Annotated[Path, Meta(description="folder of its buffer and certificates")] = Path("var/edge")
    buffer_mb: Annotated[int, Meta(ge=16, description="largest size of the buffer on disk, MB")] = 4096
    buffer_days: Annotated[float, Meta(gt=0, description="oldest sample kept while the link is cut, days")] = 30
    status: Annotated[str, Meta(description="loopback address of the local status page")] = "127.0.0.1:8710"
    retry_s: Annotated[float, Meta(gt=0, description="first wait after a device went away, s")] = 0.5
    retry_most_s: Annotated[float, Meta(gt=0, description="longest wait between two tries, s")] = 2.0
