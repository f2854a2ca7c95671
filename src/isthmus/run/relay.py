"""The relay process: the same link on both faces, for a DMZ where nobody may reach through.

Edges dial the relay, the relay dials the site; frames are on its disk before an edge hears so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from isthmus.edge import reopen
from isthmus.edge.gate import Gate
from isthmus.edge.relay import RelayStore
from isthmus.edge.uplink import Uplink
from isthmus.model.errors import UsageError
from isthmus.site.intake.link import LinkServer
from isthmus.wire import tls
from isthmus.wire.link import Enrolled
from isthmus.wire.tls import Peer


class Keeper:
    """Lets in the edges that the relay was started for, by certificates of the plant's authority."""

    def __init__(self, folder: Path, edges: Sequence[str]) -> None:
        self.folder = folder
        self._edges = frozenset(edges)

    def prepare(self, hosts: Sequence[str] = ()) -> None:
        """The certificate came by enrolment. Raises UsageError when it did not."""
        del hosts
        tls.own(self.folder)

    def look_after(self) -> None:
        """The site renews this relay's certificate when the relay dials it."""

    def enrol(self, secret: str, request: str) -> Enrolled:
        """Only the site enrols."""
        del secret, request
        msg = "a relay enrols nobody; enrol at the site itself, then point [edge] site at the relay"
        raise UsageError(msg)

    def refusal(self, peer: Peer | None) -> str:
        """Why this peer may not send frames; "" when it may."""
        if peer is None:
            return "no certificate was shown; enrol this machine with `isthmus enrol edge`"
        if peer.name not in self._edges:
            return f"this relay was not started for {peer.name}; start it with --edge {peer.name}"
        late = datetime.now(UTC) - peer.ends
        if late > timedelta(days=tls.OVERLAP_DAYS):
            return f"the certificate of {peer.name} ended {late.days} days ago; enrol it again at the site"
        return ""

    def renewal(self, peer: Peer) -> str:
        """A relay has no authority's key, and renews nobody."""
        del peer
        return ""


async def run_relay(  # noqa: PLR0913  each is one line of the command
    plant: str,
    data: Path,
    *,
    listen: str,
    site: str,
    edges: Mapping[str, Sequence[str]],
    conduit: str,
    most_bytes: int,
) -> None:
    """Run a relay until cancelled. `edges` gives the sources of each; an only edge needs none.

    Raises UsageError when it is not enrolled, its address is taken, or nobody could say whose a source is.
    """
    for edge, sources in edges.items():
        if not sources and len(edges) > 1:
            msg = f"several edges stand behind this relay, so say whose each source is: --edge {edge}=SOURCE,SOURCE"
            raise UsageError(msg)
    name = tls.own(data / "tls").name
    named = {edge: sources for edge, sources in edges.items() if sources}
    store = await asyncio.to_thread(RelayStore, data / "buffer", plant, name, most_bytes=most_bytes, sources=named)
    path = f"{plant}#conduit/{conduit}"
    gate = Gate(data, path, store.tell, reopen.record)
    uplink = Uplink(site, data / "tls", path, store, gate, overtake=False)
    try:
        async with LinkServer(listen, Keeper(data / "tls", list(edges)), store.take), asyncio.TaskGroup() as group:
            for work in (store, gate, uplink):
                group.create_task(work.run(), name=type(work).__name__)
    finally:
        store.close()
