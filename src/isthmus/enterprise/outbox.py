"""Tells the ERP what is settled, each thing once.

Every report is a record (`ErpItem`) before it is sent, and its state is logged before and after each
try; so the log is the outbox, and a process that was killed at any moment goes on from it:

    pending   nothing was sent
    sending   a try began; how it ended is not known yet
    unknown   a try ended in silence          } looked for in the ERP before anything is sent again
    confirmed the ERP has it
    parked    the ERP said no, or cannot take it; a person sends it again or drops it
    rejected  a person dropped it

The reports of one order go strictly one after the other, and its finish last; orders do not wait for
one another. A reduction of time that the ERP cannot take is parked beside the line and holds up nobody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from isthmus.enterprise.config import ErpSection
from isthmus.enterprise.erp import AnyCommand, Erp, Receipt, ReportLot, ReportTime, TakeBackStart
from isthmus.enterprise.link import Clock, OfSite
from isthmus.enterprise.reports import Changes, Part, Told, changes, lot_missing, waits_for
from isthmus.model.equipment import beside
from isthmus.model.errors import ErpAway, ErpRefuses
from isthmus.model.records.business import ErpItem, JobOrdered
from isthmus.model.records.production import LotPart

# A reduction of time that waits for a person stands beside the line, and so does a lot of material that the
# ERP has taken out of stock already; a finish that was not tried stands last.
_HEADS: Final = """
    SELECT * FROM (
        SELECT *, row_number() OVER (
            PARTITION BY order_number ORDER BY command = 'finish' AND state = 'pending', sequence
        ) AS place
        FROM outbox_items
        WHERE gone = 0 AND state IN ('pending', 'sending', 'unknown', 'parked')
            AND (:order IS NULL OR order_number = :order)
            AND NOT (command = 'time' AND state = 'parked' AND CAST(json_extract(body, '$.seconds') AS REAL) < 0)
            AND NOT (command = 'unstart' AND state = 'parked')
            AND NOT (command = 'lot' AND state = 'parked' AND EXISTS (
                SELECT 1 FROM outbox_items AS begun WHERE begun.order_number = outbox_items.order_number
                AND begun.command = 'start' AND begun.state = 'confirmed' AND begun.gone = 0
            ))
    ) AS lines WHERE place = 1 ORDER BY order_number
"""
_SILENT_ORDERS: Final = 2
_COMMAND: Final[msgspec.json.Decoder[AnyCommand]] = msgspec.json.Decoder(AnyCommand)


class Outbox:
    """The line of reports of each order. All its memory is the log; begun anew it goes on."""

    def __init__(self, site: OfSite, erp: Erp, section: ErpSection, clock: Clock) -> None:
        self._site = site
        self._erp = erp
        self._section = section
        self._clock = clock
        self._looked = -1
        self._turn = ""

    def look(self, *, orders_known: bool) -> int:
        """Put what has been settled since into the lines; how many reports were added or withdrawn.

        An order that the ERP has not told us of waits until `orders_known` says that it has told all.
        """
        touched = self._site.views.query(
            "SELECT order_number, position FROM outbox_touched WHERE position > ? AND (order_number IN "
            "(SELECT order_number FROM outbox_settled) OR order_number IN (SELECT order_number FROM outbox_items)) "
            "ORDER BY position",
            (self._looked,),
        )
        done, waits = 0, False
        for row in touched:
            order = self._order(row["order_number"])
            if order is None and not orders_known:
                waits = True
                continue
            done += self._line_up(row["order_number"], order)
            if not waits:
                self._looked = row["position"]
        return done

    def obey(self) -> int:
        """Carry out what people decided on parked reports; how many."""
        rows = self._site.views.query(
            "SELECT i.*, d.decision, d.person, d.note FROM outbox_items i JOIN outbox_decided d USING (key) "
            "WHERE d.position > i.position AND i.gone = 0 AND (i.state = 'parked' OR i.message LIKE 'waits for%')"
        )
        for row in rows:
            by = f"by {row['person']}{': ' + row['note'] if row['note'] else ''}"
            if row["decision"] == "drop":
                self._say(row, state="rejected", message=f"dropped {by}; the ERP had said: {row['message']}")
            else:
                self._say(row, state="pending", attempts=0, message=f"sent again {by}")
        return len(rows)

    def work(self, most: int = 100) -> int:
        """Send what is due, at most `most` reports; how many got an answer.

        An order whose report was not answered stands back while others go on. Raises ErpAway when two
        orders in a row got no answer, or nothing else was left to try: then the ERP itself is away.
        """
        answered, in_a_row = 0, 0
        away: ErpAway | None = None
        heads = self._heads()
        while heads and answered < most and in_a_row < _SILENT_ORDERS:
            order = next((o for o in heads if o > self._turn), next(iter(heads)))
            self._turn = order
            row = heads.pop(order)
            try:
                self._deliver(row)
            except ErpAway as error:
                away, in_a_row = error, in_a_row + 1
            else:
                answered, in_a_row = answered + 1, 0
                heads = dict(sorted({**heads, **self._heads(order)}.items()))
        if away is not None and (in_a_row or not answered):
            raise away
        return answered

    def _line_up(self, number: str, order: JobOrdered | None) -> int:
        told = self._site.views.query("SELECT * FROM outbox_items WHERE order_number = ? ORDER BY sequence", (number,))
        wanted = changes(number, order, self._parts(number), [_told(row) for row in told], self._site.plant.machines)
        if wanted.add or wanted.withdraw:
            self._site.append(self._records(number, wanted, told))
        return len(wanted.add) + len(wanted.withdraw)

    def _records(self, number: str, wanted: Changes, told: Sequence[sqlite3.Row]) -> list[ErpItem]:
        withdrawn = [
            _record(row, revision=row["revision"] + 1, gone=True, message="withdrawn before it was sent")
            for row in told
            if row["key"] in wanted.withdraw
        ]
        place = max((row["sequence"] for row in told), default=0)
        # A lot goes ahead of a start that the ERP has not confirmed: with the start it takes material from stock.
        starts = [row for row in told if row["command"] == "start" and not row["gone"]]
        begun = any(row["state"] in ("sending", "unknown", "confirmed") for row in starts)
        first = [command for command in wanted.add if isinstance(command, ReportLot)] if starts and not begun else []
        before = min((row["sequence"] for row in told), default=0)
        added = [
            ErpItem(
                path=beside(self._site.plant.path, "erp", command.key),
                time_ns=self._clock(),
                order=number,
                command=_verb(command),
                body=msgspec.json.encode(command).decode(),
                state="pending",
                sequence=place + 1 + ahead if command not in first else before - len(first) + first.index(command),
            )
            for ahead, command in enumerate(wanted.add)
        ]
        return [*withdrawn, *added]

    def _heads(self, order: str | None = None) -> dict[str, sqlite3.Row]:
        """The report that is next in each order's line, where the line can go on; by order, in their order."""
        rows = self._site.views.query(_HEADS, {"order": order})
        return {row["order_number"]: row for row in rows if row["state"] != "parked" and not self._must_wait(row)}

    def _must_wait(self, row: sqlite3.Row) -> bool:
        why = {"finish": waits_for, "start": lot_missing}.get(row["command"])
        if why is None or row["state"] != "pending" or row["message"].startswith("sent again"):
            return False
        missing = why(self._order(row["order_number"]), self._parts(row["order_number"]))
        message = f"waits for {missing}; a person may send it all the same" if missing else row["message"]
        if message != row["message"]:
            self._say(row, state="pending", message=message)
        return bool(missing)

    def _deliver(self, row: sqlite3.Row) -> None:
        command = _COMMAND.decode(row["body"])
        try:
            receipt = self._erp.find(command) if row["state"] in ("sending", "unknown") else None
            if receipt is None:
                receipt = self._send(row, command)
        except ErpRefuses as error:
            self._say(self._again(row), state="parked", message=str(error))
        else:
            if receipt is not None:
                now = self._again(row)
                self._say(now, state="confirmed", message=receipt.message, receipt=receipt.reference)

    def _send(self, row: sqlite3.Row, command: AnyCommand) -> Receipt | None:
        if isinstance(command, ReportTime):
            if command.seconds < 0 and not self._erp.capabilities().corrects_downwards:
                msg = (
                    f"{-command.seconds:.0f} s less than was reported on step {command.sequence} {command.operation} of "
                    f"order {command.order}: the ERP cannot lower time; correct its cost there, then drop this report"
                )
                raise ErpRefuses(msg)
            command = msgspec.structs.replace(command, number=self._confirmed(command) + 1)
        if isinstance(command, TakeBackStart) and _verb(command) not in self._erp.capabilities().commands:
            msg = (
                f"order {command.order} was started by mistake, and no run of it stands any more: the ERP cannot take back "
                "a start; set the order back there, then drop this report"
            )
            raise ErpRefuses(msg)
        if _verb(command) not in self._erp.capabilities().commands:
            msg = f"the ERP takes no reports of {_verb(command)}; enter it there, then drop this report"
            raise ErpRefuses(msg)
        if row["attempts"] >= self._section.attempts:
            msg = f"tried {row['attempts']} times without an answer, last: {row['message']}"
            raise ErpRefuses(msg)
        body = msgspec.json.encode(command).decode()
        self._say(row, state="sending", attempts=row["attempts"] + 1, body=body)
        try:
            return self._erp.push(command)
        except ErpRefuses:
            raise
        except ErpAway as error:
            self._say(self._again(row), state="unknown", message=str(error))
            raise

    def _confirmed(self, command: ReportTime) -> int:
        """How many reports of time on this step the ERP has confirmed."""
        rows = self._site.views.query(
            "SELECT count(*) AS n FROM outbox_items WHERE order_number = ? AND command = 'time' AND state = 'confirmed' "
            "AND CAST(json_extract(body, '$.sequence') AS INTEGER) = ? AND json_extract(body, '$.operation') = ?",
            (command.order, command.sequence, command.operation),
        )
        return int(rows[0]["n"])

    def _order(self, number: str) -> JobOrdered | None:
        rows = self._site.views.query(
            "SELECT body FROM facts WHERE kind = 'JobOrdered' AND path = ? AND gone = 0 ORDER BY time_ns DESC LIMIT 1",
            (beside(self._site.plant.path, "order", number),),
        )
        return msgspec.json.decode(rows[0]["body"], type=JobOrdered) if rows else None

    def _parts(self, number: str) -> list[Part]:
        rows = self._site.views.query(
            "SELECT * FROM outbox_settled WHERE order_number = ? AND gone = 0 ORDER BY time_ns, path, ordinal",
            (number,),
        )
        return [
            Part(
                **{field: row[field] for field in Part.__struct_fields__ if field not in ("final", "lots")},
                final=bool(row["final"]),
                lots=msgspec.json.decode(row["lots"], type=tuple[LotPart, ...]),
            )
            for row in rows
        ]

    def _again(self, row: sqlite3.Row) -> sqlite3.Row:
        return self._site.views.query("SELECT * FROM outbox_items WHERE key = ?", (row["key"],))[0]

    def _say(self, row: sqlite3.Row, **changed: object) -> None:
        self._site.append([_record(row, revision=row["revision"] + 1, **changed)])


def _record(row: sqlite3.Row, **changed: object) -> ErpItem:
    said: Mapping[str, object] = {
        "path": row["path"],
        "time_ns": row["time_ns"],
        "order": row["order_number"],
        "command": row["command"],
        "body": row["body"],
        "state": row["state"],
        "attempts": row["attempts"],
        "message": row["message"],
        "receipt": row["receipt"],
        "sequence": row["sequence"],
        **changed,
    }
    return msgspec.convert(said, ErpItem, strict=False)


def _told(row: sqlite3.Row) -> Told:
    command = _COMMAND.decode(row["body"])
    never = row["state"] == "pending" and row["attempts"] == 0
    return Told(
        key=row["key"],
        command=command,
        state=row["state"],
        unsent=never or _beside_the_line(row),
        withdrawn=bool(row["gone"]),
    )


def _beside_the_line(row: sqlite3.Row) -> bool:
    """What no ERP was asked and waits for a person: a reduction of time, a start to be taken back."""
    if row["state"] != "parked":
        return False
    return row["command"] == "unstart" or (row["command"] == "time" and _seconds(row) < 0)


def _seconds(row: sqlite3.Row) -> float:
    command = _COMMAND.decode(row["body"])
    return command.seconds if isinstance(command, ReportTime) else 0.0


def _verb(command: AnyCommand) -> str:
    return str(type(command).__struct_config__.tag)
