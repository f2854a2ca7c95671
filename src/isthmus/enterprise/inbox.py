"""Reads the ERP and logs what is new: orders, material that is due in, stock.

The ERP's word holds for what is ordered: a due date or quantity that a planner edits there replaces
what was known. What really happened is ours and never read back. A fact is logged when it differs
from what was last logged of it, so reading too much is harmless. Most kinds are read by what changed;
now and then everything is read, and what is missing then was deleted there.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from isthmus.enterprise.erp import Erp, PullKind
from isthmus.enterprise.link import Clock, OfSite
from isthmus.model.equipment import beside
from isthmus.model.records import Record
from isthmus.model.records.business import ErpRead, JobOrdered, MaterialExpected, MaterialStocked, Step

_KINDS: Final[dict[PullKind, type[Record]]] = {
    "orders": JobOrdered,
    "inbound": MaterialExpected,
    "stock": MaterialStocked,
}
_OVER: Final = ("finished", "cancelled")


class Inbox:
    """What is known of the ERP, and how far it has been read. Begins from the log."""

    def __init__(self, site: OfSite, erp: Erp, clock: Clock) -> None:
        self._site = site
        self._erp = erp
        self._clock = clock
        self._machines = {m.erp_work_centre: path for path, m in site.plant.machines.items() if m.erp_work_centre}
        self._known: dict[PullKind, dict[str, Record]] = {kind: self._logged(cls) for kind, cls in _KINDS.items()}
        self._cursors = {kind: self._cursor(kind) for kind in _KINDS}

    def poll(self, *, whole: bool = True) -> int:
        """Read what changed; how many facts are new. Raises ErpAway with nothing half logged.

        Kinds that the ERP can only give whole are left out unless `whole`.
        """
        can = self._erp.capabilities()
        return sum(self._pull(kind, self._cursors[kind]) for kind in can.pulls if whole or kind not in can.whole)

    def scan(self) -> int:
        """Read everything, so that what was deleted is noticed. Raises ErpAway."""
        can = self._erp.capabilities().pulls
        # First what changed, so that an order that was finished meanwhile is not taken for deleted.
        changed = sum(self._pull(kind, self._cursors[kind]) for kind in can if self._cursors[kind])
        return changed + sum(self._pull(kind, "") for kind in can)

    def _pull(self, kind: PullKind, cursor: str) -> int:
        pulled = self._erp.pull(kind, cursor)
        known, now = self._known[kind], self._clock()
        fresh = {record.path: self._ours(record) for record in pulled.records}
        new = [record for path, record in fresh.items() if _tells(record, known.get(path))]
        if not cursor:
            new += [closed for path, record in known.items() if path not in fresh and (closed := _closed(record))]
        new = [msgspec.structs.replace(record, time_ns=_after(known.get(record.path), now)) for record in new]
        read: list[Record] = []
        if pulled.cursor != self._cursors[kind]:
            read = [ErpRead(path=self._read_path(kind), time_ns=now, cursor=pulled.cursor)]
        if new or read:
            self._site.append([*new, *read])
        known.update((record.path, record) for record in new)
        self._cursors[kind] = pulled.cursor
        return len(new)

    def _ours(self, record: Record) -> Record:
        """The record with our machines beside the ERP's work centres."""
        if not isinstance(record, JobOrdered):
            return record
        return msgspec.structs.replace(record, steps=tuple(self._placed(step) for step in record.steps))

    def _placed(self, step: Step) -> Step:
        return msgspec.structs.replace(step, machine=self._machines.get(step.work_centre, ""))

    def _logged(self, kind: type[Record]) -> dict[str, Record]:
        rows = self._site.views.query(
            "SELECT path, body FROM (SELECT path, body, row_number() OVER (PARTITION BY path ORDER BY time_ns DESC, "
            "ordinal DESC) AS place FROM facts WHERE kind = ? AND gone = 0) AS newest WHERE place = 1",
            (kind.__name__,),
        )
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
        return {row["path"]: decoder.decode(row["body"]) for row in rows}

    def _cursor(self, kind: PullKind) -> str:
        rows = self._site.views.query(
            "SELECT body FROM facts WHERE kind = 'ErpRead' AND path = ? ORDER BY time_ns DESC LIMIT 1",
            (self._read_path(kind),),
        )
        return msgspec.json.decode(rows[0]["body"], type=ErpRead).cursor if rows else ""

    def _read_path(self, kind: PullKind) -> str:
        return beside(self._site.plant.path, "erp", f"read/{kind}")


def _after(known: Record | None, now: int) -> int:
    """Now, but behind what was known, should the clock have been set back: the latest fact stands."""
    return now if known is None else max(now, known.time_ns + 1)


def _tells(fresh: Record, known: Record | None) -> bool:
    if known is None:
        # An order that was over before we heard of it is none of ours.
        return not (isinstance(fresh, JobOrdered) and fresh.state in _OVER)
    return msgspec.structs.replace(fresh, time_ns=known.time_ns) != known


def _closed(record: Record) -> Record | None:
    """What is missing from everything that is open; None when it was over already."""
    if isinstance(record, JobOrdered):
        return None if record.state in _OVER else msgspec.structs.replace(record, state="cancelled")
    if isinstance(record, MaterialExpected | MaterialStocked):
        return None if record.quantity == "0" else msgspec.structs.replace(record, quantity="0")
    return None
