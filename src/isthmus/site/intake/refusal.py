"""Whether the site refuses its link: what people said of it stands in the log, so it holds over a restart."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.model.errors import DatabaseAway
from isthmus.model.records import Record
from isthmus.model.records.people import SiteCut
from isthmus.site.site import Site


class Refusal:
    """Asked by the link for each run of frames. True from the first "cut" until it was "lifted"."""

    def __init__(self, site: Site, conduit: str) -> None:
        """`conduit` is its whole path."""
        self._site, self._conduit = site, conduit
        self._closed = self._read()
        site.on_records(self._heard)

    def __call__(self, edge: str) -> bool:
        """Whether this edge is to be cut off: all are, or none."""
        del edge
        return self._closed

    def _heard(self, records: Sequence[Record]) -> None:
        if any(isinstance(record, SiteCut) for record in records):
            self._closed = self._read()

    def _read(self) -> bool:
        """From the log itself while the database is away: a cut holds whatever else does not."""
        try:
            return self._ask()
        except DatabaseAway:
            said = [one for _, one in self._site.log.read(0) if isinstance(one, SiteCut) and one.path == self._conduit]
            newest = max(said, key=lambda one: (one.time_ns, one.ordinal), default=None)
            return newest is not None and newest.step != "lifted"

    def _ask(self) -> bool:
        rows = self._site.views.query("SELECT step FROM connections_site_cut WHERE path = ?", (self._conduit,))
        return bool(rows) and rows[0]["step"] != "lifted"
