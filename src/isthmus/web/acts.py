"""What people do on pages, as facts: each is in the log, and in every view, before the page answers.

Nothing is overwritten. A new reason for the same stop is a further saying over the same stretch, and
the latest wins; taking a saying back is a revision of it that is `gone`, which uncovers the one before.
"""

from __future__ import annotations

import difflib
from typing import Literal, NamedTuple

from litestar.exceptions import ClientException

from isthmus.model.equipment import beside
from isthmus.model.plant import Machine
from isthmus.model.records.assets import AssetDecided
from isthmus.model.records.people import JobStarted, JobStopped, LotGiven, ParkedDecided, QuantityCorrected, ReasonGiven
from isthmus.model.time import end_of_day
from isthmus.web.accounts import Person
from isthmus.web.figures import orders, states
from isthmus.web.figures.stops import reasons_for
from isthmus.web.guard import demand
from isthmus.web.house import House

_LONGEST_NOTE = 400
_LONGEST_ORDER = 80
_MOST_PIECES = 1_000_000_000


def give_reason(
    house: House, person: Person, machine: Machine, stretches: list[tuple[int, int | None, str]], note: str
) -> None:
    """Say why a machine stood still: one stretch (start, end or None while it goes on, reason), or several for a split.

    Raises ClientException for a reason that is not offered or a stretch that is none: from before the
    machine was first heard of, or from the future.
    """
    demand(person, "reason")
    offered = {reason.code for reason in reasons_for(house.site.plant, machine)}
    for start, end, reason in stretches:
        if reason not in offered:
            raise ClientException(detail=f"No reason is called {reason!r} on {machine.name}. Choose one of the list.")
        if end is not None and end <= start:
            raise ClientException(detail="The moment of the split must lie within the stop.")
    with house.saying:
        now = house.clock()
        first = states.first_ns(house, machine.path)
        if first is None or any(start < first or max(start, end or start) > now for start, end, _ in stretches):
            raise ClientException(detail=f"{machine.name} had no stop at that time. Load the page again.")
        house.site.append(
            [
                ReasonGiven(
                    path=machine.path,
                    time_ns=start,
                    ordinal=_next_ordinal(house, "ReasonGiven", machine.path, start),
                    end_ns=end,
                    reason=reason,
                    note=_short(note),
                    by=person.name,
                    said_ns=now + place,
                )
                for place, (start, end, reason) in enumerate(stretches)
            ]
        )


def take_back(house: House, person: Person, machine: Machine, time_ns: int, ordinal: int) -> None:
    """Undo what somebody said of a stop: their own, or for a supervisor anybody's."""
    demand(person, "reason")
    with house.saying:
        rows = house.site.views.query(
            "SELECT * FROM stops_said WHERE path = ? AND time_ns = ? AND ordinal = ?", (machine.path, time_ns, ordinal)
        )
        if not rows:
            raise ClientException(detail="This has been taken back already.")
        row = rows[0]
        if row["by"] != person.name:
            demand(person, "undo others")
        gone = ReasonGiven(
            path=machine.path,
            time_ns=time_ns,
            ordinal=ordinal,
            revision=row["revision"] + 1,
            gone=True,
            end_ns=row["end_ns"],
            reason=row["reason"],
            note=row["note"],
            by=person.name,
            said_ns=house.clock(),
        )
        house.site.append([gone])


def start_job(house: House, person: Person, machine: Machine, order: str, operation: str) -> None:
    """Put an order on a machine."""
    demand(person, "job")
    order, operation = _code(order), _code(operation)
    if not order:
        raise ClientException(detail="Choose the order that runs now.")
    _demand_known(house, order)
    with house.saying:
        now = house.clock()
        said = JobStarted(path=machine.path, time_ns=now, order=order, operation=operation, by=person.name, said_ns=now)
        house.site.append([said])


def stop_job(house: House, person: Person, machine: Machine, order: str, *, finished: bool) -> None:
    """Take an order off a machine, finished or to be gone on with later."""
    demand(person, "job")
    order = _code(order)
    if not order:
        raise ClientException(detail=f"No order runs on {machine.name} that could be stopped. Load the page again.")
    _demand_known(house, order)
    with house.saying:
        now = house.clock()
        said = JobStopped(path=machine.path, time_ns=now, order=order, finished=finished, by=person.name, said_ns=now)
        house.site.append([said])


class Correction(NamedTuple):
    """Pieces to add to what was counted; a negative number takes away."""

    good: int
    scrap: int
    rework: int
    note: str


def correct(house: House, person: Person, machine: Machine, order: str, by: Correction) -> None:
    """Correct what was counted."""
    demand(person, "quantity")
    if not (by.good or by.scrap or by.rework):
        raise ClientException(detail="Give the number of pieces to add, or to take away with a minus.")
    if max(abs(by.good), abs(by.scrap), abs(by.rework)) > _MOST_PIECES:
        raise ClientException(detail="No correction is that large. Count the digits.")
    order = _code(order)
    if order:
        _demand_known(house, order)
    with house.saying:
        now = house.clock()
        said = QuantityCorrected(
            path=machine.path,
            time_ns=now,
            ordinal=_next_ordinal(house, "QuantityCorrected", machine.path, now),
            order=order,
            good=by.good,
            scrap=by.scrap,
            rework=by.rework,
            note=_short(by.note),
            by=person.name,
            said_ns=now,
        )
        house.site.append([said])


class Lot(NamedTuple):
    """Which lot an order makes, or with a `material` uses up; from the start of its run, else from now."""

    order: str
    material: str
    lot: str
    from_start: bool


def give_lot(house: House, person: Person, machine: Machine, said: Lot) -> None:
    """Say which lot an order makes or uses up on a machine."""
    demand(person, "lot")
    order, material, lot = _code(said.order), _code(said.material), _code(said.lot)
    if not order or not lot:
        raise ClientException(detail="Give the order and the number of its lot.")
    _demand_known(house, order)
    with house.saying:
        now = house.clock()
        rows = house.site.views.query(
            "SELECT time_ns FROM runs WHERE path = ? AND order_no = ? ORDER BY time_ns DESC LIMIT 1",
            (machine.path, order),
        )
        since = rows[0]["time_ns"] if rows and said.from_start else now
        given = LotGiven(
            path=machine.path,
            time_ns=since,
            ordinal=_next_ordinal(house, "LotGiven", machine.path, since),
            order=order,
            direction="in" if material else "out",
            material=material,
            lot=lot,
            by=person.name,
            said_ns=now,
        )
        house.site.append([given])


def decide(house: House, person: Person, key: str, decision: str, note: str) -> None:
    """Decide on a report that the ERP would not take: send it again, or drop it."""
    demand(person, "parked")
    path = beside(house.site.plant.path, "erp", key)
    rows = house.site.views.query("SELECT state FROM erp WHERE path = ?", (path,))
    if not rows or rows[0]["state"] not in ("parked", "rejected"):
        raise ClientException(detail="This report needs no decision any more. Load the page again.")
    if decision not in ("send again", "drop"):
        raise ClientException(detail="Choose to send the report again or to drop it.")
    if decision == "drop" and not note.strip():
        raise ClientException(detail="Say in a note why the report is dropped; the ERP will never hear of it.")
    with house.saying:
        now = house.clock()
        said = ParkedDecided(
            path=path,
            time_ns=now,
            decision="drop" if decision == "drop" else "send again",
            note=_short(note),
            by=person.name,
            said_ns=now,
        )
        house.site.append([said])


def decide_asset(  # noqa: PLR0913  one form
    house: House,
    person: Person,
    *,
    kind: str,
    name: str,
    decision: str,
    fields: dict[str, str],
    reason: str,
    until: str = "",
) -> None:
    """Decide on a finding or an asset, perhaps for a time, or say what people know of it; always with a reason."""
    demand(person, "asset decisions")
    table = {"asset": "assets_known", "finding": "assets_findings"}.get(kind)
    if table is None or decision not in ("accept", "dismiss", "reopen", "set"):
        raise ClientException(detail="Choose what to decide, and on what.")
    if not house.site.views.query(f"SELECT 1 FROM {table} WHERE id = ?", (name,)):  # noqa: S608  one of two names
        raise ClientException(detail="This is not in the record any more. Load the page again.")
    if decision == "set" and not fields:
        raise ClientException(detail="Fill in at least one field.")
    if not reason.strip():
        raise ClientException(detail="Say in a few words why; it stands in the history.")
    try:
        ends_ns = end_of_day(until) if until.strip() and decision in ("accept", "dismiss") else 0
    except ValueError as error:
        raise ClientException(detail=f"{error}.") from error
    with house.saying:
        now = house.clock()
        if 0 < ends_ns <= now:
            raise ClientException(detail="Choose a day to come, or none for ever.")
        house.site.append(
            [
                AssetDecided(
                    path=beside(house.site.plant.path, kind, name),
                    time_ns=now,
                    decision=_DECISIONS[decision],
                    fields=fields if decision == "set" else {},
                    reason=_short(reason),
                    by=person.name,
                    said_ns=now,
                    until_ns=ends_ns,
                )
            ]
        )


_DECISIONS: dict[str, Literal["accept", "dismiss", "reopen", "set"]] = {
    "accept": "accept",
    "dismiss": "dismiss",
    "reopen": "reopen",
    "set": "set",
}


def _next_ordinal(house: House, kind: str, path: str, time_ns: int) -> int:
    """The first ordinal that was never used, not even by what was taken back."""
    rows = house.site.views.query(
        "SELECT ifnull(max(ordinal) + 1, 0) AS next FROM facts WHERE kind = ? AND path = ? AND time_ns = ?",
        (kind, path, time_ns),
    )
    return int(rows[0]["next"])


def _code(order: str) -> str:
    """An order's or operation's number as a person typed it. Raises ClientException for what is none."""
    code = order.strip()
    if len(code) > _LONGEST_ORDER or not code.isprintable():
        raise ClientException(detail=f"An order's number has at most {_LONGEST_ORDER} letters, digits and signs.")
    return code


def _demand_known(house: House, order: str) -> None:
    """Raise ClientException for an order that neither the ERP told of nor any machine ran; a mistyped number is found so.

    Where the ERP has told of no order at all, or there is none, every number is taken.
    """
    known = orders.known(house)
    if known.told and order not in known.numbers:
        near = difflib.get_close_matches(order, known.numbers, n=3, cutoff=0.5)
        mend = f"Is it {' or '.join(near)}?" if near else "See the orders page for those there are."
        raise ClientException(detail=f"No order is called {order}. {mend}")


def _short(note: str) -> str:
    return note.strip()[:_LONGEST_NOTE]
