"""The edge process: sources, buffer, gate, uplink and the status page, joined."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from isthmus.edge import reopen, status
from isthmus.edge.buffer import Buffer
from isthmus.edge.config import EdgeSection
from isthmus.edge.gate import Gate
from isthmus.edge.intake import tag_infos
from isthmus.edge.runner import Runner
from isthmus.edge.source import SourceSection
from isthmus.edge.status import EdgeNow
from isthmus.edge.uplink import Uplink
from isthmus.model.errors import UsageError
from isthmus.wire import tls


def read_by(sources: Sequence[SourceSection], folder: Path) -> Sequence[SourceSection]:
    """Those of the plant file that the edge with the certificate in `folder` reads. Raises UsageError."""
    if not any(source.edge for source in sources):
        return sources
    name = tls.own(folder).name
    own = [source for source in sources if source.edge == name]
    if not own:
        edges = ", ".join(sorted({source.edge for source in sources}))
        msg = f'this machine is enrolled as {name}, and no [[source]] has edge = "{name}"; the file has: {edges}'
        raise UsageError(msg)
    return own


async def run_edge(plant: str, edge: EdgeSection, sources: Sequence[SourceSection]) -> None:
    """Run an edge until cancelled. `plant` is the plant's ISA-95 path.

    Raises UsageError when another edge writes the same buffer, the status page's port is taken, or the
    sources name their edges and none is this one.
    """
    sources = read_by(sources, Path(edge.data) / "tls")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request is noise
    data = Path(edge.data)
    most_bytes = edge.buffer_mb * 1_000_000
    buffer = await asyncio.to_thread(
        Buffer,
        data / "buffer",
        plant,
        tag_infos(sources),
        most_bytes=most_bytes,
        most_days=edge.buffer_days,
        adopt=False,
    )
    conduit = f"{plant}#conduit/{edge.conduit}"
    gate = Gate(data, conduit, buffer.tell, reopen.record)
    uplink = Uplink(edge.site, data / "tls", conduit, buffer, gate)
    runner = Runner(sources, edge, plant, buffer)

    def look() -> EdgeNow:
        return EdgeNow(
            plant=plant,
            site=edge.site,
            sources=runner.now,
            link=uplink.now,
            gate=gate.latch,
            waiting_bytes=buffer.waiting,
            buffer_bytes=buffer.size,
            most_bytes=most_bytes,
            dropped_rows=buffer.dropped_rows,
            trouble=buffer.trouble,
        )

    try:
        async with await status.listen(edge.status, look), asyncio.TaskGroup() as group:
            for work in (runner, buffer, gate, uplink):
                group.create_task(work.run(), name=type(work).__name__)
    finally:
        buffer.close()
