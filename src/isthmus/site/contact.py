"""When the edge behind each source was last heard. A cut edge says nothing, and silence must not look like calm.

An edge with nothing to send asks every few seconds whether the site is there, so that one not heard for
longer is away, or cut off. What it reads meanwhile it keeps; what its machines do meanwhile is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from isthmus.model.time import NS_PER_S

SILENT_NS: Final = 12 * NS_PER_S
"""An edge not heard for longer than this is silent: more than twice the time between two of its questions."""


class Contact:
    """Kept by ingest, read by the fold runner and the pages; any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun_ns: int | None = None
        self._heard_ns: dict[str, int] = {}
        self._edge_of: dict[str, str] = {}
        self._conduits_of: dict[str, set[str]] = {}

    def begin(self, now_ns: int) -> None:
        """The site listens from now on: an edge that is not heard from now on is missed."""
        with self._lock:
            self._begun_ns = now_ns

    def heard(self, edge: str, sources: Iterable[str], now_ns: int) -> None:
        """An edge spoke, and these sources stand behind it."""
        with self._lock:
            self._heard_ns[edge] = now_ns
            self._edge_of.update(dict.fromkeys(sources, edge))

    def dials(self, edge: str, conduit: str) -> None:
        """An edge said that it comes by the conduit of this path; a relay says so for those behind it, too."""
        with self._lock:
            self._conduits_of.setdefault(edge, set()).add(conduit)

    def silent(self, conduit: str, now_ns: int) -> dict[str, int]:
        """The edges of a conduit that are silent, and since when; "" stands for any, where none came since the start.

        An edge that has not said by which conduit it comes may come by any.
        """
        with self._lock:
            if not self._heard_ns:
                missed = self._begun_ns is not None and now_ns - self._begun_ns > SILENT_NS
                return {"": self._begun_ns} if self._begun_ns is not None and missed else {}
            return {
                edge: heard_ns
                for edge, heard_ns in self._heard_ns.items()
                if now_ns - heard_ns > SILENT_NS and conduit in self._conduits_of.get(edge, {conduit})
            }

    def edge_of(self, source: str) -> str:
        """The edge that a source stands behind; "" for one that was not heard since the site began to listen."""
        with self._lock:
            return self._edge_of.get(source, "")

    def conduits_of(self, edge: str) -> list[str]:
        """Paths of the conduits by which an edge said that it comes."""
        with self._lock:
            return sorted(self._conduits_of.get(edge, ()))

    def silent_since(self, source: str, now_ns: int) -> int | None:
        """Since when the edge behind a source is silent; None while it is heard, or nobody listens here.

        A source that has not come since the start may stand behind any edge: the one heard last speaks for it.
        """
        with self._lock:
            edge = self._edge_of.get(source)
            heard = self._heard_ns.get(edge) if edge else max(self._heard_ns.values(), default=None)
            last = self._begun_ns if heard is None else heard
        return last if last is not None and now_ns - last > SILENT_NS else None
