"""Everything on the site, in one hand: what pages, doors and commands are given.

A door's or a person's fact goes in by `append`; it is on disk and seen in the views when that returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa

from isthmus.model.errors import DatabaseAway, StoreDamaged
from isthmus.model.fold import Fold
from isthmus.model.plant import Plant
from isthmus.model.query import Last
from isthmus.model.records import Record
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.site import namespace as live
from isthmus.site import views as folder_of_views
from isthmus.site.contact import Contact
from isthmus.site.historian import Historian
from isthmus.site.namespace import Namespace
from isthmus.site.records.far_views import FarViews
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.records.records_log import Origin, RecordsLog
from isthmus.site.records.view import View
from isthmus.site.records.views_db import Views
from isthmus.site.tags import Tags
from isthmus.site.views import facts

_COLUMN: Final = {ValueKind.F64: "f64", ValueKind.STR: "str"}
_FOR_EVER_NS: Final = 1 << 62


class Site:
    """The plant's memory and its doors. Made once; `close` when done.

    `folder` is the site's data folder. `views` defaults to every view in `site/views/`. While a `database`
    is away, appending goes on, and questions to `views` raise DatabaseAway.
    """

    def __init__(  # noqa: PLR0913  one site is one place where the stores meet
        self,
        plant: Plant,
        folder: Path,
        historian: Historian,
        tags: Tags,
        *,
        folds: Mapping[str, Sequence[Fold]] | None = None,
        views: Sequence[View] | None = None,
        database: PostgresDatabase | None = None,
    ) -> None:
        self.plant = plant
        self.folder = folder
        self.historian = historian
        self.tags = tags
        self.folds = dict(folds or {})
        """By work unit, the folds of all wings."""
        self.stopped: dict[str, str] = {}
        """By work unit whose folds failed, the sentence that says why its figures stand still."""
        self.redoing: dict[str, int] = {}
        """By work unit whose figures lack samples that came late, from when on they will be made anew, ns."""
        self.namespace = Namespace()
        self.contact = Contact()
        self.log = RecordsLog(folder / "log")
        self.database = database
        """Where records and people stand; None where both are files here."""
        wanted = folder_of_views.found() if views is None else views
        self.views: Views | FarViews = (
            Views(folder / "views.sqlite", wanted) if database is None else FarViews(database, wanted, self.log)
        )
        self._listeners: list[Callable[[Sequence[Record]], None]] = []
        self._catching_up = threading.Lock()
        self.correcting = threading.Lock()
        """Held while a sample is put right: history first, then the log."""
        self.views.catch_up(self.log)

    def append(self, records: Sequence[Record], origin: Origin | None = None) -> int:
        """Log facts; on disk and in the views when this returns. The log's position behind them.

        Raises OSError (disk full) with nothing appended. Any thread may call it.
        """
        before = self.log.position
        position = self.log.append(records, origin)
        self.catch_up()
        if position > before:
            self.namespace.put_facts(records)
            for listener in self._listeners:
                listener(records)
        return position

    def recall(self) -> None:
        """Fill the namespace with what was so when the site was last stopped."""
        if isinstance(self.views, FarViews):
            self.views.back = self._recall_facts
        self._recall_facts()
        self.show_newest(list(self.tags.all()))

    def show_newest(self, tags: Sequence[int]) -> None:
        """Put the newest sample that history has of each tag in the namespace, unless a newer one stands there."""
        known = self.tags.all()
        with suppress(StoreDamaged):  # what is damaged is told by history; the next live sample shows itself
            self._show(known, self.historian.query(Last(), [tag for tag in tags if tag in known], 0, _FOR_EVER_NS))

    def _show(self, known: Mapping[int, TagInfo], table: pa.Table) -> None:
        for row in table.to_pylist():
            info = known[row["tag"]]
            value = row[_COLUMN.get(info.kind, "i64")]
            if info.kind is ValueKind.BOOL and value is not None:
                value = bool(value)
            self.namespace.put_samples({info.name: live.Last(row["time_ns"], row["status"], value)})

    def _recall_facts(self) -> None:
        with suppress(DatabaseAway):  # they are recalled when it is back
            self.namespace.put_facts(facts.newest(self.views, list(self.plant.machines)))

    def on_records(self, listener: Callable[[Sequence[Record]], None]) -> None:
        """Call `listener` with records after they are logged and in the views; it must return at once."""
        self._listeners.append(listener)

    def catch_up(self) -> None:
        """Bring the views to the end of the log."""
        with self._catching_up:
            self.views.catch_up(self.log)

    def close(self) -> None:
        """Close the log and the views; the historian is closed by who opened it."""
        self.log.close()
        self.views.close()
